"""The reference program on a device: watches readings, keeps what it must say, and says it until it is heard."""

__version__ = "0.1.0"
