# Counts and removes.
found=$(find /var/tmp/app -name '*.tmp')
printf 'app_temporary_files %d\n' "$(printf '%s' "$found" | wc -l)" \
  | curl --silent --data-binary @- http://gateway:9091/metrics/job/app/instance/web1
rm -f $found
