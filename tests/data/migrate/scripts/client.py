#!/usr/bin/python3
import requests
requests.post("http://gateway:9091/metrics/job/client", data="client_up 1\n")
