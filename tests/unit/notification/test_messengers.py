"""Chat and push: taken by a real service of this machine, and never sent where an address must not lead."""

import pytest

from services.notification.channels.messengers import Messengers
from services.notification.channels.port import Address, Parcel
from services.notification.domain.sending import Later, Never, Sent, Verdict
from tests.unit.notification.news_of import book
from tests.unit.notification.test_email import mail_to_ann
from tests.unit.notification.test_webhook import receiver, status


async def send(*secrets: str, hosts: tuple[str, ...] = ()) -> Verdict:
    messengers = Messengers(hosts, link="https://desk.example/cases/{case_id}", timeout_seconds=60)
    await messengers.start()
    try:
        address = Address(to=secrets[0], secrets=secrets)
        return await messengers.send(Parcel(deliveries=[mail_to_ann("resolved")], address=address, book=book()))
    finally:
        await messengers.stop()


async def test_a_chat_of_ones_own_is_told_where_the_operator_named_its_host() -> None:
    async with receiver(status(200)) as there:
        assert await send(f"gotify://127.0.0.1:{there.port}/token", hosts=("127.0.0.1",)) == Sent()
        ((_, body),) = there.got
    assert b"Case 10000001" in body
    assert b"bearing replaced" in body


@pytest.mark.parametrize(
    "address",
    [
        *("gotify://127.0.0.1:{}/token", "ntfy://127.0.0.1:{}/topic", "mmost://127.0.0.1:{}/abcdefghijklmnopqrstuvwx"),
        *("json://127.0.0.1:{}/", "xml://127.0.0.1:{}/", "form://127.0.0.1:{}/", "apprise://127.0.0.1:{}/token"),
        *("mailto://a:b@127.0.0.1:{}", "syslog://", "file:///etc/passwd", "nothing", ""),
    ],
)
async def test_an_address_that_would_send_to_any_host_is_not_used(address: str) -> None:
    async with receiver(status(200)) as there:
        verdict = await send(address.format(there.port), hosts=("other.example",))
        assert there.connections == 0
    assert isinstance(verdict, Never)
    assert verdict.code == "address_forbidden"


async def test_what_a_service_does_not_take_is_tried_again_and_no_redirect_is_followed() -> None:
    async with receiver() as inside:
        for answer in (status(500), status(302, f"location: http://127.0.0.1:{inside.port}/")):
            async with receiver(answer) as there:
                verdict = await send(f"gotify://127.0.0.1:{there.port}/token", hosts=("127.0.0.1",))
            assert isinstance(verdict, Later), answer
        assert inside.connections == 0


@pytest.mark.parametrize("address", ["slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "ntfy://a-topic"])
def test_hosted_services_are_known(address: str) -> None:
    assert Messengers().way_of(address) is not None
