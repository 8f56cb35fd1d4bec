"""On a year-end of a real machine's temperatures, a zone and a trend find what people labelled as its failures."""

import csv
import json
import sys
from pathlib import Path

import pytest
from callout_agent.domain.engine import Engine
from callout_agent.domain.judgement import Move
from callout_agent.domain.reading import Reading, seconds
from callout_agent.domain.trend import Trend
from callout_agent.domain.zone import Zone

from tests.unit.edge_agent.parts import hot

# Chosen with these data at hand: what is shown is that the presets can say it, not that anybody could have known.
OUT_OF_ZONE = hot(
    name="out-of-zone",
    preset=Zone(above=110, below=55, hysteresis=15),
    for_s=3600,
    clear_for_s=6 * 3600,
    severity="major",
)
WARMING = hot(
    name="warming",
    preset=Trend(window_s=24 * 3600, rise=2.5, per_s=3600, hysteresis=0.5),
    every_s=900,
    clear_for_s=6 * 3600,
)


@pytest.mark.seed("S0.28")
def test_a_zone_and_a_trend_raise_a_case_in_at_least_three_of_four_labelled_windows(recorded_data: Path) -> None:
    folder = recorded_data / "nab"
    with (folder / "machine_temperature_system_failure.csv").open(newline="") as file:
        readings = [Reading("temp_c", seconds(row["timestamp"]), float(row["value"])) for row in csv.DictReader(file)]
    [windows] = json.loads((folder / "labels.json").read_text()).values()
    labelled = [(seconds(begin), seconds(end)) for begin, end in windows]
    engine = Engine([OUT_OF_ZONE, WARMING])
    raised = [
        (finding.trigger.name, finding.at)
        for reading in readings
        for finding in engine.observe(reading)
        if finding.move is Move.RAISE
    ]
    found = [[name for name, at in raised if begin <= at <= end] for begin, end in labelled]
    false = [name for name, at in raised if not any(begin <= at <= end for begin, end in labelled)]
    sys.stdout.write(f"windows: {found}; false episodes: {len(false)} ({', '.join(false)}) of {len(raised)}\n")
    assert sum(bool(names) for names in found) >= 3
    assert {name for names in found for name in names} == {"out-of-zone", "warming"}
    assert len(false) <= len(raised) // 2
    assert engine.ignored == {"late": 11}, "the machine's clock was set back by some minutes"
