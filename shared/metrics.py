"""The figures every service shows on `/metrics`, in Prometheus' terms."""

from prometheus_client import Counter, Gauge, Histogram

LABELS = ("service", "topic")

RECORDS = Counter("callout_records", "Records folded and told.", LABELS)
ROUND_RECORDS = Histogram(
    "callout_round_records", "Records in a round.", LABELS, buckets=(1, 2, 5, 10, 50, 100, 500, 1000, 2000, 5000)
)
ROUND_SECONDS = Histogram("callout_round_seconds", "Seconds from a round's first record to its last commit.", LABELS)
STEP_SECONDS = Counter("callout_step_seconds", "Seconds spent in a step of the flow.", (*LABELS, "step"))
DEAD_LETTERS = Counter("callout_dead_letters", "Records that became dead letters.", (*LABELS, "code"))
CONFLICTS = Counter("callout_conflicts", "Documents that somebody else wrote first.", LABELS)
OWNED_AGAIN = Counter("callout_owned_again", "Times a partition had to be owned anew.", (*LABELS, "reason"))
READY = Gauge("callout_ready", "1 while the service is ready.", ("service",))
