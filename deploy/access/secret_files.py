"""The secrets of all principals: a folder for each, with a file for each secret; drawn once, never printed."""

import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from deploy.access.plan import Principal

KAFKA_PASSWORD: Final = "kafka_password"  # noqa: S105 - the name of a file
MONGODB_URI: Final = "mongodb_uri"
#: Who gives the others their rights: a super user of Kafka, root of MongoDB.
ADMIN: Final = "callout-admin"
SHARED: Final = "shared"
INTERNAL_KEY: Final = "internal_key"
SEALING_KEY: Final = "sealing_key"
GRAFANA_PASSWORD: Final = "grafana_password"  # noqa: S105 - the name of a file
#: What the members of MongoDB's replica set believe one another by.
KEY_FILE: Final = "mongodb_keyfile"
BYTES: Final = 32
KEY_FILE_BYTES: Final = 567
FOLDER_MODE: Final = 0o700


def make_secrets(
    folder: Path, principals: Iterable[Principal], *, hosts: str, options: str, readable: bool
) -> list[str]:
    """Draw every secret that is not there yet; return the names of those that were.

    `hosts` and `options` are MongoDB's, as its addresses have them. With `readable`, whoever a file is shown to can
    read it: a container is shown it without the folder, which stays closed.
    """
    made = []
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(FOLDER_MODE)  # whoever made it
    for name, text in _all(principals, hosts, options):
        file = folder / name
        if not file.exists():
            file.parent.mkdir(mode=FOLDER_MODE, exist_ok=True)
            _write(file, text, mode=0o444 if readable else 0o400)
            made.append(name)
    return made


def password_of(folder: Path, user: str) -> str:
    """Return what a user proves to Kafka that it is."""
    return (folder / user / KAFKA_PASSWORD).read_text().rstrip("\n")


def uri_of(folder: Path, user: str) -> str:
    """Return the address of MongoDB with a user's name and password."""
    return (folder / user / MONGODB_URI).read_text().rstrip("\n")


def _all(principals: Iterable[Principal], hosts: str, options: str) -> Iterator[tuple[str, str]]:
    users = {ADMIN: "admin", **{each.user: each.database or "admin" for each in principals}}
    for user, database in users.items():
        yield f"{user}/{KAFKA_PASSWORD}", secrets.token_urlsafe(BYTES)
        password = quote(secrets.token_urlsafe(BYTES), safe="")
        yield f"{user}/{MONGODB_URI}", f"mongodb://{user}:{password}@{hosts}/{database}?{options}"
    yield f"{SHARED}/{INTERNAL_KEY}", secrets.token_urlsafe(BYTES)
    yield f"{SHARED}/{SEALING_KEY}", secrets.token_urlsafe(BYTES)
    yield f"{SHARED}/{GRAFANA_PASSWORD}", secrets.token_urlsafe(BYTES)
    yield f"{SHARED}/{KEY_FILE}", secrets.token_urlsafe(KEY_FILE_BYTES).replace("-", "a").replace("_", "b")


def _write(file: Path, text: str, *, mode: int) -> None:
    fresh = file.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as written:
        os.fchmod(written.fileno(), mode)
        written.write(text)
    fresh.replace(file)
