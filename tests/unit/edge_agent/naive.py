"""The seven presets as their descriptions say them, worked out anew from all readings every time."""

from collections.abc import Sequence
from math import floor, sqrt

from callout_agent.domain.judgement import State

Readings = Sequence[tuple[int, int]]


def within(readings: Readings, at: int, seconds: float) -> list[tuple[int, int]]:
    """Return the readings later than so many seconds before a time."""
    return [reading for reading in readings if at - seconds < reading[0] <= at]


def state(bad: bool, fine: bool) -> State:
    return State.BAD if bad else State.FINE if fine else State.NEITHER


def zone(seen: Readings, above: float | None, below: float | None, hysteresis: float) -> State:
    value = seen[-1][1]
    bad = (above is not None and value > above) or (below is not None and value < below)
    high = above is None or value + hysteresis <= above
    low = below is None or value - hysteresis >= below
    return state(bad, high and low)


def peak(seen: Readings, window_s: float, height: float, direction: str, hysteresis: float) -> State:
    at, value = seen[-1]
    before = [each for _, each in within(seen[:-1], at, window_s)]
    if not before:
        return State.NEITHER
    up, down = value - min(before), max(before) - value
    jump = {"up": up, "down": down, "both": max(up, down)}[direction]
    return state(jump > 0 and jump >= height, jump <= 0 or jump < height - hysteresis)


def line(readings: Readings) -> float | None:
    """Return the slope of the line with the least squares."""
    count = len(readings)
    t_mean, v_mean = sum(t for t, _ in readings) / count, sum(v for _, v in readings) / count
    spread = sum((t - t_mean) ** 2 for t, _ in readings)
    return sum((t - t_mean) * (v - v_mean) for t, v in readings) / spread if spread else None


def trend(seen: Readings, window_s: float, rise: float, per_s: float, fill: float, hysteresis: float) -> State:
    at = seen[-1][0]
    window = within(seen, at, window_s)
    slope = line(window)
    if len(window) < 3 or window[-1][0] - window[0][0] < fill * window_s or slope is None:
        return State.NEITHER
    change = slope * per_s
    return state(change >= rise, change < rise - hysteresis)


def forecast(seen: Readings, window_s: float, reaches_above: float, within_s: float) -> State:
    at, value = seen[-1]
    window = within(seen, at, window_s)
    slope = line(window)
    if len(window) < 3 or slope is None:
        return State.NEITHER
    bad = value + slope * within_s >= reaches_above
    return state(bad, not bad)


def used(seen: Readings, kind: str, on_above: float, gap_s: float) -> list[tuple[int, float]]:
    """Return when how much was used."""
    parts: list[tuple[int, float]] = []
    for place, (at, value) in enumerate(seen):
        before = seen[place - 1] if place else None
        if kind == "amount":
            parts.append((at, value))
        elif before is None:
            continue
        elif kind == "counter":
            parts.append((at, value - before[1] if value >= before[1] else value))
        elif before[1] >= on_above:
            parts.append((at, min(at - before[0], gap_s)))
    return parts


def usage(seen: Readings, kind: str, window_s: float, limit: float, hysteresis: float) -> State:
    at = seen[-1][0]
    total = sum(part for when, part in used(seen, kind, 0.5, 300.0) if at - window_s < when)
    return state(total >= limit, total < limit - hysteresis)


def usage_every(seen: Readings, every: float) -> State:
    """A counter: due where it passes a multiple that it never had passed since it began."""
    values = [value for _, value in seen]
    began = max((place for place in range(1, len(values)) if values[place] < values[place - 1]), default=0)
    if began == len(values) - 1:
        return State.FINE if began else State.NEITHER
    passed = floor(values[-1] / every) > max(floor(each / every) for each in values[began:-1])
    return State.BAD if passed else State.NEITHER


def deviation(seen: Readings, window_s: float, sigmas: float, by: float, count: int, direction: str) -> State:
    at, value = seen[-1]
    before = [each for _, each in within(seen[:-1], at, window_s)]
    if len(before) < count:
        return State.NEITHER
    mean = sum(before) / len(before)
    spread = sqrt(sum((each - mean) ** 2 for each in before) / len(before))
    allowed = max(sigmas * spread, by)
    off = {"up": value - mean, "down": mean - value, "both": abs(value - mean)}[direction]
    return state(off > allowed, off <= allowed)


def dynamic(seen: Readings, window_s: float, margin: float, count: int, adapt_after_s: float) -> list[State]:
    """Return the state after each reading: who is outside teaches nothing, so that states build on one another."""
    states: list[State] = []
    taught: list[tuple[int, int]] = []
    outside_since: int | None = None
    limits: tuple[float, float] | None = None
    for at, value in seen:
        if outside_since is None:
            normal = sorted(each for _, each in within(taught, at, window_s))
            if len(normal) >= count:
                low, high = middle(normal, 0.05), middle(normal, 0.95)
                limits = (low - margin * (high - low), high + margin * (high - low))
        if limits is None:
            states.append(State.NEITHER)
            taught.append((at, value))
            continue
        outside = not limits[0] <= value <= limits[1]
        states.append(State.BAD if outside else State.FINE)
        if not outside:
            outside_since = None
            taught.append((at, value))
        else:
            outside_since = at if outside_since is None else outside_since
            if at - outside_since >= adapt_after_s:
                limits = outside_since = None
                taught = [(at, value)]
    return states


def middle(ordered: list[int], part: float) -> float:
    place = part * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def moves(judged: Sequence[tuple[int, State]], for_s: float, clear_for_s: float) -> list[tuple[int, str]]:
    """Return what is told: after each judgement, look back how long it has been so."""
    told: list[tuple[int, str]] = []
    raised = False
    for end in range(len(judged)):
        at = judged[end][0]
        wanted, seconds, word = (State.FINE, clear_for_s, "clear") if raised else (State.BAD, for_s, "signal")
        begin = end
        while begin >= 0 and judged[begin][1] is wanted:
            begin -= 1
        if begin < end and at - judged[begin + 1][0] >= seconds:
            raised = not raised
            told.append((at, word))
    return told
