"""The topics of one device."""

from __future__ import annotations

RECEIPT, COMMAND = "receipt", "command"
REQUEST, CERTIFICATE = "csr", "certificate"


def topic(tenant: str, device: str, word: str) -> str:
    """Return the topic on which a device says or hears a word."""
    return f"callout/v1/{tenant}/{device}/{word}"


def enrolment_topic(tenant: str, device: str, word: str) -> str:
    """Return the topic for one who has nothing but a one-time code."""
    return f"callout/v1/enroll/{tenant}/{device}/{word}"
