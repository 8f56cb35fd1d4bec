"""Whether an owner's consent covers a session, and until when."""

from collections.abc import Iterable
from datetime import datetime, time, timedelta

from shared.contracts.session_words import Direction, SessionKind
from shared.contracts.sessions import Consent, ConsentHours, ConsentScope, RemoteSession, SessionService
from shared.contracts.tenant_time import minutes, time_zone


def covering(consents: Iterable[Consent], session: RemoteSession, now: datetime) -> Consent | None:
    """Return the first consent that lets a session be, now."""
    return next((consent for consent in consents if covers(consent, session, now)), None)


def covers(consent: Consent, session: RemoteSession, now: datetime) -> bool:
    """Tell whether a consent lets a session be: its case, person, endpoints, ports, directions and time."""
    scope = consent.scope
    return (
        consent.case_id == session.case_id
        and consent.session_id in {None, session.id}
        and (not scope.persons or session.by.id in scope.persons)
        and all(_reaches(scope, session.kind, service) for service in session.services)
        and covered_until(consent, now) != now
    )


def covered_until(consent: Consent, now: datetime) -> datetime | None:
    """Return until when a consent holds without a break; nothing if it has no end, `now` if it does not hold."""
    scope = consent.scope
    if (scope.starts_at is not None and now < scope.starts_at) or (scope.until is not None and now >= scope.until):
        return now
    if scope.hours is None:
        return scope.until
    closes = _closes(scope.hours, now)
    return closes if scope.until is None else min(closes, scope.until)


def _closes(hours: ConsentHours, now: datetime) -> datetime:
    """Return the end of the span of hours that `now` is in; `now` if it is in none."""
    zone = time_zone(hours.timezone)
    local = now.astimezone(zone)
    if local.isoweekday() not in hours.days:
        return now
    minute = local.hour * 60 + local.minute
    for span in hours.hours:
        start, end = minutes(span)
        if start <= minute < end:
            midnight = datetime.combine(local.date(), time(), zone)
            day, rest = divmod(end, 24 * 60)
            wall = datetime.combine(midnight.date() + timedelta(days=day), time(rest // 60, rest % 60), zone)
            return max(wall.astimezone(now.tzinfo), now + timedelta(milliseconds=1))
    return now


def _reaches(scope: ConsentScope, kind: SessionKind, service: SessionService) -> bool:
    """Tell whether a service is within the scope; another target than the endpoint's needs more than its name."""
    named = bool(scope.endpoints)
    if named and service.endpoint not in scope.endpoints:
        return False
    if kind is SessionKind.FILE:
        return scope.direction in {Direction.BOTH, service.direction}
    if named and "host" in service.overridden:
        return False
    if named and "port" in service.overridden and not scope.ports:
        return False
    return not scope.ports or service.port in scope.ports
