"""Devices that made their keys themselves: known to the relay by the registry, to technicians by the relay."""

import asyncio
import errno
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncssh
import pytest
from callout_agent.identity import HOST_CERTIFICATE, USER_CA, session_key
from callout_agent.sessions import dialler as module
from callout_agent.sessions.dialler import Dialler, Identity

from services.remote_session.relay import authority
from services.remote_session.relay.authority import REGISTERED
from tests.unit.remote_session.test_relay import HERE, NEEDS_SSH, Site, greet, port, run, serve

pytestmark = NEEDS_SSH


class Enrolled(Site):
    """A site whose machine has a key that it made, and was told whom to trust; nothing else."""

    async def open(self) -> "Enrolled":
        await self.prepare()
        self.own = self.folder / "own"
        self.key = session_key(self.own)
        (self.own / USER_CA).write_text(f"{self.authority.user_ca}\n")
        self.dialler = Dialler(Identity("acme", "press-07", self.own), [(HERE, self.edge_port)], lambda: self.rules)
        self.dialling = asyncio.create_task(self.dialler.run())
        self.tasks.append(self.dialling)
        return self

    async def register(self, version: int, key: str | None) -> None:
        known = {"session_key": key} if key else {}
        await self.ledger.say("observe_registry", version=version, **known)

    async def dial(self) -> None:
        """Begin to dial anew, at once."""
        self.dialling.cancel()
        await asyncio.gather(self.dialling, return_exceptions=True)
        self.dialling = asyncio.create_task(self.dialler.run())
        self.tasks.append(self.dialling)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Enrolled]:
    opened = await Enrolled(tmp_path).open()
    yield opened
    await opened.close()


async def test_a_device_that_the_registry_knows_takes_sessions_of_stock_clients(site: Enrolled) -> None:
    server, number = await serve(greet)
    async with server:
        await site.register(1, site.key)
        await site.until(lambda: bool(site.edges.all()), 60)
        session_id = await site.active(port(number))
        code, said = await run("ssh", "-F", site.config(session_id), "-W", f"{HERE}:{number}", "machine")
        assert (code, said) == (0, "220 ready\r\nbye\r\n"), "technicians know it by the relays' certificate"


async def test_a_device_that_the_registry_has_not_is_not_admitted_and_one_it_has_no_more_is_cut_off(
    site: Enrolled,
) -> None:
    await site.register(1, f"ssh-ed25519 {'A' * 68}")
    refused = asyncio.get_running_loop().time() + 1
    await site.until(lambda: asyncio.get_running_loop().time() > refused)
    assert not site.edges.all(), "another key is registered"
    await site.register(2, site.key)
    await site.until(lambda: bool(site.edges.all()), 60)
    await site.until((site.own / HOST_CERTIFICATE).exists, 60)
    await site.register(3, None)
    await site.leases.renew(0)
    await site.until(lambda: not site.edges.all(), 60)
    await site.dial()
    await asyncio.sleep(1)
    assert not site.edges.all(), "the certificate that it was given lets nobody in"


async def test_a_device_keeps_no_certificate_of_another_key_or_name(site: Enrolled) -> None:
    identity, other = site.dialler.identity, asyncssh.generate_private_key("ssh-ed25519")
    own = asyncssh.import_public_key(site.key)
    for text in (
        "no certificate",
        site.authority.certify_edge(other, "press-07.acme"),
        site.authority.certify_edge(own, "press-08.acme"),
    ):
        assert not identity.certified(text)
    assert identity.certificate() == ""
    assert identity.certified(site.authority.certify_edge(own, "press-07.acme"))
    kept: asyncssh.SSHCertificate = asyncssh.import_certificate(identity.certificate())
    assert list(kept.principals) == ["press-07.acme", REGISTERED]


async def test_a_device_whose_disk_is_full_goes_on_with_the_certificate_that_it_has(
    site: Enrolled, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity, own = site.dialler.identity, asyncssh.import_public_key(site.key)
    assert identity.certified(site.authority.certify_edge(own, "press-07.acme"))
    before = identity.certificate()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "replace", full)
    assert not identity.certified(site.authority.certify_edge(own, "press-07.acme"))
    assert identity.certificate() == before


async def test_a_relay_shows_fresh_certificates_of_its_own_before_the_first_ones_end(
    site: Enrolled, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, number = await serve(greet)
    async with server:
        await site.register(1, site.key)
        await site.until(lambda: bool(site.edges.all()), 60)
        session_id = await site.active(port(number))
        command = ("ssh", "-F", site.config(session_id), "-W", f"{HERE}:{number}", "machine")
        monkeypatch.setattr(authority, "RELAY_VALID", timedelta(seconds=-30))
        site.door.renew()
        site.edges.renew()
        assert (await run(*command))[0] == 255, "technicians believe no certificate that has ended"
        site.edges.all()[0].connection.abort()
        await site.dial()
        await asyncio.sleep(1)
        assert not site.edges.all(), "nor do devices"
        monkeypatch.undo()
        site.door.renew()
        site.edges.renew()
        await site.dial()
        await site.until(lambda: bool(site.edges.all()), 60)
        await site.until(lambda: site.machine.state.value == "ACTIVE", 60)
        assert (await run(*command))[0] == 0
