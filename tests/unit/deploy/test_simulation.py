"""The simulated fleet: repeatable, valid, and with the storms and flapping it promises."""

from collections import Counter
from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from deploy.fleet import signal_message
from deploy.simulated_machines import MIXES
from deploy.simulation import Fleet, Simulated, Tally, signal_id, simulate
from shared.contracts.catalogue import DEVICE_SIGNALS
from shared.contracts.signals import CLEARED, RAISED, Signal

FLEET = Fleet(seed=7, signals=600, rate=60)


def tally(fleet: Fleet) -> Tally:
    counted = Tally()
    for _ in counted.take(simulate(fleet)):
        pass
    return counted


def test_the_same_seed_brings_the_same_signals() -> None:
    assert list(simulate(FLEET)) == list(simulate(FLEET))


def test_another_seed_brings_other_signals() -> None:
    assert list(simulate(FLEET)) != list(simulate(replace(FLEET, seed=8)))


def test_every_signal_is_valid_and_says_who_it_is() -> None:
    for tenant, device, type_, body in simulate(FLEET):
        signal: Signal = DEVICE_SIGNALS.types[type_].validate_python(body)
        assert (signal.tenant_id, signal.device_id) == (tenant, device)


def test_ids_are_repeatable_and_differ() -> None:
    ids = [signal_id(FLEET, number) for number in range(FLEET.signals)]
    assert len(set(ids)) == FLEET.signals
    assert ids == [signal_id(FLEET, number) for number in range(FLEET.signals)]


def test_a_message_is_a_cloudevent_keyed_by_its_device() -> None:
    simulated = next(simulate(FLEET))
    told = signal_message(FLEET, 0, simulated)
    headers = dict(told.headers)
    assert told.key == f"{simulated.tenant}/{simulated.device}".encode()
    assert headers["ce_id"].decode() == signal_id(FLEET, 0)
    assert headers["ce_tenant"].decode() == simulated.tenant
    assert headers["ce_time"].decode() == simulated.signal["occurred_at"]


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("seed", range(20))
def test_as_many_storms_and_flapping_faults_come_about_as_were_asked_for(mix: str, seed: int) -> None:
    counted = tally(replace(FLEET, seed=seed, mix=mix, storms=2, flapping=3))
    assert (len(counted.storms), len(counted.flapping)) == (2, 3)


def test_a_calm_fleet_has_neither() -> None:
    counted = tally(replace(FLEET, storms=0, flapping=0, signals=5000))
    assert (counted.storms, counted.flapping) == (set(), set())


def test_the_least_number_of_signals_is_enough() -> None:
    fleet = replace(FLEET, storms=2, flapping=2)
    counted = tally(replace(fleet, signals=fleet.least_signals))
    assert (len(counted.storms), len(counted.flapping)) == (2, 2)


def test_more_incidents_than_devices_are_refused() -> None:
    with pytest.raises(ValueError, match="need as many devices"):
        Fleet(seed=1, signals=10, devices=2, storms=1, flapping=2)


def test_an_unknown_mix_is_refused() -> None:
    with pytest.raises(ValueError, match="mixed, noisy, healing"):
        Fleet(seed=1, signals=10, mix="merry")


def test_many_tenants_share_the_devices() -> None:
    fleet = replace(FLEET, devices=60, tenants=30, signals=3000)
    assert len({simulated.tenant for simulated in simulate(fleet)}) == 30


def test_event_time_goes_on_at_the_rate() -> None:
    times = [simulated.signal["occurred_at"] for simulated in simulate(replace(FLEET, rate=2, signals=200))]
    assert (times[0], times[-1]) == ("2026-03-02T06:00:00.000Z", "2026-03-02T06:01:39.500Z")
    assert times == sorted(times)


def test_a_devices_numbers_rise_by_one() -> None:
    seen: Counter[str] = Counter()
    for simulated in simulate(FLEET):
        seen[simulated.device] += 1
        assert simulated.signal["seq"] == seen[simulated.device]


def test_the_tally_counts_what_it_passes_on() -> None:
    signals = list(simulate(FLEET))
    counted = Tally()
    assert list(counted.take(signals)) == signals
    summary = counted.summary()
    assert summary["raised"] == sum(signal.type == RAISED for signal in signals)
    assert summary["cleared"] == sum(signal.type == CLEARED for signal in signals)
    assert summary["keys"] == len({(s.tenant, s.device, s.signal["fault"]) for s in signals})


def test_the_bodies_survive_json() -> None:
    adapter: TypeAdapter[Simulated] = TypeAdapter(Simulated)
    signals = list(simulate(FLEET))
    assert [adapter.validate_json(adapter.dump_json(signal)) for signal in signals] == signals
