"""How a line of the log looks: one JSON object, or one line of text for a person.

BentoML decides what is written where; here the handlers that it made for standard output and
standard error get a form that is the same for our lines, its own, and those of every library.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

__all__ = ["JsonLines", "TextLines", "write_lines"]

_FIELDS: Final = ("decision_id", "caller", "request_id", "order_id", "risk_status")
"""What a line may be about beside its message; given as `extra`."""

_PROCESS = logging.getLogger("usdcop.process")


class JsonLines(logging.Formatter):
    """One object a line: time, level, logger, process, book, message, and what it is about.

    Args:
        book: of this service; empty while it is not known.
    """

    def __init__(self, book: str) -> None:
        super().__init__()
        self._book = book

    def format(self, record: logging.LogRecord) -> str:
        """The line; ASCII, so that nothing in it can end it."""
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            **({"book": self._book} if self._book else {}),
            "message": record.getMessage(),
            **_about(record),
        }
        if exception := _exception(self, record):
            line["exception"] = exception
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    r"""One line of text; what belongs to an exception follows, indented behind a bar.

    What is not printable stands escaped: neither a caller's line feed nor a sequence for a
    terminal can make up a line.

    >>> record = logging.LogRecord("usdcop.decisions", 40, "", 1, "why:\n%s", ("\x1b[2J",), None)
    >>> TextLines().format(record).split(" ", 1)[1]
    'ERROR usdcop.decisions: why:\\n\\x1b[2J'
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, and those of its exception."""
        about = ", ".join(f"{name} {value}" for name, value in _about(record).items())
        line = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}"
        lines = [_printable(f"{line} ({about})" if about else line)]
        if exception := _exception(self, record):
            lines += [f"  | {_printable(part)}" for part in exception.splitlines()]
        return "\n".join(lines)


def write_lines(*, as_json: bool, book: str, level: str) -> None:
    """Give every line that this process writes its form, faults that nobody caught included.

    Where nothing is written to standard output or error, as in a test, only the level is set.

    Args:
        as_json: for programs; else for people.
        book: of this service.
        level: of our own lines; what others write is BentoML's to choose.
    """
    logging.getLogger("usdcop").setLevel(level)
    form = JsonLines(book) if as_json else TextLines()
    handlers = list(_standard_handlers())
    for logger, handler in handlers:
        handler.setFormatter(form)
        logger.propagate = False  # the root's handler would write the same line again
    if handlers:
        logging.captureWarnings(capture=True)
        sys.excepthook = _uncaught
        threading.excepthook = _uncaught_in_thread


def _standard_handlers() -> Iterator[tuple[logging.Logger, logging.Handler]]:
    standard = (sys.stdout, sys.stderr)
    known = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    for logger in known:
        if isinstance(logger, logging.Logger):
            for handler in logger.handlers:
                if isinstance(handler, logging.StreamHandler) and handler.stream in standard:
                    yield logger, handler


def _uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, Exception):
        _PROCESS.critical("this process ends: nobody caught this", exc_info=error)
    else:
        sys.__excepthook__(kind, error, traceback)


def _uncaught_in_thread(told: threading.ExceptHookArgs) -> None:
    name = "" if told.thread is None else told.thread.name
    _PROCESS.error("the thread %s ended: nobody caught this", name, exc_info=told.exc_value)


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _about(record: logging.LogRecord) -> dict[str, Any]:
    told = ((name, getattr(record, name, None)) for name in _FIELDS)
    return {name: value for name, value in told if value not in (None, "")}


def _exception(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = [formatter.formatException(record.exc_info)] if record.exc_info else []
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
