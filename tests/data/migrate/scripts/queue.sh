#!/bin/sh
# Counts what waits.
GATEWAY=http://gateway:9091/metrics/job/queue
cat <<METRICS | curl -sS --max-time 5 --data-binary @- "$GATEWAY/instance/$(hostname)/team/mail" >/dev/null 2>&1
# TYPE queue_files gauge
queue_files $(ls /var/spool/queue | wc -l)
METRICS
exit 0
