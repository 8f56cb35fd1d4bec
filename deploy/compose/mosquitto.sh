#!/bin/sh
# Runs mosquitto, and lets it read passwords and revoked certificates again when the edge adapter has changed them.
set -eu
folder=/volumes/identity
changed() { cksum "$folder/passwords" "$folder/crl.pem"; }
mosquitto -c "$folder/mosquitto.conf" &
broker=$!
trap 'kill -TERM $broker' TERM INT
seen=$(changed)
while kill -0 $broker 2>/dev/null; do
    sleep 1 &
    wait $! || true
    now=$(changed)
    if [ "$now" != "$seen" ]; then
        seen=$now
        kill -HUP $broker 2>/dev/null || true
    fi
done
wait $broker
