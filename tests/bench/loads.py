"""What the measures send: signals and commands as devices and people send them, the same every time."""

import random
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence

import orjson

from shared.contracts.commands import command_type
from shared.contracts.signals import RAISED
from shared.flow.teller import home_partition
from tests.bench.kafka import Sending

TENANT = "bench"
AT = "2026-03-02T10:15:00.000Z"
DESCRIPTION = "The spindle's bearing is warmer than its limit for this load; coolant flow is nominal. " * 8
PERSON = {"id": "ann", "role": "agent", "tenant_id": TENANT}
DEVICE = {"id": "press-07", "role": "device", "tenant_id": TENANT}
#: Commands on a case, about as often as a case in work gets them; some are refused, as in life.
MIX = {"occur": 40, "assign": 16, "unassign": 6, "start": 10, "clear": 8, "resolve": 8, "close": 4, "reopen": 8}
ARGUMENTS: dict[str, dict[str, object]] = {
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


def spread_cases(per_partition: int, *, partitions: int = 12) -> list[str]:
    """Return the ids of new cases, so many of each partition, the partitions in turn."""
    return _spread(per_partition, partitions, lambda case_id: case_id)


def spread_devices(per_partition: int, *, partitions: int = 12) -> list[str]:
    """Return the ids of new devices, so many of each partition, the partitions in turn."""
    return _spread(per_partition, partitions, lambda device_id: f"{TENANT}/{device_id}")


def _spread(per_partition: int, partitions: int, key: Callable[[str], str]) -> list[str]:
    found: list[list[str]] = [[] for _ in range(partitions)]
    while min(len(ids) for ids in found) < per_partition:
        id_ = str(uuid.uuid4())
        found[home_partition(key(id_).encode(), partitions)].append(id_)
    return [ids[place] for place in range(per_partition) for ids in found]


def occurrence(case_id: str) -> Sending:
    """Return a command that counts signals on a case: it is never refused."""
    return _command("occur", case_id, {"actor": DEVICE, **ARGUMENTS["occur"]})


def creations(cases: Sequence[str], *, tenants: int = 0) -> Iterator[Sending]:
    """Return the commands that create cases, of one tenant or of so many in turn."""
    for number, case_id in enumerate(cases):
        tenant = tenant_name(number % tenants) if tenants else TENANT
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
        actor = DEVICE | {"tenant_id": tenant}
        yield _command("create", case_id, {"tenant_id": tenant, "actor": actor, "case": case})


def commands(cases: Sequence[str], count: int, *, seed: int = 2) -> Iterator[Sending]:
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


def recurring(count: int, times: int, *, prefix: str, per_device: int = 15) -> Iterator[Sending]:
    """Return signals of new faults that each come so often; all for the first time, then all again, and so on."""
    faults = -(-count // times)
    devices = -(-faults // per_device)
    for place in range(count):
        fault = place % faults
        yield signal(f"{prefix}-{fault % devices:05d}", f"E{fault // devices}", place)


def tenant_name(number: int) -> str:
    """Return the name of one of many tenants."""
    return f"{TENANT}-{number:05d}"


def signal(device_id: str, fault: str, place: int, *, tenant: str = TENANT) -> Sending:
    """Return one signal."""
    body = {
        "tenant_id": tenant,
        "device_id": device_id,
        "fault": fault,
        "severity": "major",
        "title": "Spindle over temperature",
        "description": DESCRIPTION[:170],
        "machine": {"serial": "SN-1", "model": "X2", "brand": "B", "technology": "T"},
        "measurements": {"temp_c": 91.4, "rpm": place % 9000},
    }
    return Sending(f"{tenant}/{device_id}".encode(), encoded(body), headers(RAISED))


def encoded(body: Mapping[str, object]) -> bytes:
    """Return a body as it is sent."""
    return orjson.dumps(body)


def _command(name: str, case_id: str, arguments: dict[str, object]) -> Sending:
    body = {"case_id": case_id, "tenant_id": TENANT, **arguments}
    return Sending(case_id.encode(), encoded(body), headers(command_type(name)))


def headers(type_: str) -> tuple[tuple[str, bytes], ...]:
    """Return the headers of a new message of a type."""
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", str(uuid.uuid4()).encode()),
        ("ce_source", b"/bench"),
        ("ce_type", type_.encode()),
        ("content-type", b"application/json"),
    )
