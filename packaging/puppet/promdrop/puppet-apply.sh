t() { /usr/bin/time -f "%U user %S sys %e s: $*" "$@" >/dev/null; }
t ruby -e 1
t ruby --disable-gems -e 1
t puppet --version
t ruby --disable-gems /usr/bin/puppet --version
t puppet apply -e ''
mkdir -p /etc/puppetlabs/facter /etc/facter
puppet config print confdir vardir
cat > /etc/puppetlabs/facter/facter.conf <<'X'
facts : { blocklist : [ "EC2", "GCE", "Azure", "Xen", "file system", "hypervisors", "dmi", "disks", "networking", "processor", "memory", "ssh", "load averages", "uptime", "timezone", "augeas", "id", "fips", "selinux", "ruby", "identity", "aio_agent_version", "mountpoints", "partitions" ] }
X
cp /etc/puppetlabs/facter/facter.conf /etc/facter/
strings /usr/lib/ruby/vendor_ruby/facter/config.rb | grep facter.conf; grep -rn "facter.conf" /usr/lib/ruby/vendor_ruby/facter/ | head -5
t puppet apply -e ''
t strace -f -c -o /tmp/strace.txt puppet apply -e ''
head -20 /tmp/strace.txt
