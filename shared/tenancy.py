"""What tenants have set, as of any moment that a record may still come from."""

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, NamedTuple, TypeVar

from shared.contracts.tenant import KINDS
from shared.contracts.tenant_data import TenantData

View = TypeVar("View")
KEPT: Final = timedelta(days=8)
"""How long a replaced version is kept: longer than a command or signal lies on its topic."""
VERSIONS_MAX: Final = 64
VIEWS_MAX: Final = 10_000
NEVER: Final = datetime.min.replace(tzinfo=UTC)
ALWAYS: Final = datetime.max.replace(tzinfo=UTC)


class _Version(NamedTuple):
    """What one entry says (nothing: deleted) since a moment, and what it said before."""

    since: datetime
    body: bytes | None
    before: "_Version | None"


@dataclass(frozen=True, slots=True)
class _Built(Generic[View]):
    since: datetime
    until: datetime
    view: View


class Tenancy(Generic[View]):
    """The tenants' data as of a record's time, in the form that a service wants it (`build`).

    A change counts for the records that were appended at its own time or later. Bodies are held as the bytes they came
    in; the forms that were asked for are remembered, at most `VIEWS_MAX`. `heard` is told the tenant and the kind of
    each change.
    """

    def __init__(
        self,
        build: Callable[[TenantData], View],
        kinds: Collection[str] = tuple(KINDS),
        heard: Callable[[str, str], None] = lambda _tenant_id, _kind: None,
    ) -> None:
        self._build = build
        self._heard = heard
        self._kinds = {kind: kind for kind in kinds}
        self._tenants: dict[str, dict[str, dict[str, _Version]]] = {}
        self._deleted: deque[tuple[datetime, str, str, str]] = deque()
        self._built: dict[str, _Built[View]] = {}
        self._unset = build(TenantData())

    def of(self, tenant_id: str, as_of: datetime) -> View:
        """Return what a tenant had set at a moment."""
        built = self._built.get(tenant_id)
        if built is not None and built.since <= as_of < built.until:
            return built.view
        kinds = self._tenants.get(tenant_id)
        if kinds is None:
            return self._unset
        built = self._built_from(kinds, as_of)
        self._built.pop(tenant_id, None)
        if len(self._built) >= VIEWS_MAX:
            del self._built[next(iter(self._built))]
        self._built[tenant_id] = built
        return built.view

    async def catch_up(self, until: datetime) -> None:
        """Wait for nothing: what was heard is all there is."""

    def changed_at(self, tenant_id: str, kinds: Collection[str]) -> datetime | None:
        """Return when a tenant last changed something of these kinds."""
        found = (self._tenants.get(tenant_id, {}).get(kind, {}) for kind in kinds)
        return max((version.since for versions in found for version in versions.values()), default=None)

    @property
    def tenants(self) -> Collection[str]:
        """The tenants that have, or lately had, something set."""
        return self._tenants.keys()

    def hear(self, tenant_id: str, kind: str, name: str, body: bytes | None, at: datetime) -> None:
        """Take in one change, in the order of the topic; a body of nothing means deleted.

        Raises:
            ValueError: if the body is not valid; what was valid before stays in force.
        """
        if kind not in self._kinds:
            return
        if body is not None:
            KINDS[kind].model_validate_json(body)
        versions = self._tenants.setdefault(tenant_id, {}).setdefault(self._kinds[kind], {})
        before = versions.get(name)
        # A broker's clock may have been set back: a later change never counts before an earlier one.
        since = at if before is None else max(at, before.since)
        versions[name] = _Version(since, body, _lately(before, since - KEPT))
        self._built.pop(tenant_id, None)
        if body is None:
            self._deleted.append((since, tenant_id, kind, name))
        self._forget_deleted(since - KEPT)
        self._heard(tenant_id, kind)

    def _forget_deleted(self, until: datetime) -> None:
        while self._deleted and self._deleted[0][0] <= until:
            since, tenant_id, kind, name = self._deleted.popleft()
            kinds = self._tenants.get(tenant_id, {})
            version = kinds.get(kind, {}).get(name)
            if version is not None and version.body is None and version.since == since:
                del kinds[kind][name]
                if not any(kinds.values()):
                    del self._tenants[tenant_id]
                    self._built.pop(tenant_id, None)

    def _built_from(self, kinds: dict[str, dict[str, _Version]], as_of: datetime) -> _Built[View]:
        bodies: dict[str, dict[str, bytes]] = {}
        changed: dict[str, datetime] = {}
        until = ALWAYS
        for kind, versions in kinds.items():
            for name, newest in versions.items():
                version: _Version | None = newest
                while version is not None and version.since > as_of:
                    until = min(until, version.since)
                    version = version.before
                if version is not None:
                    changed[kind] = max(changed.get(kind, NEVER), version.since)
                    if version.body is not None:
                        bodies.setdefault(kind, {})[name] = version.body
        return _Built(max(changed.values(), default=NEVER), until, self._build(TenantData(bodies, changed)))


def _lately(version: _Version | None, until: datetime) -> _Version | None:
    """Return the versions that a record may still ask for: the newest, and what it replaced since `until`."""
    kept: list[_Version] = []
    while version is not None and len(kept) < VERSIONS_MAX:
        kept.append(version)
        if version.since <= until:
            break
        version = version.before
    older: _Version | None = None
    for version in reversed(kept):
        older = version._replace(before=older)
    return older
