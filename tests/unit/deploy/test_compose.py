"""The compose file says what it promises: own users, closed containers, no secret and no open door by default."""

import re
from typing import Any

import pytest
import yaml

from deploy import healthcheck
from deploy.access.plan import OPERATOR, principals, programs, user_of
from deploy.access.secret_files import make_secrets
from deploy.embedded.mosquitto import CONFIGURATION
from deploy.topics import Catalogue
from shared.settings import ServiceSettings
from tests.stack import PROJECT

COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
TEXT = (PROJECT / "docker-compose.yml").read_text()
STAGES = re.split(r"^(?=FROM )", (PROJECT / "deploy/Dockerfile").read_text(), flags=re.MULTILINE)[1:]
PROGRAMS = programs(Catalogue.load())
PARTS: dict[str, dict[str, Any]] = COMPOSE["services"]


def part_of(program: str) -> dict[str, Any]:
    return PARTS[program.replace("_", "-")]


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_runs_as_its_own_user_with_its_own_secrets(program: str) -> None:
    part = part_of(program)
    assert part["environment"]["KAFKA_SASL_USERNAME"] == user_of(program)
    files = {each["target"]: COMPOSE["secrets"][each["source"]]["file"] for each in part["secrets"] if "target" in each}
    assert {name: file.rpartition("}")[2] for name, file in files.items()} == {
        "kafka_password": f"/{user_of(program)}/kafka_password",
        "mongodb_uri": f"/{user_of(program)}/mongodb_uri",
    }
    assert int(part["stop_grace_period"].removesuffix("s")) > ServiceSettings.model_fields["drain_seconds"].default


@pytest.mark.parametrize("name", PARTS)
def test_every_container_is_closed(name: str) -> None:
    part = PARTS[name]
    assert part["read_only"] is True
    assert part["cap_drop"] == ["ALL"]
    assert part["security_opt"] == ["no-new-privileges:true"]
    assert not part.get("privileged")
    assert set(part.get("cap_add", ())) <= {"DAC_OVERRIDE"}
    assert ("cap_add" in part) <= (part["restart"] == "no")


def test_kafka_alone_may_load_what_it_unpacks_or_it_could_not_read_what_is_compressed() -> None:
    others = {name: part["tmpfs"] for name, part in PARTS.items() if part["tmpfs"] != ["/tmp"]}
    assert others == {"kafka": ["/tmp:exec"]}


def test_nothing_is_open_to_other_machines_by_default() -> None:
    ports = [port for part in PARTS.values() for port in part.get("ports", ())]
    assert ports
    assert [port for port in ports if not port.startswith(("127.0.0.1:", "${CALLOUT_BIND:-127.0.0.1}:"))] == []


def test_every_secret_is_a_file_that_is_drawn(tmp_path: Any) -> None:
    plan = principals(Catalogue.load())
    drawn = make_secrets(tmp_path, plan, hosts="mongodb:27017", options="replicaSet=rs0", readable=True)
    named = {each["file"].rpartition("}/")[2] for each in COMPOSE["secrets"].values()}
    assert named <= set(drawn)
    assert all(file.stat().st_mode & 0o777 == 0o444 for file in tmp_path.rglob("*") if file.is_file())
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_no_secret_stands_in_the_file() -> None:
    environments = [part.get("environment", {}) for part in PARTS.values()]
    held = {
        name: value for each in environments for name, value in each.items() if re.search("PASSWORD|KEY|SECRET", name)
    }
    assert {name for name in held if not name.endswith("_FILE")} == set()
    assert "mongodb://" not in TEXT


def test_what_serves_cases_needs_no_profile_and_what_looks_on_or_helps_waits_in_one() -> None:
    waiting = {name: part["profiles"] for name, part in PARTS.items() if "profiles" in part}
    assert waiting == {
        "prometheus": ["observability"],
        "grafana": ["observability"],
        "callout": ["tools"],
        "secrets": ["setup"],
    }


def test_what_a_person_may_say_is_in_the_example() -> None:
    asked = set(re.findall(r"\$\{([A-Z0-9_]+):-", TEXT))
    told = set(re.findall(r"^# ([A-Z0-9_]+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE))
    assert asked == told


def test_the_operator_is_who_the_tools_are() -> None:
    for name in ("topics", "config", "callout"):
        assert PARTS[name]["environment"]["KAFKA_SASL_USERNAME"] == user_of(OPERATOR)


def test_up_waits_for_all_that_runs_once_and_fails_with_it() -> None:
    once = {name for name, part in PARTS.items() if part["restart"] == "no" and "profiles" not in part}
    waited = {
        name
        for part in PARTS.values()
        for name, how in part.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }
    assert once <= waited
    assert once >= {"topics", "config", "kafka-users", "mongodb-users"}


def test_a_service_is_healthy_only_when_it_is_ready() -> None:
    for program in PROGRAMS:
        part = part_of(program)
        assert "healthcheck" not in part, "the image's own counts"
        prefix = "REMOTE_SESSION" if program == "relay" else program.upper()
        assert part["environment"][f"{prefix}_HTTP_PORT"] == str(healthcheck.PORT)
    assert 'CMD ["python", "-m", "deploy.healthcheck"]' in STAGES[-1]


def test_the_image_is_made_in_stages_labelled_and_run_by_nobody_who_may_do_anything() -> None:
    assert len(STAGES) == 2
    assert re.findall(r"^USER (.+)$", STAGES[-1], re.MULTILINE) == ["10001:10001"]
    labels = set(re.findall(r"org\.opencontainers\.image\.(\w+)=", STAGES[-1]))
    assert labels == {"title", "description", "licenses", "version", "revision"}
    assert "pip install" not in STAGES[-1]
    assert "-o /app/sbom.json" in STAGES[0]


def test_prometheus_asks_every_service() -> None:
    asked = yaml.safe_load((PROJECT / "deploy/compose/prometheus.yml").read_text())["scrape_configs"]
    assert {name for each in asked for where in each["dns_sd_configs"] for name in where["names"]} == {
        name.replace("_", "-") for name in PROGRAMS
    }


def test_technicians_are_told_a_name_of_the_relay_that_they_can_reach() -> None:
    told = part_of("relay")["environment"]["REMOTE_SESSION_RELAY_NAME"]
    assert told == part_of("gateway")["environment"]["GATEWAY_RELAY"]


def test_mosquitto_lets_devices_of_other_machines_in_by_certificates_alone() -> None:
    open_to_others = [port for port in PARTS["mosquitto"]["ports"] if port.startswith("${CALLOUT_BIND")]
    assert [port.rpartition(":")[2] for port in open_to_others] == ["8883"]
    tls = CONFIGURATION.partition("listener {tls_port}")[2]
    assert {"require_certificate true", "use_identity_as_username true"} <= set(tls.splitlines())
    assert "allow_anonymous false" in CONFIGURATION
