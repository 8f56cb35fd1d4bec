"""What the measures send: signals and commands as devices and people send them, the same every time."""

import random
import uuid
from collections.abc import Iterator

import orjson

from shared.contracts.commands import command_type
from shared.contracts.signals import RAISED
from tests.bench.kafka import Sending

TENANT = "bench"
AT = "2026-03-02T10:15:00.000Z"
DESCRIPTION = "The spindle's bearing is warmer than its limit for this load; coolant flow is nominal. " * 8
PERSON = {"id": "ann", "role": "agent", "tenant_id": TENANT}
DEVICE = {"id": "press-07", "role": "device", "tenant_id": TENANT}
#: Commands on a case, about as often as a case in work gets them; some are refused, as in life.
MIX = {"occur": 40, "assign": 16, "unassign": 6, "start": 10, "clear": 8, "resolve": 8, "close": 4, "reopen": 8}
ARGUMENTS = {
    "occur": {"count": 3, "last_at": AT},
    "clear": {"at": AT},
    "resolve": {"final_solution": "bearing replaced", "root_cause": "worn"},
    "close": {"outcome": "repaired"},
    "reopen": {"reason": "it is back"},
}


def case_ids(count: int, *, seed: int = 1) -> list[str]:
    """Return the ids of so many cases."""
    chosen = random.Random(seed)
    return [str(uuid.UUID(int=chosen.getrandbits(128), version=4)) for _ in range(count)]


def creations(cases: list[str]) -> Iterator[Sending]:
    """Return the commands that create cases."""
    for number, case_id in enumerate(cases):
        device_id = f"press-{number % 500:03d}"
        case = {
            "title": f"Spindle {number} over temperature",
            "description": DESCRIPTION,
            "severity": "major",
            "device_id": device_id,
            "machine": {"serial": f"SN-{number}", "model": "X2", "brand": "B", "technology": "T"},
            "occurred_at": AT,
            "origin": "device",
            "channel": "device",
            "signal": {"dedup_key": f"{device_id}:E{number}", "count": 1, "first_at": AT, "last_at": AT},
        }
        yield _command("create", case_id, {"actor": DEVICE, "case": case})


def commands(cases: list[str], count: int, *, seed: int = 2) -> Iterator[Sending]:
    """Return commands on these cases in a fixed random order."""
    chosen = random.Random(seed)
    names, weights = list(MIX), list(MIX.values())
    for place in range(count):
        name = chosen.choices(names, weights)[0]
        actor = DEVICE if name in {"occur", "clear"} else PERSON
        arguments = {"assignee": f"tech-{place % 7}"} if name == "assign" else ARGUMENTS.get(name, {})
        yield _command(name, chosen.choice(cases), {"actor": actor, **arguments})


def repeats(devices: int, count: int) -> Iterator[Sending]:
    """Return signals of a few faults, again and again."""
    for place in range(count):
        yield signal(f"press-{place % devices:03d}", "E417", place)


def distinct(count: int, *, per_device: int = 15, prefix: str = "new") -> Iterator[Sending]:
    """Return signals of a new fault each, so few per device that no storm begins."""
    devices = -(-count // per_device)
    for place in range(count):
        yield signal(f"{prefix}-{place % devices:05d}", f"E{place // devices}", place)


def signal(device_id: str, fault: str, place: int) -> Sending:
    """Return one signal."""
    body = {
        "tenant_id": TENANT,
        "device_id": device_id,
        "fault": fault,
        "severity": "major",
        "title": "Spindle over temperature",
        "description": DESCRIPTION[:170],
        "machine": {"serial": "SN-1", "model": "X2", "brand": "B", "technology": "T"},
        "measurements": {"temp_c": 91.4, "rpm": place % 9000},
    }
    return Sending(f"{TENANT}/{device_id}".encode(), orjson.dumps(body), _headers(RAISED))


def _command(name: str, case_id: str, arguments: dict[str, object]) -> Sending:
    body = {"case_id": case_id, "tenant_id": TENANT, **arguments}
    return Sending(case_id.encode(), orjson.dumps(body), _headers(command_type(name)))


def _headers(type_: str) -> tuple[tuple[str, bytes], ...]:
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", str(uuid.uuid4()).encode()),
        ("ce_source", b"/bench"),
        ("ce_type", type_.encode()),
        ("content-type", b"application/json"),
    )
