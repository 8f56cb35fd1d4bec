"""Files of tenant data: what they say, and where they are wrong."""

import json
from datetime import UTC, datetime
from textwrap import dedent

import pytest

from deploy.tenant_config import changes, config_message, read_entry
from deploy.tenant_files import Entry, TenantFileError, read_tenant_file, write_tenants, write_yaml
from tests.builders import APPENDED_MS

GOOD = dedent("""\
    tenant: acme
    rules:
      default:
        rules:
          - {name: noise, fault: "N*", suppress: true}
        storm: {new_keys: 30}
    maintenance:
      weekend:
        starts_at: 2026-03-07T00:00:00Z
        until: 2026-03-08 01:00:00+01:00
    """)
RULES = Entry(tenant="acme", kind="rules", name="default")
WEEKEND = Entry(tenant="acme", kind="maintenance", name="weekend")
NOW = datetime.fromtimestamp(APPENDED_MS / 1000, UTC)


def faults(text: str) -> list[str]:
    with pytest.raises(TenantFileError) as caught:
        read_tenant_file(text, "f.yaml")
    return str(caught.value).splitlines()


def test_a_good_file_is_read_and_normalised() -> None:
    file = read_tenant_file(GOOD, "f.yaml")
    assert file.tenants == ("acme",)
    assert file.entries == {
        RULES: {"rules": [{"name": "noise", "fault": "N*", "suppress": True}], "storm": {"new_keys": 30}},
        WEEKEND: {"starts_at": "2026-03-07T00:00:00.000Z", "until": "2026-03-08T00:00:00.000Z"},
    }


def test_json_says_the_same_also_indented_by_tabs() -> None:
    data = write_tenants(read_tenant_file(GOOD, "f.yaml").entries)
    for text in (json.dumps(data), json.dumps(data[0], indent="\t")):
        assert read_tenant_file(text, "f.json") == read_tenant_file(GOOD, "f.yaml")


def test_what_is_written_is_read_again() -> None:
    file = read_tenant_file(GOOD + "---\n" + GOOD.replace("acme", "globex"), "f.yaml")
    assert file.tenants == ("acme", "globex")
    assert read_tenant_file(write_yaml(write_tenants(file.entries)), "g.yaml") == file


@pytest.mark.parametrize(
    ("said", "instead", "fault"),
    [
        ("suppress", "supress", "f.yaml:5: rules.default.rules.0.supress: there is no such field"),
        ("new_keys: 30", "new_keys: 0", "f.yaml:6: rules.default.storm.new_keys: Input should be greater than"),
        ("00:00:00Z", "00:00:00", "f.yaml:9: maintenance.weekend.starts_at: Input should have timezone info"),
        ("2026-03-08 01", "2026-03-06 01", "f.yaml:8: maintenance.weekend: Value error, `until` must be later"),
        ("tenant: acme", "tenant: ACME", "f.yaml:1: tenant: needed: small letters"),
        ("tenant: acme", "# nobody", "f.yaml:2: tenant: needed: small letters"),
        ("maintenance:", "maintanance:", "f.yaml:7: maintanance: there is no such kind; there are rules, maintenance"),
        ("  weekend:", "  default: {}\n  default:", "f.yaml:9: maintenance.default: said twice"),
        ("    storm: {new_keys: 30}", "  default: 3", "f.yaml:6: rules.default: said twice"),
    ],
)
def test_a_fault_is_told_with_its_line_and_place(said: str, instead: str, fault: str) -> None:
    assert any(line.startswith(fault) for line in faults(GOOD.replace(said, instead))), faults(
        GOOD.replace(said, instead)
    )


def test_all_faults_are_told_at_once() -> None:
    assert len(faults(GOOD.replace("suppress", "supress").replace("new_keys: 30", "new_keys: 0"))) == 2


@pytest.mark.parametrize("text", ["", "# nothing", "- 3", "acme", "[{]", "tenant: [", "tenant: acme\nrules: 3"])
def test_what_is_no_such_file_is_refused(text: str) -> None:
    assert all(line.startswith("f.yaml:") for line in faults(text))


def test_two_documents_of_one_tenant_may_not_say_the_same_thing() -> None:
    assert "f.yaml:14: rules.default: said before" in faults(GOOD + "---\n" + GOOD)


def test_only_differences_are_changes() -> None:
    file = read_tenant_file(GOOD, "f.yaml")
    live = {RULES: {"storm": {"new_keys": 3}}, WEEKEND: file.entries[WEEKEND]}
    [change] = changes(live, file, prune=False)
    assert (change.entry, change.action) == (RULES, "changed")
    assert changes(file.entries, file, prune=True) == []


def test_pruning_deletes_what_the_files_tenants_have_beyond_it_and_no_more() -> None:
    file = read_tenant_file(GOOD, "f.yaml")
    old = Entry(tenant="acme", kind="rules", name="old")
    others = Entry(tenant="globex", kind="rules", name="old")
    later = Entry(tenant="acme", kind="kind-to-come", name="x")
    live = {**file.entries, old: {}, others: {}, later: {}}
    assert changes(live, file, prune=False) == []
    [change] = changes(live, file, prune=True)
    assert (change.entry, change.action) == (old, "deleted")


def test_a_change_goes_out_keyed_by_its_place_and_a_deletion_without_value() -> None:
    file = read_tenant_file(GOOD, "f.yaml")
    [_, added] = changes({}, file, prune=False)
    told = config_message(added, now=NOW)
    assert told.key == b"acme/rules/default"
    assert read_entry(told.key, told.value or b"") == (RULES, file.entries[RULES])
    assert dict(told.headers)["ce_type"] == b"callout.tenant.config.v1"
    [deleted] = changes({RULES: {}}, read_tenant_file("tenant: acme", "f"), prune=True)
    assert config_message(deleted, now=NOW).value is None


@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        (b"acme", b"{}", None),
        (b"acme/rules/default", b"{", None),
        (b"acme/rules/default", b"3", None),
        (b"acme/rules/a/b", b"{}", (Entry(tenant="acme", kind="rules", name="a/b"), {})),
        (b"acme/rules/default", b'{"storm": 3}', (RULES, {"storm": 3})),
        (b"acme/team/x", b'{"a": 1}', (Entry(tenant="acme", kind="team", name="x"), {"a": 1})),
    ],
)
def test_what_lies_on_the_topic_is_taken_as_far_as_it_can_be_read(key: bytes, value: bytes, read: object) -> None:
    assert read_entry(key, value) == read
