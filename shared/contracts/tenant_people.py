"""Who takes part: users with their roles and scopes, teams, and other tenants that cases are shared with."""

from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from shared.contracts.fields import Model, Word
from shared.contracts.words import Facet, Role


def _of_people(role: Role) -> Role:
    if role in {Role.DEVICE, Role.SYSTEM}:
        raise ValueError(f"`{role}` is no role of people; give one of theirs, as agent")
    return role


Pattern = Annotated[str, Field(min_length=1, max_length=255)]
Scope = Annotated[str, StringConstraints(pattern=r"^(case:delete|device:\S{1,248})$")]
Address = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)]
PersonRole = Annotated[Role, AfterValidator(_of_people)]
DEVICES = "device:"


class User(Model):
    """Kind `user`, named by the id that commands carry: what a person may do (roles), and on what (scopes).

    A scope `device:<pattern>` limits the person to cases of such devices (several: any of them; none: all cases);
    `case:delete` allows a dispatcher to delete cases.
    """

    name: Word | None = None
    roles: Annotated[tuple[PersonRole, ...], Field(min_length=1, max_length=9)]
    scopes: Annotated[tuple[Scope, ...], Field(max_length=100)] = ()
    email: Address | None = None
    phone: Word | None = None
    active: bool = True

    def may(self, scope: str) -> bool:
        """Tell whether the person has a scope by name."""
        return self.active and scope in self.scopes

    def covers(self, device_id: str | None) -> bool:
        """Tell whether cases of a device are the person's business."""
        patterns = [scope.removeprefix(DEVICES) for scope in self.scopes if scope.startswith(DEVICES)]
        return not patterns or (device_id is not None and any(fnmatchcase(device_id, p) for p in patterns))


class Team(Model):
    """Kind `team`: users who work together."""

    name: Word | None = None
    members: Annotated[tuple[Word, ...], Field(max_length=1000)] = ()
    lead: Word | None = None
    email: Address | None = None


class Counterpart(Model):
    """Kind `counterpart`, named by its tenant id: another tenant that cases may be shared with, and what it sees."""

    name: Word | None = None
    onboarded: bool = True
    devices: Annotated[tuple[Pattern, ...], Field(min_length=1, max_length=100)] = ("*",)
    hides: Annotated[tuple[Facet, ...], Field(max_length=20)] = ()

    def covers(self, device_id: str | None) -> bool:
        """Tell whether cases of a device may be shared; a case without a device always may."""
        return device_id is None or any(fnmatchcase(device_id, pattern) for pattern in self.devices)
