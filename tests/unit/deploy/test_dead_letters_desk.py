"""Each letter is settled exactly once, whatever is lost, refused, killed or done beside it: a broker is simulated."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import pytest

from deploy.dead_letters import desk as desk_module
from deploy.dead_letters.desk import Act, Desk, Done
from deploy.dead_letters.letter import Letter
from deploy.dead_letters.mailbox import Sheaf
from deploy.dead_letters.post import Displaced, NotSent, TooLarge
from deploy.dead_letters.selection import Selection
from deploy.dead_letters.settled import Settled
from deploy.topics import Catalogue
from shared.contracts.catalogue import OPS_AUDIT, OPS_DEAD_LETTERS
from shared.contracts.dead_letters import dead_letter
from shared.contracts.envelope import Message, read
from shared.contracts.words import DeadCode
from tests.builders import APPENDED_MS, Sent

CATALOGUE = Catalogue.load()
ORIGIN = "device.signals.v1"
LETTERS = 40


class Killed(BaseException):
    """The process is no more."""


class Broker:
    """What is committed, and who may commit."""

    def __init__(self, letters: int = LETTERS) -> None:
        # As after transactions: there is no letter at every offset.
        self.letters = [letter_at(number) for number in range(letters)]
        self.committed: list[Message] = []
        self.owner: object = None
        self.lost_answers = 0

    def arrivals(self) -> Counter[bytes]:
        """Return how often each record was sent to its origin."""
        return Counter(dict(each.headers)["ce_id"] for each in self.committed if each.topic == ORIGIN)


class FakePost:
    """A post at such a broker; `hurt` says before each transaction and after it what happens then."""

    def __init__(self, broker: Broker, hurt: Callable[[str, Sequence[Message]], None] = lambda _, __: None) -> None:
        self._broker = broker
        self._hurt = hurt

    async def open(self) -> None:
        self._broker.owner = self

    async def send(self, messages: Sequence[Message]) -> None:
        self._hurt("before", messages)
        if self._broker.owner is not self:
            raise Displaced("somebody else")
        self._broker.committed.extend(messages)
        self._hurt("after", messages)


class FakeMailbox:
    """The letters of such a broker."""

    def __init__(self, broker: Broker, selection: Selection | None = None) -> None:
        self._broker = broker
        self._selection = selection or Selection()
        self.topics = frozenset({ORIGIN, f"{ORIGIN}.dead", OPS_DEAD_LETTERS.name})

    async def settled(self) -> Settled:
        settled = Settled()
        for each in self._broker.committed:
            if each.topic == OPS_DEAD_LETTERS.name:
                settled.add(read(OPS_DEAD_LETTERS, Sent(each.topic, each.value, each.key, each.headers)))
        return settled

    async def open(self, ends: Any, settled: Settled) -> AsyncIterator[Sheaf]:
        for start in range(0, len(self._broker.letters), 7):
            part = self._broker.letters[start : start + 7]
            yield [(letter, self._selection.takes(letter)) for letter in part if not settled.find(letter)]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_module, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(desk_module, "LETTERS_MAX", 3)


def letter_at(number: int) -> Letter:
    origin = Sent(ORIGIN, b'{"n":%d}' % number, offset=number)
    code = DeadCode.BUG if number % 4 else DeadCode.NOT_JSON
    told = dead_letter(origin, code, "why", service="intake")
    return Letter(Sent(told.topic, told.value, told.key, told.headers, 0, number * 3, APPENDED_MS + number))


async def settle(broker: Broker, act: Act = Act.RETRY, hurt: Any = lambda _, __: None, **selected: Any) -> Done:
    mailbox = FakeMailbox(broker, Selection(**selected))
    desk = Desk(mailbox, FakePost(broker, hurt), act, by="ann@desk", catalogue=CATALOGUE)
    return await desk.settle({})


async def test_all_letters_are_sent_once_and_repeating_it_sends_none() -> None:
    broker = Broker()
    assert (await settle(broker)).count == LETTERS
    assert (await settle(broker)).count == 0
    assert set(broker.arrivals().values()) == {1}
    assert len(broker.arrivals()) == LETTERS


async def test_what_is_settled_in_a_row_can_be_leapt_over_up_to_the_first_open_letter() -> None:
    broker = Broker()
    await settle(broker, codes=frozenset({"bug"}), died_after=broker.letters[20].died_at)
    settled = await FakeMailbox(broker).settled()
    assert [settled.end(broker.letters[n]) for n in (20, 21, 22, 23, 24)] == [
        20 * 3,
        23 * 3 + 1,
        23 * 3 + 1,
        23 * 3 + 1,
        24 * 3,
    ]
    await settle(broker)
    settled = await FakeMailbox(broker).settled()
    assert settled.end(broker.letters[0]) == 23 * 3 + 1
    assert settled.end(broker.letters[24]) > 24 * 3
    assert all(settled.find(letter) for letter in broker.letters)


async def test_what_is_dropped_is_not_sent_and_not_retried_later() -> None:
    broker = Broker()
    done = await settle(broker, Act.DROP, codes=frozenset({"not_json"}))
    assert (done.count, broker.arrivals()) == (10, Counter())
    assert (await settle(broker)).count == 30
    assert b"device.signals.v1-3-0" not in broker.arrivals()


async def test_each_transaction_is_audited_and_the_chain_of_a_run_has_no_hole() -> None:
    broker = Broker()
    failing = iter([False, True, False])

    def lose(when: str, _: Sequence[Message]) -> None:
        if when == "before" and next(failing, False):
            raise NotSent("lost")

    await settle(broker, hurt=lose)
    audits = [
        read(OPS_AUDIT, Sent(m.topic, m.value, m.key, m.headers)).data
        for m in broker.committed
        if m.topic == OPS_AUDIT.name
    ]
    chains: dict[str, list[int]] = {}
    for audit in audits:
        chains.setdefault(audit.chain, []).append(audit.n)
    assert [numbers for numbers in chains.values() if numbers != list(range(1, len(numbers) + 1))] == []
    assert {(audit.action, audit.actor.id) for audit in audits} == {("dead_letter.retried", "ann@desk")}
    assert sum(audit.details["count"] for audit in audits) == LETTERS


async def test_where_the_end_of_a_transaction_is_not_known_it_is_looked_up() -> None:
    broker = Broker()
    answers = Counter[str]()

    def lose(when: str, _: Sequence[Message]) -> None:
        answers[when] += 1
        if answers[when] % 2:
            raise NotSent("the answer is lost")

    done = await settle(broker, hurt=lose)
    assert (done.count, len(broker.arrivals()), set(broker.arrivals().values())) == (LETTERS, LETTERS, {1})


async def test_one_letter_that_the_broker_does_not_take_is_left_and_its_neighbours_are_sent() -> None:
    broker = Broker()

    def refuse(when: str, messages: Sequence[Message]) -> None:
        if when == "before" and any(message.value in {b'{"n":13}', b'{"n":38}'} for message in messages):
            raise TooLarge("larger than the topic takes")

    done = await settle(broker, hurt=refuse)
    assert set(done.left) == {"device.signals.v1.dead:0:39", "device.signals.v1.dead:0:114"}
    assert (done.count, len(broker.arrivals()), set(broker.arrivals().values())) == (LETTERS - 2, LETTERS - 2, {1})
    assert (await settle(broker)).count == 2


async def test_who_is_displaced_stops_at_once_and_nothing_is_sent_twice() -> None:
    broker = Broker()
    sent = 0

    def take_over(when: str, _: Sequence[Message]) -> None:
        nonlocal sent
        sent += when == "after"
        if sent == 4:
            broker.owner = object()

    with pytest.raises(Displaced):
        await settle(broker, hurt=take_over)
    assert len(broker.arrivals()) == 3 + 3 + 1 + 3
    await settle(broker)
    assert (len(broker.arrivals()), set(broker.arrivals().values())) == (LETTERS, {1})


async def test_what_somebody_else_settled_meanwhile_is_not_settled_again() -> None:
    """The first loses an answer while the second works; coming back, it must not go on with what it knew."""
    broker = Broker()
    first = True

    async def second() -> None:
        await settle(broker, codes=frozenset({"bug"}))

    class Interrupted(FakePost):
        async def send(self, messages: Sequence[Message]) -> None:
            nonlocal first
            if first:
                first = False
                await second()
                raise NotSent("the connection is lost")
            await super().send(messages)

    desk = Desk(FakeMailbox(broker), Interrupted(broker), Act.RETRY, by="ann@desk", catalogue=CATALOGUE)
    await desk.settle({})
    assert (len(broker.arrivals()), set(broker.arrivals().values())) == (LETTERS, {1})


async def test_a_broker_that_does_not_come_back_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_module, "PATIENCE_SECONDS", 0)

    def refuse(_: str, __: Sequence[Message]) -> None:
        raise NotSent("away")

    with pytest.raises(NotSent):
        await settle(Broker(), hurt=refuse)


def blows(seed: int) -> Iterator[str]:
    source = random.Random(seed)
    while True:
        yield source.choices(("none", "lost", "killed", "retire"), (70, 15, 10, 5))[0]


@pytest.mark.parametrize("seed", range(60))
async def test_whatever_happens_every_letter_is_sent_exactly_once(seed: int) -> None:
    broker = Broker()
    coming = blows(seed)

    def hurt(_: str, __: Sequence[Message]) -> None:
        match next(coming):
            case "lost":
                raise NotSent("lost")
            case "killed":
                raise Killed
            case "retire":
                broker.owner = object()

    for _ in range(200):
        try:
            await settle(broker, hurt=hurt)
        except (Killed, Displaced):
            continue
        break
    assert (len(broker.arrivals()), set(broker.arrivals().values())) == (LETTERS, {1})
