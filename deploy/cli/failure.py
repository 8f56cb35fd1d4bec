"""How a command fails: with a sentence that says what to do, and an exit code."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the exit code of `callout` says."""

    OK = 0
    #: The check that was asked for found something.
    CHECK_FAILED = 1
    USAGE = 2
    NOT_REACHABLE = 3
    REFUSED = 4


class Failure(Exception):
    """Ends the command with its message on standard error."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code
