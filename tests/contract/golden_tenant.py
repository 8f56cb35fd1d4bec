"""An example of each kind of tenant data."""

from typing import Any

AT = "2026-03-02T10:15:00.000Z"
OFFICE = ["08:00-12:00", "13:00-17:00"]

TENANT_DATA: dict[str, tuple[str, dict[str, Any]]] = {
    "calendar": (
        "plant",
        {
            "time_zone": "Europe/Berlin",
            "week": {"mon": OFFICE, "tue": OFFICE, "wed": OFFICE, "thu": OFFICE, "fri": ["08:00-14:00"]},
            "holidays": {"country": "DE", "subdivision": "BW"},
            "days": [
                {"date": "2026-12-24", "hours": ["08:00-12:00"], "name": "Christmas Eve"},
                {"date": "2026-12-28", "name": "Works holiday"},
            ],
        },
    ),
    "settings": (
        "default",
        {
            "calendar": "plant",
            "reopen_working_days": 14,
            "agents_bypass_reopen_window": False,
            "auto_close_working_days": 5,
            "auto_archive_days": 90,
            "auto_escalate": ["resolution"],
        },
    ),
    "user": (
        "ann",
        {
            "name": "Ann Ode",
            "roles": ["agent", "dispatcher"],
            "scopes": ["device:press-*", "case:delete"],
            "email": "ann@acme.example",
            "phone": "+49 711 1234",
            "active": True,
        },
    ),
    "team": ("presses", {"name": "Presses", "members": ["ann", "bob"], "lead": "ann", "email": "presses@acme.example"}),
    "counterpart": (
        "maker",
        {"name": "Maker Ltd", "onboarded": True, "devices": ["press-*"], "hides": ["contacts", "references"]},
    ),
    "sla": (
        "gold",
        {
            "calendar": "plant",
            "devices": ["press-*"],
            "case_types": ["technical", "damage"],
            "counterparts": ["maker"],
            "targets": {"blocker": {"first_response_hours": 0.5, "resolution_hours": 2}},
            "pauses": {"action_required": True, "on_hold": ["parts", "scheduled"]},
        },
    ),
    "codes": (
        "own",
        {
            "builtin": True,
            "without": ["0800-0000"],
            "codes": {
                "9000-0001": {
                    "title": "Spare part",
                    "category": "Parts",
                    "subcategory": "Order",
                    "ticket_class": "case",
                    "case_type": "general",
                    "details": {
                        "type": "object",
                        "properties": {
                            "part": {"type": "string", "minLength": 1, "maxLength": 40},
                            "amount": {"type": "integer", "minimum": 1},
                        },
                        "required": ["part"],
                        "additionalProperties": False,
                    },
                }
            },
        },
    ),
    "template": (
        "hot-spindle",
        {
            "version": 2,
            "title": "Spindle over temperature",
            "description": "The spindle is **hotter** than 90 °C.",
            "case_type": "technical",
            "case_code": "0004-0000",
            "ticket_class": "trouble",
            "priority": "high",
            "severity": "major",
            "part_model": "SP-7",
            "solution_suggestion": "Check the coolant, then the bearing.",
            "tags": ["spindle"],
        },
    ),
    "rules": (
        "default",
        {"rules": [{"name": "doors", "fault": "DOOR*", "suppress": True}], "storm": {"new_keys": 50}},
    ),
    "maintenance": (
        "default",
        {"device": "press-*", "fault": "*", "starts_at": AT, "until": "2026-03-02T12:00:00.000Z"},
    ),
    "notification": (
        "default",
        {
            "default_assignee": "ann",
            "default_emails": ["service@acme.example"],
            "channels": {"machine": ["in_app"], "note": ["email", "in_app"]},
            "quiet_calendar": "plant",
            "fold_seconds": 30,
            "per_minute": 60,
            "locale": "de",
            "on_call": [{"after_minutes": 0, "users": ["ann"]}, {"after_minutes": 15, "teams": ["presses"]}],
            "on_call_priorities": ["blocker", "high"],
            "on_call_severities": ["critical"],
        },
    ),
    "preference": (
        "ann",
        {
            "channels": {"update": [], "mention": ["push", "email"]},
            "muted": False,
            "own": False,
            "time_zone": "Europe/Berlin",
            "quiet_hours": ["00:00-06:00", "22:00-24:00"],
            "digest": "08:00",
            "locale": "de",
        },
    ),
    "subscription": (
        "erp",
        {
            "url": "https://erp.acme.example/hooks/callout",
            "secrets": ["sealed:eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..nonce.text.tag"],
            "events": ["created", "resolved", "sla"],
            "devices": ["press-*"],
            "per_minute": 600,
            "description": "Orders of spare parts",
        },
    ),
    "notice_template": (
        "created.de",
        {
            "subject": "Neuer Fall {{ number }}: {{ title }}",
            "text": "{{ title }} an {{ device_id }}: {{ link }}",
            "html": "<p><b>{{ title }}</b> an {{ device_id }}</p>",
        },
    ),
}
