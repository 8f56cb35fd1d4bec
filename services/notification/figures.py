"""What notification shows on `/metrics` beside the figures that every service has."""

from prometheus_client import Counter, Gauge

from services.notification.domain.delivery import Delivery

DELIVERIES = Counter("callout_deliveries", "Attempts at deliveries, by what became of them.", ("channel", "state"))
REPEATS = Counter(
    "callout_deliveries_repeated", "Deliveries sent again because it was not known if they had arrived.", ("channel",)
)
LANES = Gauge("callout_lanes_at_work", "Receivers that this process sends to just now.")
STALE = Counter("callout_news_stale", "Events that were too old to be told to anybody.")


def count(delivery: Delivery) -> None:
    """Count an attempt."""
    DELIVERIES.labels(channel=delivery.channel.value, state=delivery.state.value).inc()
    if delivery.repeats:
        REPEATS.labels(channel=delivery.channel.value).inc()
