"""An example of each word to operations about cases."""

from typing import Any

from tests.builders import AT, CASE_ID

LATER = "2026-03-02T18:15:00.000Z"
CASE = {"tenant_id": "acme", "case_id": CASE_ID, "number": "10000001"}
SHARE: dict[str, Any] = {
    **CASE,
    "clock": "resolution",
    "percent": 75,
    "level": "gold",
    "reached_at": "2026-03-02T18:14:00.000Z",
    "at": LATER,
    "started_at": AT,
    "target_seconds": 14400.0,
    "spent_seconds": 10860.5,
    "running": True,
    "forecast": {
        "due_at": "2026-03-03T08:14:00.000Z",
        "next_percent": 100,
        "next_at": "2026-03-03T08:14:00.000Z",
        "left_seconds": 3539.5,
    },
    "state": "IN_PROGRESS",
    "priority": "blocker",
    "severity": "critical",
    "assignees": ["ann"],
    "teams": ["presses"],
    "device_id": "press-07",
    "model": "X2",
}
MEASURES: dict[str, Any] = {
    **CASE,
    "at": LATER,
    "end": "CLOSED",
    "model": "X2",
    "device_id": "press-07",
    "priority": "blocker",
    "detect_seconds": 2.5,
    "acknowledge_seconds": 300.0,
    "first_response_seconds": 420.0,
    "resolve_seconds": 7200.0,
    "restore_seconds": 6900.0,
    "close_seconds": 28800.0,
    "reopen_count": 0,
    "waiting_seconds": {"us": 5400.0, "customer": 1800.0, "confirmation": 21600.0},
    "first_response_met": True,
    "resolution_met": True,
}
SUMS: dict[str, Any] = {
    "closed": 2,
    "cancelled": 1,
    "reopened": 1,
    "reopen_rate": 0.5,
    "mean": {"resolve": {"count": 2, "total_seconds": 10800.0, "mean_seconds": 5400.0}},
    "waiting_seconds": {"us": 5400.0, "device": 600.0},
    "first_response_met": 1,
    "first_response_missed": 1,
    "resolution_met": 2,
    "resolution_missed": 0,
}
MODEL: dict[str, Any] = {
    "tenant_id": "acme",
    "model": "X2",
    "at": LATER,
    "total": SUMS,
    "month": "2026-03",
    "in_month": SUMS,
}
