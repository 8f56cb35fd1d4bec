"""What a service gives the flow for one topic: which document a record touches, and what it decides."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from shared.contracts.catalogue import Topic
from shared.contracts.dead_letters import dead_letter
from shared.contracts.envelope import Incoming, Message, Record
from shared.errors import Unreadable

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class Decision(Generic[State]):
    """What one record makes of a document: its new state (nothing: unchanged) and messages.

    `verdict` is what the guide said about the record. It is kept with the record's own document, so it needs a state
    there, and the guide heeds it after.
    """

    own: State | None = None
    verdict: str = ""
    messages: Sequence[Message] = ()


class Hearer:
    """What a service hears on one topic, and what it tells because of that."""

    topic: Topic
    tells: Sequence[Topic] = ()
    """The topics it tells things on, each with the types that it tells."""
    service: str


class Room(Hearer, ABC, Generic[State]):
    """A service's part in the flow of one topic; all but `prepare` is pure.

    A record touches its *own* document. It may also need a *guide*: a second document that is asked first and written
    last, by the verdict that the own document keeps. A guide has no guide.
    """

    exclusive: bool = False
    """Whether one partition alone writes a document, so that documents may be remembered between rounds."""
    answers: bool = False
    """Whether hardly a record is passed over, so that it pays to begin a transaction before anything is decided."""

    @property
    def tells_always(self) -> list[str]:
        """The names of the topics that are there before anything is told on them."""
        return [topic.name for topic in self.tells if not topic.template]

    @abstractmethod
    def key(self, incoming: Incoming) -> str | None:
        """Return the id of the record's own document; nothing to pass the record over.

        Raises:
            Unreadable: what can be read all the same makes no sense.
        """

    def hand_on(self, incoming: Incoming) -> Sequence[Message]:  # noqa: ARG002
        """Return what a record without a document becomes for others; the same whenever it comes again."""
        return ()

    def guide(self, incoming: Incoming) -> str | None:  # noqa: ARG002
        """Return the id of the document that may have to be asked first."""
        return None

    def needs_guide(self, incoming: Incoming, own: State | None) -> bool:  # noqa: ARG002
        """Tell whether the guide has to be asked, given the record's own document."""
        return False

    async def open_topics(self, messages: Sequence[Message]) -> None:
        """Make sure, before these are told, that topics which are made as they are needed are there.

        Raises:
            CalloutError: if that cannot be known now.
        """

    async def prepare(self, batch: Sequence[Incoming]) -> None:
        """Get what decisions of this batch need from outside (numbers)."""

    @abstractmethod
    def decide(self, incoming: Incoming, own: State | None, guide: State | None) -> Decision[State]:
        """Decide what a record does to its own document; the guide is there if it had to be asked.

        Who writes nothing of its own must come to the same once others have written the document.
        """

    def heed(self, incoming: Incoming, guide: State | None, verdict: str) -> Decision[State]:  # noqa: ARG002
        """Decide what a record does to the guide that gave this verdict, which others may have written since."""
        return Decision()

    def settle(self, own: State, last: Incoming) -> tuple[State, Sequence[Message]]:  # noqa: ARG002
        """Sum up a document that is about to be written; `last` is the last record that touched it."""
        return own, ()

    def derive(self, messages: Sequence[Message]) -> Sequence[Message]:  # noqa: ARG002
        """Return what follows from the messages of a round and need not be stored."""
        return ()

    def unreadable(self, record: Record, error: Unreadable) -> Sequence[Message]:
        """Tell what becomes of a record that cannot be read: a dead letter, unless the service knows better."""
        return (dead_letter(record, error.code, error.reason, service=self.service),)

    @abstractmethod
    def from_document(self, document: dict[str, Any]) -> State:
        """Read a state from its document."""

    @abstractmethod
    def to_document(self, state: State) -> dict[str, Any]:
        """Write a state down."""
