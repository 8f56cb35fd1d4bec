"""The errors of the platform; the kind decides a message's fate.

CalloutError
+-- PermanentError       can never succeed: a dead letter or a refusal
|   +-- Unreadable       a record that cannot be read
|   +-- UnknownSchema    a document written by a newer version
+-- TransientError       a dependency is away or a write raced: try again
    +-- Conflict         somebody else wrote the document first
    +-- OwnershipLost    the partition belongs to somebody else now
"""

from typing import Any

from shared.contracts.words import DeadCode


class CalloutError(Exception):
    """The base of all errors that Callout raises on purpose."""


class PermanentError(CalloutError):
    """It can never succeed, however often it is tried."""


class TransientError(CalloutError):
    """It may succeed when tried again."""


class Unreadable(PermanentError):
    """A record cannot be read; `code` is stable, `reason` is for people.

    `facts` holds what could be read all the same (for a command: `id`, `case_id`, `fields`, `type`).
    """

    def __init__(self, code: DeadCode, reason: str, **facts: Any) -> None:  # noqa: ANN401
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
        self.facts = facts


class UnknownSchema(PermanentError):
    """A document carries a schema number that this version does not know; upgrade before you go on."""


class Conflict(TransientError):
    """Documents were written by somebody else since they were loaded."""

    def __init__(self, ids: frozenset[str]) -> None:
        super().__init__(f"{len(ids)} documents were written by somebody else")
        self.ids = ids


class OwnershipLost(TransientError):
    """The partition must be owned again, if it still is ours."""
