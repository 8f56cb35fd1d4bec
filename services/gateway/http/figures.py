"""What the HTTP door measures of itself."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

REQUESTS: Final = Counter(
    "callout_http_requests", "Requests answered over HTTP.", ("service", "method", "route", "status")
)
SECONDS: Final = Histogram(
    "callout_http_request_seconds",
    "Seconds until an answer began.",
    ("service", "method", "route"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
STREAMS: Final = Gauge("callout_http_streams", "Streams of events that are followed now.", ("service",))
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def count(method: str, route: str, status: int, seconds: float) -> None:
    """Count a request."""
    method = method if method in METHODS else "other"
    SECONDS.labels(service="gateway", method=method, route=route).observe(seconds)
    REQUESTS.labels(service="gateway", method=method, route=route, status=str(status)).inc()
