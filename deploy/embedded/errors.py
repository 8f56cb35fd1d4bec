"""What can go wrong with the embedded stack, in sentences that say what to do."""


class EmbeddedError(Exception):
    """The embedded stack cannot do what was asked."""


class DataFolderInUseError(EmbeddedError):
    """Another process runs a stack on this data folder."""


class MissingPartError(EmbeddedError):
    """A package or server program that the embedded stack needs is not there."""


class WrongSumError(EmbeddedError):
    """A downloaded file is not the one that this version of Callout was tested with."""


class StartError(EmbeddedError):
    """A program of the stack did not become ready."""
