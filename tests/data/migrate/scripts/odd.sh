#!/bin/bash
coproc cat
echo "x 1" | curl --data-binary @- http://gateway:9091/metrics/job/odd
