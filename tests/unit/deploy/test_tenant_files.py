"""Files of tenant data: what they say, and where they are wrong."""

import json
from datetime import UTC, datetime
from textwrap import dedent
from typing import Any

import pytest

from deploy.tenant_config import changes, check, config_message, read_entry
from deploy.tenant_files import Entry, TenantFileError, read_tenant_file, write_tenants, write_yaml
from shared.contracts.tenant import KINDS
from tests.builders import APPENDED_MS
from tests.stack import PROJECT

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
    assert list(file.tenants) == ["acme"]
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
    assert list(file.tenants) == ["acme", "globex"]
    assert read_tenant_file(write_yaml(write_tenants(file.entries)), "g.yaml") == file


@pytest.mark.parametrize(
    ("said", "instead", "fault"),
    [
        (
            "suppress",
            "supress",
            "f.yaml:5: rules.default.rules.0.supress: there is no such field; did you mean `suppress`?",
        ),
        ("new_keys: 30", "new_keys: 0", "f.yaml:6: rules.default.storm.new_keys: Input should be greater than"),
        ("00:00:00Z", "00:00:00", "f.yaml:9: maintenance.weekend.starts_at: Input should have timezone info"),
        ("2026-03-08 01", "2026-03-06 01", "f.yaml:8: maintenance.weekend: `until` must be later"),
        ("tenant: acme", "tenant: ACME", "f.yaml:1: tenant: needed: small letters"),
        ("tenant: acme", "# nobody", "f.yaml:2: tenant: needed: small letters"),
        ("maintenance:", "maintanance:", "f.yaml:7: maintanance: there is no such kind; did you mean `maintenance`?"),
        ("  weekend:", "  default: {}\n  default:", "f.yaml:9: maintenance.default: said twice"),
        ("    storm: {new_keys: 30}", "  default: 3", "f.yaml:6: rules.default: said twice"),
        (
            "    storm: {",
            "    strom: {",
            "f.yaml:6: rules.default.strom: there is no such field; did you mean `storm`?",
        ),
        (
            "suppress: true",
            "zebra: 1",
            "f.yaml:5: rules.default.rules.0.zebra: there is no such field; there are name,",
        ),
        (
            "new_keys: 30",
            "new_keys: many",
            "f.yaml:6: rules.default.storm.new_keys: Input should be a valid integer, not",
        ),
        ("{name: noise, ", "{", "f.yaml:5: rules.default.rules.0.name: needed, and not there"),
    ],
)
def test_a_fault_is_told_with_its_line_and_place(said: str, instead: str, fault: str) -> None:
    assert any(line.startswith(fault) for line in faults(GOOD.replace(said, instead))), faults(
        GOOD.replace(said, instead)
    )


PLANT = dedent("""\
    tenant: acme
    calendar:
      plant:
        time_zone: Europe/Berlin
        week: {mon: [08:00-12:00, 13:00-17:00]}
        holidays: {country: NO}
        days:
          - {date: 2026-12-24, hours: [08:00-12:00]}
    user:
      ann: {roles: [agent], scopes: ["device:press-*"], email: a@b}
    codes:
      own: {codes: {9000-0001: {details: {type: object, properties: {part: {maxLength: 4}}}}}}
    counterpart: {maker: {}}
    settings: {default: {calendar: plant}}
    """)


@pytest.mark.parametrize(
    ("said", "instead", "fault"),
    [
        ("Europe/Berlin", "Berlin", "f.yaml:4: calendar.plant.time_zone: there is no time zone `Berlin`; write one as"),
        ("08:00-12:00, 13", "8-12, 13", "f.yaml:5: calendar.plant.week.mon.0: `8-12` cannot be; write a span of hours"),
        ("08:00-12:00, 13", "08:00-14:00, 13", "f.yaml:5: calendar.plant.week.mon: `13:00-17:00` begins before"),
        ("13:00-17:00", "17:00-13:00", "f.yaml:5: calendar.plant.week.mon.1: `17:00-13:00` ends before it begins"),
        ("{mon:", "{monday:", "f.yaml:5: calendar.plant.week.monday: there is no such field; did you mean `mon`?"),
        ("country: NO", "country: norway", "f.yaml:6: calendar.plant.holidays.country: `norway` cannot be; write a"),
        ("country: NO", "country: XX", "f.yaml:6: calendar.plant.holidays: no holidays are known of `XX`; write"),
        ("country: NO", "country: DE, subdivision: X", "f.yaml:6: calendar.plant.holidays: DE has no subdivision `X`"),
        ("2026-12-24", "2026-02-30", "f.yaml:8: calendar.plant.days.0.date: Input should be a valid date"),
        ("[agent]", "[system]", "f.yaml:10: user.ann.roles.0: `system` is no role of people; give one of theirs"),
        ("[agent]", "[]", "f.yaml:10: user.ann.roles: Tuple should have at least 1 item"),
        ("device:press-*", "everything", "f.yaml:10: user.ann.scopes.0: `everything` cannot be; write a scope as"),
        ("9000-0001", "9000", "f.yaml:12: codes.own.codes.9000: `9000` cannot be; write a code as 1234-5678"),
        (
            "maxLength",
            "max_length",
            "f.yaml:12: codes.own.codes.9000-0001.details.properties.part.max_length: there is",
        ),
        ("{maker:", "{acme:", "f.yaml:13: counterpart.acme: a tenant is not its own counterpart"),
        ("{default: {calendar", "{main: {calendar", "f.yaml:14: settings.main: a tenant has one set of settings; name"),
    ],
)
def test_a_fault_says_what_to_write(said: str, instead: str, fault: str) -> None:
    assert said in PLANT
    assert any(line.startswith(fault) for line in faults(PLANT.replace(said, instead))), faults(
        PLANT.replace(said, instead)
    )


