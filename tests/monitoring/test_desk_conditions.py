"""What a desk is told of in a session: a silent feed, an old mark, an order without an outcome."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from monitoring.alerts.causes import Cause, Severity, severity_of
from monitoring.alerts.desk_conditions import (
    DeskRules,
    MarkWatch,
    feed_look,
    order_conditions,
    preflight_look,
)
from observation import DecisionRequest
from pipeline import decide
from risk.ledger.memory import MemoryLedger
from tests.book import Book
from tests.fakes import FixedVoter, desk_of

RULES = DeskRules(
    feed=timedelta(minutes=15), mark=timedelta(minutes=30), order=timedelta(minutes=5)
)


@pytest.fixture
def book() -> Book:
    """At 09:00 of an open session."""
    return Book(MemoryLedger())


def silent(book: Book, newest_bar: datetime | None) -> bool:
    look = feed_look(newest_bar, book.calendar, book.now, RULES)
    assert look.judged == {Cause.FEED}
    return bool(look.conditions)


def test_a_feed_is_silent_once_no_bar_has_come_for_long(book: Book) -> None:
    # A bar that starts at 08:40 is known at 08:45.
    assert not silent(book, book.now - timedelta(minutes=19))
    assert silent(book, book.now - timedelta(minutes=20))


def test_a_session_that_has_just_opened_waits_for_its_first_bars(book: Book) -> None:
    overnight = book.now - timedelta(days=3)
    book.now = book.now.replace(hour=13, minute=14)  # 08:14 in Bogotá
    assert not silent(book, overnight)
    book.wait(minutes=1)
    assert silent(book, overnight)
    book.now = book.now.replace(hour=23)
    assert not silent(book, overnight)


def test_a_desk_without_bars_or_with_bars_of_long_ago_has_no_feed(book: Book) -> None:
    assert not silent(book, None)
    assert not silent(book, book.now - timedelta(days=8))


def old_mark(watch: MarkWatch, book: Book) -> bool | None:
    """Whether what is held is not marked; None when nobody can tell."""
    look = watch.look(book.state, book.calendar.status(book.now), book.now, RULES)
    return bool(look.conditions) if Cause.MARK in look.judged else None


def test_a_position_whose_mark_is_old_is_told_with_what_is_held(book: Book) -> None:
    watch = MarkWatch()
    book.holds(0.05)
    book.mark(0.001)
    assert old_mark(watch, book) is False
    book.wait(minutes=29)
    assert old_mark(watch, book) is False
    book.wait(minutes=1)
    (condition,) = watch.look(
        book.state, book.calendar.status(book.now), book.now, RULES
    ).conditions
    assert condition.message.startswith("+5.00% of capital is held, and the newest mark is 30 min")
    book.mark(0.001)
    assert old_mark(watch, book) is False


def test_a_position_that_is_new_has_time_for_its_first_mark(book: Book) -> None:
    watch = MarkWatch()
    book.mark(0.0)
    book.wait(hours=1)
    assert old_mark(watch, book) is False
    book.holds(0.05)
    assert old_mark(watch, book) is None
    book.wait(minutes=30)
    assert old_mark(watch, book) is True
    book.holds(0.0)
    assert old_mark(watch, book) is False


def test_a_desk_that_never_marks_and_a_closed_session_are_not_asked_for_a_mark(
    book: Book,
) -> None:
    watch = MarkWatch()
    book.holds(0.05)
    assert old_mark(watch, book) is False
    book.wait(hours=2)
    assert old_mark(watch, book) is False
    book.mark(0.0)
    book.now = book.now.replace(hour=23)
    assert old_mark(watch, book) is False


def test_an_approved_entry_without_an_outcome_is_told_some_minutes_after_its_end(
    book: Book,
) -> None:
    desk = desk_of(book, FixedVoter())
    request = DecisionRequest(np.zeros(3, dtype=np.float32), order_id="A")
    assert decide(request, desk)["approved"]

    def told() -> list[str]:
        return [one.message for one in order_conditions(book.state, book.now, RULES)]

    book.wait(seconds=60 + 299)
    assert told() == []
    book.wait(seconds=1)
    assert told() == [
        "no outcome of 'A' is on record, approved until 14:01:00 UTC; report its result, or "
        "release it"
    ]
    book.release("A")
    assert told() == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, True),
        ({"state": "warning"}, False),
        ({"session": "2026-02-27"}, False),
        ({"session": "2026-03-03"}, True),  # it begins after midnight
        ({"session": None}, False),
    ],
)
def test_a_look_that_found_the_book_not_armed_is_told_while_its_session_lasts(
    book: Book, changes: dict[str, Any], told: bool
) -> None:
    checks = [
        {"name": "disk", "state": "not armed", "found": "1 MiB is free"},
        {"name": "macro", "state": "warning", "found": "vix is old"},
    ]
    newest = {
        "state": "not armed",
        "session": "2026-03-02",
        "by": "service:preflight",
        "checks": checks,
        **changes,
    }
    look = preflight_look(newest, book.calendar.status(book.now), book.now)
    assert [one.message for one in look.conditions if one.opens] == (
        [f"not armed for the session of {newest['session']}: disk: 1 MiB is free"] if told else []
    )
    book.now = book.now.replace(hour=18)
    book.wait(days=newest["session"] == "2026-03-03")
    assert not preflight_look(newest, book.calendar.status(book.now), book.now).conditions
    assert not preflight_look(None, book.calendar.status(book.now), book.now).conditions


def test_who_looks_by_command_is_not_paged_and_ends_no_page_by_it(book: Book) -> None:
    newest = {"state": "not armed", "session": "2026-03-02", "by": "cli:desk", "checks": []}
    (condition,) = preflight_look(newest, book.calendar.status(book.now), book.now).conditions
    assert not condition.opens


def test_what_needs_somebody_now_is_a_page_and_all_else_is_a_report() -> None:
    pages = {cause for cause in Cause if severity_of(cause) is Severity.PAGE}
    assert pages == {
        Cause.BREAKER,
        Cause.HALT,
        Cause.LEDGER,
        Cause.FEED,
        Cause.MARK,
        Cause.ORDER,
        Cause.PREFLIGHT,
    }
