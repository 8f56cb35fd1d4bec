"""Who speaks is said by the topic alone."""

import pytest

from services.edge_adapter.domain.topics import Address, address_of, down, filters


def test_a_topic_names_tenant_device_and_word() -> None:
    assert address_of("callout/v1/acme/press-07/signal") == Address("acme", "press-07", "signal")
    assert Address("acme", "press-07", "signal").key == "acme/press-07"


def test_a_one_time_code_speaks_below_a_branch_of_its_own() -> None:
    assert address_of("callout/v1/enroll/acme/press-07/csr") == Address("acme", "press-07", "csr", by_code=True)
    assert address_of("callout/v1/enroll/press-07/csr") == Address("enroll", "press-07", "csr")
    assert down("acme", "p", "certificate", by_code=True) == "callout/v1/enroll/acme/p/certificate"


@pytest.mark.parametrize(
    "topic",
    [
        *("", "callout", "callout/v1/acme/press-07", "callout/v2/acme/press-07/signal", "other/v1/acme/p/signal"),
        *("callout/v1/ACME/p/signal", "callout/v1//p/signal", "callout/v1/acme//signal", "callout/v1/acme/p/signal/x"),
        *("callout/v1/acme/-p/signal", "callout/v1/acme/p q/signal", "callout/v1/acme/p\n/signal"),
        *("callout/v1/enroll/acme/p/signal", f"callout/v1/{'a' * 64}/p/signal", f"callout/v1/acme/{'p' * 129}/signal"),
    ],
)
def test_any_other_topic_is_none_of_ours(topic: str) -> None:
    assert address_of(topic) is None


def test_adapters_share_a_subscription_for_each_word() -> None:
    assert filters(("signal", "clear"), shared=True) == [
        "$share/callout/callout/v1/+/+/signal",
        "$share/callout/callout/v1/+/+/clear",
    ]
    assert "$share/callout/callout/v1/enroll/+/+/csr" in filters(("csr",), shared=True)


def test_whoever_hears_alone_subscribes_to_the_same_for_itself() -> None:
    words = ("signal", "sparkplug", "csr")
    assert [f"$share/callout/{each}" for each in filters(words, shared=False)] == filters(words, shared=True)
