"""How lines of the log look: whole for programs, readable for people, and never forged."""

import json
import logging
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.log_lines import JsonLines, TextLines, write_lines

NEVER_FORGED = "ok\n2026-11-29T15:00:00.000Z CRITICAL usdcop.decisions: forged"
LINE = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z ERROR usdcop\.test: ")


def record(message: str, *, fault: BaseException | None = None, **about: Any) -> logging.LogRecord:
    caught = None if fault is None else (type(fault), fault, fault.__traceback__)
    made = logging.getLogger("usdcop.test").makeRecord(
        "usdcop.test", logging.ERROR, "", 1, "%s", (message,), caught, extra=about
    )
    made.created = 1_796_000_000.25
    return made


def fail(message: str) -> None:
    raise ValueError(message)


def raised(message: str) -> Exception:
    try:
        fail(message)
    except ValueError as error:
        return error
    raise AssertionError


def test_a_line_is_one_object_with_what_it_is_about() -> None:
    answered = record(
        "answered", decision_id="D-1", caller="desk", order_id=None, risk_status="APPROVED"
    )
    told = json.loads(JsonLines("main").format(answered))
    assert told.pop("process") > 0
    assert datetime.fromisoformat(told.pop("time")).timestamp() == 1_796_000_000.25
    assert told == {
        "level": "ERROR",
        "logger": "usdcop.test",
        "book": "main",
        "message": "answered",
        "decision_id": "D-1",
        "caller": "desk",
        "risk_status": "APPROVED",
    }


def test_an_exception_is_one_field_of_its_line() -> None:
    told = json.loads(JsonLines("main").format(record("failed", fault=raised("why"))))
    assert told["exception"].splitlines()[0] == "Traceback (most recent call last):"
    assert told["exception"].splitlines()[-1] == "ValueError: why"


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_nothing_that_is_logged_makes_two_objects_of_one(message: str, order_id: str) -> None:
    line = JsonLines("main").format(record(message, order_id=order_id, fault=raised(message)))
    assert line.splitlines() == [line]
    line.encode("ascii")
    assert json.loads(line)["message"] == message


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_nothing_that_is_logged_makes_two_lines_of_text_of_one(message: str, order_id: str) -> None:
    line = TextLines().format(record(message, order_id=order_id))
    assert line.isprintable()
    assert line.splitlines() == [line]


@given(st.text(st.characters(codec=None)))
def test_no_exception_makes_up_a_line_of_text(message: str) -> None:
    first, *others = TextLines().format(record("failed", fault=raised(message))).splitlines()
    assert LINE.match(first)
    assert others
    assert all(line.startswith("  | ") for line in others)


def test_text_says_what_a_line_is_about_and_escapes_what_a_caller_sent() -> None:
    line = TextLines().format(record(NEVER_FORGED, caller="desk", order_id="O-1"))
    assert line.endswith(r"CRITICAL usdcop.decisions: forged (caller desk, order_id O-1)")
    assert LINE.match(line)[0] + r"ok\n2026" in line  # type: ignore[index]


def test_only_what_is_written_to_standard_output_or_error_gets_a_form(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # A test has handlers of its own: they, and the hooks for faults, stay as they are.
    before, hook = caplog.handler.formatter, sys.excepthook
    level = logging.getLogger("usdcop").level
    try:
        write_lines(as_json=True, book="main", level="ERROR")
        assert logging.getLogger("usdcop").level == logging.ERROR
    finally:
        logging.getLogger("usdcop").setLevel(level)
    assert (caplog.handler.formatter, sys.excepthook) == (before, hook)


FAULTS = """
import logging, sys, threading, warnings
from monitoring.log_lines import write_lines

logging.basicConfig(stream=sys.stdout)
logging.getLogger("other").addHandler(logging.StreamHandler(sys.stderr))
write_lines(as_json=True, book="main", level="INFO")
logging.getLogger("other").warning("of a library")
warnings.warn("old", DeprecationWarning, stacklevel=1)
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise ValueError("the end")
"""


def test_what_nobody_caught_and_what_libraries_say_has_the_same_form() -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "always", "-c", FAULTS],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    (other,) = map(json.loads, ended.stderr.splitlines())
    warning, thread, end = map(json.loads, ended.stdout.splitlines())
    assert other["message"] == "of a library"
    assert (warning["logger"], warning["level"]) == ("py.warnings", "WARNING")
    assert thread["exception"].endswith("ZeroDivisionError: division by zero")
    assert (end["level"], end["exception"].splitlines()[-1]) == ("CRITICAL", "ValueError: the end")
