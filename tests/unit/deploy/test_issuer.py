"""The development issuer: its key stays with its owner, and its tokens are taken by whoever trusts it."""

import stat
from pathlib import Path

import pytest

from deploy.cli.connection import FILE_VARIABLE
from deploy.embedded.issuer import AUDIENCE, ISSUER, DevelopmentIssuer
from services.gateway.domain.access import Identity
from services.gateway.http.identity import Keys, Tokens, Trust
from services.gateway.http.problems import Problem
from shared.contracts.words import Role
from tests.typed import typed


def gateway(issuer: DevelopmentIssuer) -> Tokens:
    return Tokens(Keys(issuer.environment()["GATEWAY_JWKS_URL"]), Trust(issuer=ISSUER, audience=AUDIENCE))


async def test_a_token_is_taken_by_who_trusts_the_issuer_and_by_nobody_else(tmp_path: Path) -> None:
    mine, other = DevelopmentIssuer(tmp_path / "mine"), DevelopmentIssuer(tmp_path / "other")
    mine.prepare()
    other.prepare()
    header = "Bearer " + mine.token(tenant="acme", user="ann", role="agent", scopes=["case:delete"])
    assert await gateway(mine).identify(header) == Identity("acme", "ann", Role.AGENT, frozenset({"case:delete"}))
    with pytest.raises(Problem):
        await gateway(other).identify(header)


def test_the_private_key_is_its_owners_alone_and_stays_over_restarts(tmp_path: Path) -> None:
    issuer = DevelopmentIssuer(tmp_path / "issuer")
    issuer.prepare()
    assert stat.S_IMODE(issuer.key_file.stat().st_mode) == 0o600
    before = issuer.key_file.read_bytes()
    issuer.prepare()
    assert issuer.key_file.read_bytes() == before
    assert '"d"' not in issuer.jwks_file.read_text()


async def test_the_command_prints_a_token_of_the_running_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = DevelopmentIssuer(tmp_path / "issuer")
    issuer.prepare()
    (tmp_path / "env").write_text(f"CALLOUT_ISSUER_KEY={issuer.key_file}\n")
    monkeypatch.setenv(FILE_VARIABLE, "")
    said = typed("--env", str(tmp_path / "env"), "token", "--tenant", "acme", "--user", "tess", "--role", "technician")
    assert said.code == 0
    assert await gateway(issuer).identify(f"Bearer {said.stdout.strip()}") == Identity("acme", "tess", Role.TECHNICIAN)


@pytest.mark.parametrize("words", [("--role", "system"), ("--role", "boss"), ("--tenant", "../x"), ("--user", "")])
def test_who_cannot_be_gets_no_token(words: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "env").write_text(f"CALLOUT_ISSUER_KEY={tmp_path}/none\n")
    given = {"--tenant": "acme", "--user": "ann", "--role": "agent", words[0]: words[1]}
    said = typed("--env", str(tmp_path / "env"), "token", *(word for pair in given.items() for word in pair))
    assert (said.code, said.stdout) == (2, "")


def test_without_a_stack_of_ones_own_there_is_no_issuer_to_ask(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("KAFKA_BOOTSTRAP_SERVERS=somewhere\n")
    said = typed("--env", str(tmp_path / "env"), "token", "--tenant", "acme", "--user", "ann")
    assert said.code == 3
    assert "development issuer" in said.stderr
