#!/bin/sh
# Deploy the first release. Later starts serve the release that served last.
set -eu
: "${REPOSITORY:?}" "${WEBHOOK_SECRET:?}"
[ -e /data/current ] || python3 deployment.py
