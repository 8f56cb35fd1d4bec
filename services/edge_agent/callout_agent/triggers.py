"""Triggers as they are written in a configuration."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from callout_agent.domain.custom import NAMES, Custom
from callout_agent.domain.deviation import Deviation
from callout_agent.domain.dynamic import Dynamic
from callout_agent.domain.expression import Expression, Refused
from callout_agent.domain.peak import Peak
from callout_agent.domain.trend import Trend
from callout_agent.domain.trigger import Preset, Trigger
from callout_agent.domain.usage import Usage
from callout_agent.domain.zone import Zone
from callout_agent.tables import Table

PRESETS: dict[str, Any] = {
    "peak": Peak,
    "trend": Trend,
    "usage": Usage,
    "deviation": Deviation,
    "zone": Zone,
    "dynamic": Dynamic,
    "custom": Custom,
}
SEVERITIES = ("critical", "major", "minor", "warning", "info")
DIRECTIONS = ("up", "down", "both")
CHOICES = {"direction": DIRECTIONS, "kind": ("counter", "amount", "time")}
# What the smallest and largest number may be; what is not named here may be any.
BOUNDS: dict[str, tuple[float, float | None]] = {
    "window_s": (0.001, None),
    "window_limit": (3, 100_000),
    "per_s": (0.001, None),
    "within_s": (0, None),
    "gap_s": (0, None),
    "learn_every_s": (0, None),
    "adapt_after_s": (0, None),
    "hysteresis": (0, None),
    "fill": (0, 1),
    "low": (0, 1),
    "high": (0, 1),
    "margin": (0, None),
    "count": (2, 100_000),
    "height": (0, None),
    "height_percent": (0, None),
    "rise": (0, None),
    "fall": (0, None),
    "limit": (0, None),
    "every": (1e-9, None),
    "sigmas": (0, None),
    "by": (0, None),
    "percent": (0, None),
}
# Of each group, at least one must be said.
NEEDED: dict[str, tuple[tuple[str, ...], ...]] = {
    "peak": (("height", "height_percent"),),
    "trend": (("rise", "fall", "reaches_above", "reaches_below"),),
    "usage": (("limit", "every"),),
    "deviation": (("sigmas", "by", "percent"),),
    "zone": (("above", "below"),),
    "dynamic": (),
    "custom": (),
}


def trigger(table: Table) -> Trigger:
    """Read one trigger.

    Raises:
        Misconfigured: It is none.
    """
    name = table.needed("name", pattern=r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")
    kind = table.needed("preset", choices=tuple(PRESETS))
    read = Trigger(
        name=name,
        series=table.needed("series", most=200),
        fault=table.text("fault", name, most=128) or name,
        severity=table.text("severity", "minor", choices=SEVERITIES) or "minor",
        title=table.text("title", most=200),
        description=table.text("description"),
        template=table.text("template", most=128),
        case_code=table.text("case_code", pattern=r"\d{4}-\d{4}"),
        models=table.texts("models"),
        transform=table.text("transform", "none", choices=("none", "rate", "change", "absolute")) or "none",
        every_s=table.number("every_s", 0.0, least=0) or 0.0,
        for_s=table.number("for_s", 0.0, least=0) or 0.0,
        clear_for_s=table.number("clear_for_s", 0.0, least=0) or 0.0,
        preset=_preset(kind, table),
    )
    table.end()
    if isinstance(read.preset, Usage) and read.preset.every is not None and read.for_s:
        raise table.wrong("for_s", "has no meaning for what is used up: each `every` is due at once")
    return read


def _preset(kind: str, table: Table) -> Preset:
    made = PRESETS[kind]
    for group in NEEDED[kind]:
        if not any(table.has(name) for name in group):
            raise table.wrong(" or ".join(group), f"is missing: a {kind} needs it")
    said: dict[str, Any] = {}
    for field in fields(made):
        wanted = str(field.type)
        if not table.has(field.name):
            table.number(field.name)  # known, and not said
            if "None" not in wanted and field.name in ("window_s", "raise_when") and kind != "custom":
                raise table.wrong(field.name, "is missing")
        elif "Expression" in wanted:
            said[field.name] = _expression(field.name, table)
        elif "str" in wanted:
            said[field.name] = table.needed(field.name, choices=CHOICES[field.name])
        else:
            least, most = BOUNDS.get(field.name, (None, None))
            number = table.number(field.name, least=least, most=most)
            said[field.name] = int(number or 0) if wanted == "int" else number
    if kind == "custom" and "raise_when" not in said:
        raise table.wrong("raise_when", "is missing")
    preset: Preset = made(**said)
    _fits(preset, table)
    return preset


def _fits(preset: Preset, table: Table) -> None:
    if isinstance(preset, Zone):
        room = (preset.above or 0.0) - (preset.below or 0.0) - 2 * preset.hysteresis
        if None not in (preset.above, preset.below) and room < 0:
            raise table.wrong("above", "and below leave no room for the hysteresis between them")
    if isinstance(preset, Trend):
        leads = preset.reaches_above is not None or preset.reaches_below is not None
        if leads and not preset.within_s:
            raise table.wrong("within_s", "is missing: reaches_above and reaches_below need it")
    if isinstance(preset, Usage):
        if (preset.limit is None) == (preset.every is None):
            raise table.wrong("limit", "or every: one of them")
        if preset.limit is not None and preset.window_s is None:
            raise table.wrong("window_s", "is missing: limit needs it")
    if isinstance(preset, Dynamic) and preset.low >= preset.high:
        raise table.wrong("low", "must be less than high")


def _expression(name: str, table: Table) -> Expression:
    text = table.needed(name)
    try:
        return Expression(text, NAMES)
    except Refused as error:
        raise table.wrong(name, f"is no expression: {error}") from error
