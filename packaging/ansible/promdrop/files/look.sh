# What this host is like, a line for each thing found: one question is asked in the time of one task.
# Arguments: the textfile directory, the directory of definitions.

if [ -d /run/systemd/system ]; then
    echo systemd
fi
if [ -x /usr/bin/promdrop ]; then
    echo program
fi
for units in /usr/lib/systemd/system /lib/systemd/system; do
    if [ -e "$units/promdrop.timer" ]; then
        echo 'packaged timer'
    fi
done
if [ -e /etc/systemd/system/promdrop.timer ]; then
    echo 'own timer'
fi

# Such as the package's, which does nothing where systemd runs.
if grep --quiet --no-messages 'test -d /run/systemd/system ||' /etc/cron.d/promdrop; then
    echo 'packaged cron'
fi

# The directory, or what will hold it.
place=$1
until [ -d "$place" ]; do
    place=$(dirname "$place")
done
echo "on $(stat --file-system --format=%T "$place")"
if [ "$place" != "$1" ] && [ "$place" != "$(dirname "$1")" ]; then
    echo 'no way'
fi

sed -n 's/^\(PROMDROP_[A-Z_]*\)=.*/set \1/p' /etc/default/promdrop 2>/dev/null || :
for file in /etc/default/promdrop /etc/cron.d/promdrop /etc/tmpfiles.d/promdrop.conf \
    /etc/systemd/system/promdrop.timer /etc/systemd/system/promdrop.service \
    /etc/systemd/system/promdrop.service.d /etc/systemd/system/promdrop.service.d/*.conf /etc/promdrop "$2" "$2"/*.yaml; do
    if [ -e "$file" ] || [ -L "$file" ]; then
        echo "file $file"
    fi
done
