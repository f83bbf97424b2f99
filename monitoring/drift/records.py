"""What drift checks found, where every process and a person can read it.

Under three names: `drift:latest` (the newest entry), `drift:log` (entries, newest first) and
`drift:report` (a page for people). Entries are JSON objects with a `tick`, which names the check:
what is published under the same one replaces the earlier, so that a check that is made twice, or
told twice, is one entry.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from errors import InvalidRequest, StoreCorrupt, StoreUnavailable
from stores.documents import Documents

__all__ = [
    "LATEST",
    "LOG",
    "MOST_ENTRIES",
    "REPORT",
    "DocumentDriftRecords",
    "DriftRecords",
    "Entry",
    "decoded_entry",
    "encoded_entry",
]

Entry = dict[str, Any]

LATEST: Final = "drift:latest"
LOG: Final = "drift:log"
REPORT: Final = "drift:report"
MOST_ENTRIES: Final = 1000
"""Entries that the log keeps."""

_ATTEMPTS: Final = 50


class DriftRecords(Protocol):
    """The records of one book. Thread-safe.

    Every method raises `StoreUnavailable` when the store cannot be reached now and `StoreCorrupt`
    when what it holds cannot be read.
    """

    @property
    def name(self) -> str:
        """Which kind of store this is, e.g. `sqlite`."""
        ...

    def publish(self, entry: Mapping[str, Any], report: bytes | None) -> None:
        """Tell what a check found. Safe to repeat, also after any failure.

        Args:
            entry: has a `tick`; numbers that are not finite are told as null.
            report: the page; None leaves the one before it.

        Raises:
            InvalidRequest: the entry has no tick, or is no JSON.
        """
        ...

    def latest(self) -> Entry | None:
        """What was published last; None before the first."""
        ...

    def history(self, limit: int = 50) -> list[Entry]:
        """Entries, newest first, at most so many."""
        ...

    def report(self) -> bytes | None:
        """The newest page, HTML in UTF-8; None before the first."""
        ...

    def close(self) -> None:
        """Release what is held open. Closing twice is harmless."""
        ...


def encoded_entry(entry: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """An entry as JSON, tick first, and what all entries of this tick begin with.

    >>> encoded_entry({"share": float("nan"), "tick": "a"})
    (b'{"tick":"a","share":null}', b'{"tick":"a"')

    Raises:
        InvalidRequest: it has no tick, or is no JSON.
    """
    tick = entry.get("tick")
    if not isinstance(tick, str) or not tick:
        raise InvalidRequest("an entry needs a `tick`: text that names its check")
    try:
        text = _text({"tick": tick, **{key: entry[key] for key in entry if key != "tick"}})
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"the entry of {tick} is no JSON: {error}") from error
    return text, _text({"tick": tick})[:-1]


def decoded_entry(text: bytes, where: str) -> Entry:
    """An entry from its JSON.

    Raises:
        StoreCorrupt: it is none.
    """
    try:
        entry = json.loads(text)
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        raise StoreCorrupt(f"{where} is no entry of a drift check; delete it: the next one is made")
    return entry


def _text(value: object) -> bytes:
    return json.dumps(_finite(value), separators=(",", ":"), allow_nan=False).encode()


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value


class DocumentDriftRecords:
    """Records as documents: a file that the processes of one host share, or memory.

    Args:
        documents: where they are; closed with this.
        most_entries: that the log keeps.
    """

    def __init__(self, documents: Documents, *, most_entries: int = MOST_ENTRIES) -> None:
        self._documents, self._most_entries = documents, most_entries

    @property
    def name(self) -> str:
        """Which kind of store this is."""
        return self._documents.name

    def publish(self, entry: Mapping[str, Any], report: bytes | None) -> None:
        """Tell what a check found. Safe to repeat."""
        text, beginning = encoded_entry(entry)
        if report is not None:
            self._replace(REPORT, lambda _: report)
        self._replace(LOG, lambda log: _entered(log, text, beginning, self._most_entries))
        self._replace(LATEST, lambda _: text)

    def latest(self) -> Entry | None:
        """What was published last."""
        found = self._documents.read(LATEST)
        return decoded_entry(found.body, LATEST) if found.version else None

    def history(self, limit: int = 50) -> list[Entry]:
        """Entries, newest first, at most so many."""
        lines = self._documents.read(LOG).body.splitlines()
        return [decoded_entry(line, LOG) for line in lines[:limit]]

    def report(self) -> bytes | None:
        """The newest page."""
        found = self._documents.read(REPORT)
        return found.body if found.version else None

    def close(self) -> None:
        """Release the store. Closing twice is harmless."""
        self._documents.close()

    def _replace(self, name: str, change: Callable[[bytes], bytes]) -> None:
        for _ in range(_ATTEMPTS):
            found = self._documents.read(name)
            if self._documents.write(name, change(found.body), expected=found.version):
                return
        raise StoreUnavailable(f"{name}: others kept writing it")


def _entered(log: bytes, text: bytes, beginning: bytes, most_entries: int) -> bytes:
    """The log, one entry a line, with this one in the place of its tick's, or as the newest."""
    lines = log.splitlines()
    places = [place for place, line in enumerate(lines) if line.startswith(beginning)]
    if places:
        lines[places[0]] = text
    else:
        lines.insert(0, text)
    return b"\n".join(lines[:most_entries])
