"""Reads recordings line by line: CSV with a header, or one JSON object a line; plain or gzipped."""

import csv
import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal, cast

Format = Literal["csv", "jsonl"]
DELIMITERS: Final = {".tsv": "\t"}
CELL_BYTES_MAX: Final = 1024 * 1024
DIGEST_BYTES: Final = 1024 * 1024


class RecordingError(Exception):
    """A file that cannot be read as a recording."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line by its number in the file, from 1; `wrong` says why it could not be read."""

    number: int
    values: Mapping[str, Any]
    wrong: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A file of lines; `lines` counts those of text, a header included."""

    path: Path
    format: Format
    delimiter: str
    digest: str
    lines: int

    @classmethod
    def open(cls, path: Path, *, format_: Format | None = None, delimiter: str | None = None) -> "Recording":
        """Look at a file: what it is, how long, and its digest.

        Raises:
            RecordingError: it is not there, or its name does not say what it is.
        """
        suffix = next((each for each in reversed(path.suffixes) if each != ".gz"), "").lower()
        known: dict[str, Format] = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
        kind = format_ or known.get(suffix)
        if kind is None:
            raise RecordingError(f"{path} is not called .csv, .tsv, .jsonl or .ndjson; say --format csv or jsonl")
        try:
            digest, lines = _measure(path)
        except (OSError, EOFError) as error:
            raise RecordingError(f"{path} cannot be read: {error}") from error
        sign = delimiter or DELIMITERS.get(suffix, ",")
        return cls(path=path, format=kind, delimiter=sign, digest=digest, lines=lines)

    def columns(self) -> tuple[str, ...] | None:
        """Return the names in the header; nothing where each line has its own."""
        if self.format == "jsonl":
            return None
        with _text(self.path) as file:
            return tuple(next(csv.reader(file, delimiter=self.delimiter), ()))

    def rows(self) -> Iterator[Row]:
        """Yield every line but a header and empty ones."""
        with _text(self.path) as file:
            yield from _csv_rows(file, self.delimiter) if self.format == "csv" else _json_rows(file)


def _text(path: Path) -> IO[str]:
    # What is not UTF-8 costs its own line alone.
    options = {"encoding": "utf-8-sig", "errors": "surrogateescape", "newline": ""}
    if path.suffix == ".gz":
        return cast("IO[str]", gzip.open(path, "rt", **options))  # type: ignore[call-overload]
    return cast("IO[str]", path.open("r", **options))  # type: ignore[call-overload]


def _measure(path: Path) -> tuple[str, int]:
    digest, lines, last = hashlib.sha256(), 0, b"\n"
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        while part := file.read(DIGEST_BYTES):
            digest.update(part)
            lines += part.count(b"\n")
            last = part[-1:]
    return digest.hexdigest(), lines + (last != b"\n")


def _csv_rows(file: IO[str], delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(CELL_BYTES_MAX)
    reader = csv.reader(file, delimiter=delimiter)
    header = next(reader, [])
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(number, {}, f"no CSV: {error}")
            continue
        if not cells:
            continue
        wrong = None
        if len(cells) != len(header):
            wrong = f"has {len(cells)} cells, the header {len(header)}"
        elif not all(map(_is_unicode, cells)):
            wrong = "is not UTF-8"
        yield Row(number, dict(zip(header, cells, strict=False)), wrong)


def _json_rows(file: IO[str]) -> Iterator[Row]:
    for number, text in enumerate(file, 1):
        if not text.strip():
            continue
        try:
            values = json.loads(text) if _is_unicode(text) else None
        except (ValueError, RecursionError) as error:
            yield Row(number, {}, f"no JSON: {error}")
            continue
        if isinstance(values, dict):
            yield Row(number, values)
        else:
            yield Row(number, {}, "is not UTF-8" if values is None and not _is_unicode(text) else "is no JSON object")


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\udc80" <= sign <= "\udcff" for sign in text)