def test_words_are_taken_as_they_are_written() -> None:
    body = read_tenant_file(PLANT, "f.yaml").entries[Entry(tenant="acme", kind="calendar", name="plant")]
    assert body["holidays"] == {"country": "NO"}, "not the opposite of yes"
    assert body["week"] == {"mon": ["08:00-12:00", "13:00-17:00"]}


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


def refusals(text: str, live: dict[Entry, dict[str, Any]] | None = None, *, prune: bool = False) -> list[str]:
    file = read_tenant_file(text, "f.yaml")
    before = live or {}
    with pytest.raises(TenantFileError) as caught:
        check(before, file, changes(before, file, prune=prune))
    return str(caught.value).splitlines()


def accepted(text: str, live: dict[Entry, dict[str, Any]] | None = None, *, prune: bool = False) -> None:
    file = read_tenant_file(text, "f.yaml")
    check(live or {}, file, changes(live or {}, file, prune=prune))


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (
            "settings: {default: {calendar: plnt}}",
            "f.yaml:2: settings.default.calendar: acme has no calendar `plnt`; add",
        ),
        ("sla: {gold: {calendar: plnt}}", "f.yaml:2: sla.gold.calendar: acme has no calendar `plnt`; add it under"),
        ("sla: {gold: {counterparts: [maker]}}", "f.yaml:2: sla.gold.counterparts.0: acme has no counterpart `maker`"),
        ("team: {a: {members: [ann]}}", "f.yaml:2: team.a.members.0: acme has no user `ann`; add it under `user`"),
        ("team: {a: {lead: ann}}", "f.yaml:2: team.a.lead: acme has no user `ann`"),
        ("template: {a: {case_code: 9999-0000}}", "f.yaml:2: template.a.case_code: acme has no codes `9999-0000`"),
        (
            "user: {bob: {roles: [agent]}}\nrules: {r: {rules: [{name: x, assignee: ann}]}}",
            "f.yaml:3: rules.r.rules.0.assignee: acme has no user `ann`",
        ),
    ],
)
def test_a_name_that_leads_nowhere_is_told_with_its_line(body: str, fault: str) -> None:
    [told] = refusals(f"tenant: acme\n{body}")
    assert told.startswith(fault)


def test_names_may_lead_to_what_is_in_force_or_in_the_same_file() -> None:
    text = "tenant: acme\nsettings: {default: {calendar: plant}}\n"
    accepted(text, {Entry(tenant="acme", kind="calendar", name="plant"): {}})
    accepted(f"{text}calendar: {{plant: {{}}}}")
    assert refusals(text, {Entry(tenant="globex", kind="calendar", name="plant"): {}}), "another tenant's"


def test_a_tenant_without_users_may_assign_whom_it_likes() -> None:
    accepted("tenant: acme\nrules: {r: {rules: [{name: x, assignee: ann}]}}")


def test_pruning_takes_away_nothing_that_something_in_force_names() -> None:
    plant = Entry(tenant="acme", kind="calendar", name="plant")
    live = {plant: {}, Entry(tenant="acme", kind="settings", name="default"): {"calendar": "plant"}}
    accepted("tenant: acme", live, prune=True)
    [told] = refusals("tenant: acme\nsettings: {default: {calendar: plant}}", live, prune=True)
    assert told.startswith("f.yaml:2: settings.default.calendar: acme has no calendar `plant`")


@pytest.mark.seed("S0.22")
def test_a_changed_template_needs_a_higher_version() -> None:
    live = {Entry(tenant="acme", kind="template", name="hot"): {"version": 2, "title": "Hot"}}
    accepted("tenant: acme\ntemplate: {hot: {version: 2, title: Hot}}", live)
    accepted("tenant: acme\ntemplate: {hot: {version: 3, title: Hotter}}", live)
    [told] = refusals("tenant: acme\ntemplate:\n  hot: {version: 2, title: Hotter}", live)
    assert told == "f.yaml:3: template.hot.version: version 2 says something else already; write `version: 3`"


def test_the_example_of_the_documentation_is_good() -> None:
    example = PROJECT / "docs" / "examples" / "tenant.yaml"
    file = read_tenant_file(example.read_text(), str(example))
    check({}, file, changes({}, file, prune=False))
    assert {entry.kind for entry in file.entries} == set(KINDS)


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
