"""What tenants have set, as of the time of a record."""

import json
import tracemalloc
from datetime import datetime, timedelta

import pytest

from shared.contracts.tenant_data import TenantData
from shared.tenancy import KEPT, VERSIONS_MAX, Tenancy
from tests.unit.workflow.builders import START

SETTINGS = ("settings", "default")


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def days(number: int) -> bytes:
    return json.dumps({"auto_archive_days": number}).encode()


class World:
    def __init__(self) -> None:
        self.built = 0
        self.tenancy = Tenancy(self.build)

    def build(self, data: TenantData) -> TenantData:
        self.built += 1
        return data

    def hear(self, hours: float, body: bytes | None, tenant: str = "acme", entry: tuple[str, str] = SETTINGS) -> None:
        self.tenancy.hear(tenant, *entry, body, at(hours))

    def archive_days(self, hours: float, tenant: str = "acme") -> int:
        return self.tenancy.of(tenant, at(hours)).settings.auto_archive_days


@pytest.fixture
def world() -> World:
    return World()


def test_a_tenant_that_set_nothing_has_the_defaults(world: World) -> None:
    assert world.archive_days(0) == 90
    world.hear(1, days(7), tenant="globex")
    assert world.archive_days(2) == 90


def test_a_change_counts_for_records_from_its_own_time_on(world: World) -> None:
    world.hear(1, days(7))
    world.hear(2, days(8))
    world.hear(3, None)
    assert [world.archive_days(hours) for hours in (0.999, 1, 1.999, 2, 2.999, 3, 9)] == [90, 7, 7, 8, 8, 90, 90]


def test_an_older_record_that_comes_again_sees_what_it_saw(world: World) -> None:
    world.hear(1, days(7))
    assert world.archive_days(5) == 7
    world.hear(6, days(8))
    assert (world.archive_days(7), world.archive_days(5), world.archive_days(7)) == (8, 7, 8)


def test_a_clock_that_was_set_back_puts_no_later_change_before_an_earlier_one(world: World) -> None:
    world.hear(5, days(7))
    world.hear(4, days(8))
    assert (world.archive_days(4.5), world.archive_days(5)) == (90, 8)


def test_what_is_not_valid_leaves_what_was_in_force(world: World) -> None:
    world.hear(1, days(7))
    with pytest.raises(ValueError):
        world.hear(2, b'{"auto_archive_days": -1}')
    assert world.archive_days(3) == 7


def test_a_kind_that_the_service_has_no_use_for_is_not_kept() -> None:
    tenancy = Tenancy(lambda data: data, kinds=("rules",))
    tenancy.hear("acme", *SETTINGS, days(7), at(1))
    assert not tenancy.tenants


def test_entries_of_all_kinds_are_told_apart_by_kind_and_name(world: World) -> None:
    user = b'{"roles": ["agent"]}'
    world.hear(1, user, entry=("user", "ann"))
    world.hear(1, b'{"members": ["ann"]}', entry=("team", "ann"))
    data = world.tenancy.of("acme", at(1))
    assert data.has_users
    assert data.user("ann") is not None
    assert data.user("bob") is None
    team = data.team("ann")
    assert team is not None
    assert team.members == ("ann",)


def test_what_was_built_serves_until_something_changes(world: World) -> None:
    world.hear(1, days(7))
    before = world.built
    for hours in range(1, 100):
        world.archive_days(hours)
    assert world.built == before + 1
    world.hear(100, days(8))
    world.archive_days(101)
    assert world.built == before + 2


def test_replaced_versions_are_kept_as_long_as_a_record_may_ask_and_no_longer(world: World) -> None:
    world.hear(1, days(7))
    world.hear(2, days(8))
    late = 2 + KEPT / timedelta(hours=1)
    world.hear(late + 1, days(9))
    assert world.archive_days(2) == 8, "in force until an hour ago"
    assert world.archive_days(1.5) == 90, "nothing asks for that any more"
    for number in range(1000):
        world.hear(late + 2 + number / 1000, days(number))
    versions = 0
    version = world.tenancy._tenants["acme"]["settings"]["default"]
    while version is not None:
        versions, version = versions + 1, version.before
    assert versions <= VERSIONS_MAX + 1


def test_a_deleted_tenant_leaves_nothing_behind_in_the_end(world: World) -> None:
    world.hear(1, days(7))
    world.hear(2, None)
    assert "acme" in world.tenancy.tenants
    world.hear(3 + KEPT / timedelta(hours=1), days(1), tenant="globex")
    assert list(world.tenancy.tenants) == ["globex"]
    assert world.archive_days(500) == 90


def test_what_came_back_after_its_deletion_stays(world: World) -> None:
    world.hear(1, None)
    world.hear(2, days(7))
    world.hear(3 + KEPT / timedelta(hours=1), days(1), tenant="globex")
    assert world.archive_days(500) == 7


def test_it_is_known_when_a_tenant_last_changed_something_of_some_kinds(world: World) -> None:
    world.hear(1, days(7))
    world.hear(2, b'{"roles": ["agent"]}', entry=("user", "ann"))
    assert world.tenancy.changed_at("acme", ("settings", "sla")) == at(1)
    assert world.tenancy.changed_at("acme", ("sla",)) is None
    assert world.tenancy.changed_at("globex", ("settings",)) is None


def test_ten_thousand_tenants_fit_into_little_memory() -> None:
    """A fiftieth of them is measured: each has settings, a calendar, a level of service and twenty users."""
    tenants, tenancy = 200, Tenancy(lambda data: data)
    calendar = json.dumps({"time_zone": "Europe/Berlin", "week": {"mon": ["08:00-12:00", "13:00-17:00"]}}).encode()
    tracemalloc.start()
    for number in range(tenants):
        tenant = f"tenant-{number:05d}"
        tenancy.hear(tenant, *SETTINGS, days(number % 300), at(1))
        tenancy.hear(tenant, "calendar", "plant", calendar[:], at(1))
        tenancy.hear(tenant, "sla", "default", b'{"calendar": "plant"}', at(1))
        for user in range(20):
            body = json.dumps({"roles": ["agent"], "name": f"User {user} of {number}"}).encode()
            tenancy.hear(tenant, "user", f"user-{user}", body, at(1))
        assert tenancy.of(tenant, at(2)).calendar("plant") is not None
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / tenants < 16_000, "160 MB for ten thousand"
