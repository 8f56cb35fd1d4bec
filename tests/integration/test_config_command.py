"""`callout config` with the data of a whole tenant, against the running brokers."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deploy.auditing import AuditTrail
from deploy.tenant_config import apply_changes, changes
from deploy.tenant_files import Entry, read_tenant_file
from shared.config import TenantConfig
from shared.tenancy import Tenancy
from tests.stack import PROJECT, RunningStack

pytestmark = pytest.mark.integration
EXAMPLE = PROJECT / "docs" / "examples" / "tenant.yaml"


def written(folder: Path, text: str) -> str:
    path = folder / "tenant.yaml"
    path.write_text(text)
    return str(path)


def test_a_file_is_applied_whole_got_back_and_pruned(infra: RunningStack, tmp_path: Path) -> None:
    text = EXAMPLE.read_text().replace("tenant: acme", "tenant: whole").replace("tenant: globex", "tenant: whole-2")
    file = written(tmp_path, text)
    assert infra.callout("config", "diff", file).code == 1
    applied = infra.callout("config", "apply", file, "--json")
    assert applied.code == 0, applied.stderr
    assert len(json.loads(applied.stdout)) == 18
    assert infra.callout("config", "diff", file).code == 0
    back = infra.callout("config", "get", "--tenant", "whole", "--tenant", "whole-2").stdout
    assert infra.callout("config", "diff", written(tmp_path, back), "--prune").code == 0
    pruned = infra.callout("config", "apply", written(tmp_path, "tenant: whole"), "--prune", "--json")
    assert {change["action"] for change in json.loads(pruned.stdout)} == {"deleted"}
    assert infra.callout("config", "get", "--tenant", "whole", "--json").stdout.strip() == "[]"


def test_nothing_is_applied_if_anything_is_bad(infra: RunningStack, tmp_path: Path) -> None:
    file = written(tmp_path, "tenant: half\nuser: {ann: {roles: [agent]}}\nteam: {a: {members: [nobody]}}\n")
    refused = infra.callout("config", "apply", file)
    assert refused.code == 2
    assert f"{file}:3: team.a.members.0: half has no user `nobody`; add it under `user`" in refused.stderr
    assert infra.callout("config", "get", "--tenant", "half", "--json").stdout.strip() == "[]"


async def test_once_changes_are_applied_every_record_that_comes_sees_them(infra):
    config = TenantConfig(infra.bootstrap_servers, Tenancy(lambda data: data))
    await config.start()
    live: dict[Entry, dict[str, Any]] = {}
    try:
        for days in range(1, 11):
            file = read_tenant_file(f"tenant: seen\nsettings: {{default: {{auto_archive_days: {days}}}}}", "f.yaml")
            await apply_changes(infra.bootstrap_servers, changes(live, file, prune=False), AuditTrail(reason=None))
            now = datetime.now(UTC)
            await config.catch_up(now)
            assert config.of("seen", now).settings.auto_archive_days == days
            live = file.entries
    finally:
        await config.stop()
