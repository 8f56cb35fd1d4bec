#!/bin/bash
# prove.sh FOLDER [STEP...]: proves docker-compose.yml on a machine where no registry is reached.
#
# Starts a Docker engine of its own in a network namespace of its own, makes base images, builds, brings everything up,
# sends a case through it, rolls one service after the other under load and takes all of it down again. Steps, in
# order: engine images build secrets up smoke roll down. Only what it started is ended; the machine's own interfaces
# and rules are not touched.
# Needs root, dockerd, the docker client, iproute2, debootstrap; COMPOSE (default `docker compose`), PYTHON as in base_images.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
folder=$(realpath -m "$1")
shift
[ $# -gt 0 ] || set -- engine images build secrets up smoke roll down
space=callout-proof
export DOCKER_HOST=unix://$folder/engine/docker.sock
export PYTHON_IMAGE=callout-proof/python KAFKA_IMAGE=callout-proof/kafka MONGODB_IMAGE=callout-proof/mongodb
export MOSQUITTO_IMAGE=callout-proof/mosquitto CALLOUT_SECRETS=$folder/secrets COMPOSE_PROJECT_NAME=callout
export COMPOSE_FILE=$project/docker-compose.yml:$project/deploy/compose/development.yml
compose() { ${COMPOSE:-docker compose} --project-directory "$project" "$@"; }
say() { echo "[$(date -u +%H:%M:%S)] $*"; }
inside() { nsenter --net="/var/run/netns/$space" "$@"; }

engine() {
    mkdir -p "$folder/engine"
    ip netns add "$space" 2>/dev/null || true
    ip -n "$space" link set lo up
    inside dockerd --host "$DOCKER_HOST" --data-root "$folder/engine/data" --exec-root "$folder/engine/exec" \
        --pidfile "$folder/engine/pid" --bip 198.18.0.1/24 --default-address-pool base=198.18.64.0/18,size=24 \
        >"$folder/engine/log" 2>&1 &
    for _ in $(seq 60); do docker version >/dev/null 2>&1 && break; sleep 1; done
    say "engine $(docker version --format '{{.Server.Version}}'), $(docker info --format '{{.Driver}}')"
}

images() { bash "$here/base_images.sh" "$folder/base"; }

build() {
    docker build --quiet --network none --file "$project/deploy/Dockerfile" --build-arg PYTHON_IMAGE=callout-proof/python \
        --build-arg BUILD_IMAGE=callout-proof/build --build-arg VERSION="$(git -C "$project" describe --always)" \
        --tag callout:local "$project" >/dev/null
    say "image callout:local: $(docker image inspect --format '{{.Size}}' callout:local | numfmt --to=iec), \
of it the base $(docker image inspect --format '{{.Size}}' callout-proof/python | numfmt --to=iec)"
}

secrets() {
    compose run --rm --no-deps secrets
    say "secrets: $(find "$folder/secrets" -type f | wc -l) files, $(stat -c %a "$folder/secrets") $(stat -c %U "$folder/secrets")"
}

up() {
    local began=$SECONDS
    compose up --detach --no-build --wait --wait-timeout "${WAIT_SECONDS:-540}"
    say "all ready after $((SECONDS - began)) s:"
    compose ps --format '{{.Service}} {{.Status}}'
}

run() { compose run --rm --no-TTY --no-deps callout "$@"; }

smoke() { # a device raises a fault over MQTT, the case is on Kafka and over HTTP; strangers are kept out
    say "a device over MQTT"
    local token began event
    token=$(run devices token acme press-07)
    began=$(date +%s%N)
    for _ in $(seq 20); do # its password is known to the broker a moment later
        inside mosquitto_pub -h 127.0.0.1 -p 1883 -q 1 -V 5 -u acme/press-07 -P "$token" -t callout/v1/acme/press-07/signal \
            -m '{"fault": "E417", "severity": "major", "seq": 1}' 2>/dev/null && break
        sleep 0.5
        began=$(date +%s%N)
    done
    for _ in $(seq 60); do
        event=$(run cases list --json)
        [[ $event == *press-07* ]] && break
    done
    local number
    number=$(grep -oE '[0-9]{8}' <<<"$event" | head -n 1)
    say "the operator sees case $number $((($(date +%s%N) - began) / 1000000)) ms after mosquitto_pub began, starts of the command included"
    local bearer list
    bearer=$(run token --tenant acme --user ann --role agent)
    for _ in $(seq 60); do
        list=$(inside curl -s -H "Authorization: Bearer $bearer" http://127.0.0.1:8000/api/v1/cases)
        [[ $list == *press-07* ]] && break
        sleep 0.5
    done
    [[ $list == *press-07* ]]
    say "the gateway shows it"
    local file
    file=$(mktemp)
    head -c 300000 /dev/urandom | base64 >"$file"
    inside curl -sf -X POST -H "Authorization: Bearer $bearer" -F "file=@$file;filename=log.txt;type=text/plain" \
        http://127.0.0.1:8000/api/v1/attachments | head -c 120
    echo
    say "a file came in through the gateway and the attachment service"
    if compose run --rm --no-TTY --no-deps -e KAFKA_SASL_USERNAME=callout-intake callout lag >/dev/null 2>&1; then
        say "FAILED: Kafka let somebody in under another's name" && exit 1
    fi
    if inside mosquitto_pub -h 127.0.0.1 -p 1883 -u acme/press-07 -P wrong -t callout/v1/acme/press-07/signal -m x 2>/dev/null; then
        say "FAILED: mosquitto let a stranger in" && exit 1
    fi
    [ "$(inside curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8000/api/v1/cases)" = 401 ]
    say "strangers were kept out of Kafka, MQTT and HTTP"
    run verify --settle 60
}

roll() { # every service is replaced while signals come in; then everything has to be there exactly once
    local services=(intake workflow notification attachment edge-adapter remote-session gateway) service sent
    run fleet --seed 7 --seconds "${ROLL_SECONDS:-240}" --rate "${ROLL_RATE:-10}" --json >"$folder/fleet.json" 2>"$folder/fleet.log" &
    local load=$!
    sleep 10
    for service in "${services[@]}"; do
        local began=$SECONDS
        compose up --detach --no-build --no-deps --force-recreate --wait --wait-timeout 180 "$service"
        say "$service rolled after $((SECONDS - began)) s"
    done
    wait "$load"
    sent=$(tail -n 1 "$folder/fleet.json" | cut -c 1-200)
    say "the load: $sent"
    run verify --settle 120
}

down() {
    compose --profile tools --profile setup --profile observability down --volumes --timeout 60 || true
    [ -e "$folder/engine/pid" ] && kill "$(cat "$folder/engine/pid")" && tail --pid="$(cat "$folder/engine/pid" 2>/dev/null || echo 1)" -f /dev/null 2>/dev/null || true
    ip netns delete "$space" 2>/dev/null || true
    say "all taken down"
}

for step in "$@"; do
    say "--- $step"
    "$step"
done
