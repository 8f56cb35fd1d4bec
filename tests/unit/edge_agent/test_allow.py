"""The allow list: nothing that is not named, nothing at other hours, nothing at all if it cannot be read."""

from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from callout_agent.allow import Switchboard, load
from callout_agent.domain.allow import AllowList, Terminal, hours_of
from callout_agent.tables import Misconfigured

MONDAY_NOON = datetime(2026, 3, 2, 12, 0)  # noqa: DTZ001 - the device's local time
SUNDAY_NOON = datetime(2026, 3, 1, 12, 0)  # noqa: DTZ001


def written(folder: Path, text: str) -> Path:
    path = folder / "allow.toml"
    path.write_text(text)
    path.chmod(0o644)
    return path


def test_only_what_is_named_may_be_reached(tmp_path: Path) -> None:
    allowed = load(written(tmp_path, 'endpoints = ["192.168.0.10:22", "[fd00::7]:443"]'))
    assert allowed.allows(ip_address("192.168.0.10"), 22, MONDAY_NOON)
    assert allowed.allows(ip_address("fd00::7"), 443, MONDAY_NOON)
    assert not allowed.allows(ip_address("192.168.0.10"), 23, MONDAY_NOON)
    assert not allowed.allows(ip_address("192.168.0.11"), 22, MONDAY_NOON)


def test_a_network_and_a_range_of_ports_may_be_named(tmp_path: Path) -> None:
    allowed = load(written(tmp_path, 'endpoints = ["192.168.7.0/24:8000-8080", "10.0.0.1:*"]'))
    assert allowed.allows(ip_address("192.168.7.255"), 8080, MONDAY_NOON)
    assert allowed.allows(ip_address("10.0.0.1"), 65535, MONDAY_NOON)
    assert not allowed.allows(ip_address("192.168.8.1"), 8080, MONDAY_NOON)
    assert not allowed.allows(ip_address("192.168.7.1"), 8081, MONDAY_NOON)


def test_the_list_counts_as_it_is_at_this_moment_and_for_nothing_while_the_switch_is_there(tmp_path: Path) -> None:
    path, switch = written(tmp_path, 'endpoints = ["10.0.0.1:22"]'), tmp_path / "sessions.off"
    told: list[str] = []
    rules = Switchboard(path, switch, told.append)
    assert not rules().forbid_all
    switch.touch()
    assert rules().forbid_all
    switch.unlink()
    assert not rules().forbid_all
    written(tmp_path, 'endpoints = ["plc.local:22"]')
    assert (rules().forbid_all, rules().endpoints, len(told)) == (True, (), 1)
    written(tmp_path, 'endpoints = ["10.0.0.2:22", "10.0.0.3:22"]')
    assert len(rules().endpoints) == 2
    path.unlink()
    assert rules().forbid_all
    assert Switchboard(None, switch, told.append)().forbid_all


def test_only_at_its_hours(tmp_path: Path) -> None:
    text = 'endpoints = ["10.0.0.1:22"]\nhours = ["mon-fri 07:00-18:00", "sat 08:00-12:00"]'
    allowed = load(written(tmp_path, text))
    assert allowed.open_at(MONDAY_NOON)
    assert allowed.open_at(MONDAY_NOON.replace(hour=7, minute=0))
    assert not allowed.open_at(MONDAY_NOON.replace(hour=18, minute=0))
    assert not allowed.allows(ip_address("10.0.0.1"), 22, SUNDAY_NOON)


def test_one_switch_forbids_all(tmp_path: Path) -> None:
    allowed = load(written(tmp_path, 'forbid_all = true\nendpoints = ["10.0.0.1:22"]'))
    assert not allowed.allows(ip_address("10.0.0.1"), 22, MONDAY_NOON)
    assert not AllowList().open_at(MONDAY_NOON), "without a list nothing is allowed"


def test_folders_are_there_and_are_no_links(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "out")
    allowed = load(written(tmp_path, f'[[root]]\npath = "{tmp_path / "out"}"\nwritable = true'))
    assert [(root.path, root.writable) for root in allowed.roots] == [(str(tmp_path / "out"), True)]
    for odd in ("link", "none", "out/../out"):
        with pytest.raises(Misconfigured, match="folder"):
            load(written(tmp_path, f'[[root]]\npath = "{tmp_path / odd}"'))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('endpoints = ["plc.local:22"]', "never names"),
        ('endpoints = ["10.0.0.1"]', "addresses"),
        ('endpoints = ["10.0.0.1:0"]', "a port from 1 to 65535"),
        ('endpoints = ["10.0.0.1:65536"]', "a port from 1 to 65535"),
        ('endpoints = ["0.0.0.0:22"]', "one machine"),
        ('endpoints = ["224.0.0.1:22"]', "one machine"),
        ('endpoints = ["0.0.0.0/0:22"]', "a network of yours"),
        ('endpoints = ["10.0.0.1/24:22"]', "addresses"),
        ('endpoints = ["10.0.0.1:90-80"]', "a range"),
        ('owners = ["c2hvcnQ"]', "Ed25519 public keys"),
        ('[[root]]\npath = "/"', "below /"),
        ('[[root]]\npath = "var"', "in full"),
        ('[[terminal]]\nendpoint = "shell"\nuser = "root"', "a program"),
        ('[[terminal]]\nendpoint = "shell"\ncommand = ["sh"]\nuser = "root"', "full path"),
        ('[[terminal]]\nendpoint = "shell"\ncommand = ["/no/such/shell"]\nuser = "root"', "can be run"),
        ('[[terminal]]\nendpoint = "shell"\ncommand = ["/bin/sh"]\nuser = "~nobody"', "user of this machine"),
        ('hours = ["always"]', "mon-fri 07:00-18:00"),
        ('hours = ["mon 18:00-07:00"]', "two entries"),
        ('hours = ["mon 07:00-25:00"]', "time of the day"),
        ('endpoint = ["10.0.0.1:22"]', "did you mean endpoints"),
        ("forbid_all = 1", "true or false"),
        ("forbid_all", "is no TOML"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_write(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Misconfigured, match=said):
        load(written(tmp_path, text))


def test_there_is_a_terminal_only_where_one_is_named_and_it_is_recorded_unless_said_otherwise(tmp_path: Path) -> None:
    text = '[[terminal]]\nendpoint = "shell"\ncommand = ["/bin/sh", "-i"]\nuser = "root"\n'
    allowed = load(written(tmp_path, text + "record_mb_max = 2"))
    assert allowed.terminal("shell") == Terminal("shell", ("/bin/sh", "-i"), "root", True, 2 * 1024 * 1024)
    assert allowed.terminal("other") is None
    assert AllowList().terminal("shell") is None
    assert load(written(tmp_path, text + "record = false")).terminals[0].record is False


def test_a_terminal_never_runs_as_root_because_nobody_said_as_whom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, '[[terminal]]\nendpoint = "shell"\ncommand = ["/bin/sh"]')
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(Misconfigured, match="the agent is root"):
        load(path)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert load(path).terminals[0].user == ""


def test_a_list_that_others_may_write_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "forbid_all = true")
    path.chmod(0o666)
    with pytest.raises(Misconfigured, match="others may write it"):
        load(path)


def test_hours_may_go_over_the_weekend() -> None:
    assert hours_of("fri-mon 08:00-12:00").days == {4, 5, 6, 0}
    assert hours_of("sun 00:00-24:00").hold(SUNDAY_NOON.replace(hour=23, minute=59))
