#!/bin/sh
# Starts Kafka in its container: secrets come from files, the storage is formatted once.
set -eu
umask 077
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
libs=${KAFKA_LIBS:-/opt/kafka/libs}
data=/var/lib/kafka/data
password=$(cat /run/secrets/admin_kafka_password)
properties=/tmp/server.properties
sed -e "s|@HOST@|kafka|; s|@HOST_PORT@|${KAFKA_HOST_PORT:-9094}|; s|@DATA@|$data|; s|@ADMIN_PASSWORD@|$password|g" \
    /etc/callout/kafka.properties >"$properties"
run() { "$java" ${KAFKA_HEAP_OPTS:--Xmx768m} -XX:+ExitOnOutOfMemoryError ${KAFKA_LOG_OPTS:-} -cp "$libs/*" "$@"; }
if [ ! -f "$data/meta.properties" ]; then
    cluster=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')
    run kafka.tools.StorageTool format --cluster-id "$cluster" --config "$properties" \
        --add-scram "SCRAM-SHA-512=[name=callout-admin,password=$password]" >/dev/null
fi
exec "$java" ${KAFKA_HEAP_OPTS:--Xmx768m} -XX:+ExitOnOutOfMemoryError ${KAFKA_LOG_OPTS:-} -cp "$libs/*" kafka.Kafka "$properties"
