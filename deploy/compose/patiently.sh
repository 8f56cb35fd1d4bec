#!/bin/sh
# patiently.sh SECONDS COMMAND...: tries a command again until it succeeds; servers that just start may not answer yet.
limit=$(($(date +%s) + $1))
shift
until "$@"; do
    [ "$(date +%s)" -lt "$limit" ] || exit 1
    sleep 2
done
