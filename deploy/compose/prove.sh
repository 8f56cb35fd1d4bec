#!/bin/bash
# prove.sh FOLDER [STEP...]: proves docker-compose.yml on a machine where no registry is reached.
#
# Starts a Docker engine of its own in a network namespace of its own, makes base images, builds, brings everything up,
# sends a case through it, rolls one service after the other under load and takes all of it down again. Steps, in
# order: engine images build secrets up smoke metrics roll down; asked for by name alone: tests (after images). Only
# what it started is ended; the machine's own interfaces and rules are not touched.
# Needs root, dockerd, the docker client, iproute2, debootstrap, mosquitto_pub, sftp; COMPOSE (default `docker compose`),
# PYTHON as in base_images.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
python=${PYTHON:-python3.11}
folder=$(realpath -m "$1")
shift
[ $# -gt 0 ] || set -- engine images build secrets up smoke metrics roll down
space=callout-proof
export DOCKER_HOST=unix://$folder/engine/docker.sock
export PYTHON_IMAGE=callout-proof/python KAFKA_IMAGE=callout-proof/kafka MONGODB_IMAGE=callout-proof/mongodb
export MOSQUITTO_IMAGE=callout-proof/mosquitto PROMETHEUS_IMAGE=callout-proof/prometheus
export CALLOUT_SECRETS=$folder/secrets COMPOSE_PROJECT_NAME=callout
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
        --build-arg REVISION="$(git -C "$project" rev-parse HEAD)" --tag callout:local "$project" >/dev/null
    say "image callout:local: $(docker image inspect --format '{{.Size}}' callout:local | numfmt --to=iec), \
of it the base $(docker image inspect --format '{{.Size}}' callout-proof/python | numfmt --to=iec)"
    say "its labels: $(docker image inspect --format '{{json .Config.Labels}}' callout:local)"
    say "as user $(docker image inspect --format '{{.Config.User}}' callout:local), its bill of materials: $(docker run --rm \
        --read-only --network none callout:local python -c "import json; print(len(json.load(open('/app/sbom.json'))['components']), 'components')")"
}

secrets() {
    compose run --rm --no-deps secrets
    say "secrets: $(find "$folder/secrets" -type f | wc -l) files, $(stat -c %a "$folder/secrets") $(stat -c %U "$folder/secrets")"
}

up() {
    local began=$SECONDS
    compose up --detach --no-build --wait --wait-timeout "${WAIT_SECONDS:-540}"
    say "all ready after $((SECONDS - began)) s:"
    compose ps --all --format '{{.Service}} {{.Status}}'
}

run() { compose run --rm --no-TTY --no-deps callout "$@"; }

proof() { PYTHONPATH=$project inside "$python" -m deploy.compose.proof "$1" "$folder"; }

smoke() { # a device's fault over MQTT is a case on Kafka and over HTTP, with a notice, a file and a remote session
    proof smoke
    if compose run --rm --no-TTY --no-deps -e KAFKA_SASL_USERNAME=callout-intake callout lag >/dev/null 2>&1; then
        say "FAILED: Kafka let somebody in under another's name" && exit 1
    fi
    say "nobody gets into Kafka under another's name"
    run verify --settle 60
}

metrics() { # Grafana too, where there is an image of it
    compose --profile observability up --detach --no-build --no-deps prometheus ${GRAFANA_IMAGE:+grafana}
    proof metrics
}

roll() { # every program is replaced while signals and files come in; then everything has to be there exactly once
    local program sent
    rm -f "$folder/rolled"
    run fleet --seed 7 --seconds "${ROLL_SECONDS:-240}" --rate "${ROLL_RATE:-5}" --json >"$folder/fleet.json" 2>"$folder/fleet.log" &
    local fleet=$!
    proof load &
    local load=$!
    sleep 10
    for program in intake workflow notification attachment edge-adapter remote-session relay gateway; do
        local began=$SECONDS
        compose up --detach --no-build --no-deps --force-recreate --wait --wait-timeout 180 "$program" 2>&1 | grep -v Container || true
        [ "$(docker inspect --format '{{.State.Health.Status}}' "callout-$program-1")" = healthy ]
        say "$program rolled after $((SECONDS - began)) s"
    done
    touch "$folder/rolled"
    wait "$load"
    wait "$fleet"
    sent=$(tail -n 1 "$folder/fleet.json" | cut -c 1-200)
    say "the fleet: $sent"
    run verify --settle 120
}

tests() { # the integration tests on containers of these images; TESTS: which, and other words for pytest
    # shellcheck disable=SC2086
    (cd "$project" && inside env CALLOUT_TEST_CONTAINERS=1 TESTCONTAINERS_RYUK_DISABLED=true CALLOUT_TEST_KAFKA_IMAGE=$KAFKA_IMAGE \
        CALLOUT_TEST_MONGODB_IMAGE=$MONGODB_IMAGE "$python" -m pytest ${TESTS:-tests/integration})
}

down() {
    compose --profile tools --profile setup --profile observability down --volumes --remove-orphans --timeout 60 || true
    local engine
    if engine=$(cat "$folder/engine/pid" 2>/dev/null); then
        kill "$engine"
        while kill -0 "$engine" 2>/dev/null; do sleep 0.5; done
    fi
    ip netns delete "$space" 2>/dev/null || true
    cut -d' ' -f2 /proc/mounts | grep -F "$folder/engine/" | sort -r | xargs -r umount
    rm -rf "$folder/engine"
    say "all taken down: no container, network, image or mount is left"
}

for step in "$@"; do
    say "--- $step"
    "$step"
done
