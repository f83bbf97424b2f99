"""Whether the book lets trading begin, as it will be when the session opens."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from monitoring.day.book_checks import BookFacts, book_checks
from monitoring.day.preflight import Check, Readiness
from observation import DecisionRequest
from pipeline import decide
from risk.ledger.memory import MemoryLedger
from risk.state import OperatorMode
from tests.book import CONFIGURATION, Book
from tests.fakes import FixedVoter, desk_of

ARMED, WARNING, NOT_ARMED = Readiness.ARMED, Readiness.WARNING, Readiness.NOT_ARMED


@pytest.fixture
def book() -> Book:
    return Book(MemoryLedger())


def looked(book: Book, **more: object) -> dict[str, Check]:
    """The checks of a book, for now."""
    facts = {
        "stored": book.ledger.head().state,
        "limits": book.limits,
        "session": book.calendar.status(book.now),
        "at": book.now,
        "configuration": CONFIGURATION,
        "halt_file": False,
        "since": book.now - timedelta(days=3),
        **more,
    }
    return {check.name: check for check in book_checks(BookFacts(**facts))}  # type: ignore[arg-type]


def states(book: Book, **more: object) -> dict[str, Readiness]:
    return {name: check.state for name, check in looked(book, **more).items()}


def opens_tomorrow(book: Book) -> dict[str, object]:
    at: datetime = book.now + timedelta(days=1)
    return {"at": at, "session": book.calendar.status(at)}


def test_a_book_in_which_nothing_happened_is_armed_but_for_a_position_nobody_reported(
    book: Book,
) -> None:
    found = states(book)
    assert found.pop("position") is WARNING
    assert set(found.values()) == {ARMED}


def test_a_position_that_was_reported_since_the_session_before_is_known(book: Book) -> None:
    book.holds(0.05)
    assert looked(book)["position"].state is ARMED
    old = looked(book, since=book.now + timedelta(hours=1))["position"]
    assert (old.state, "+5.00%" in old.found) == (WARNING, True)


def test_where_a_position_is_required_an_unknown_one_is_not_armed(book: Book) -> None:
    book.limit(require_position=True)
    found = states(book)
    assert (found["position"], found["gate"]) == (NOT_ARMED, NOT_ARMED)


def test_a_halt_and_the_halt_file_are_not_armed_and_say_who(book: Book) -> None:
    book.halt(OperatorMode.HALTED, "look at it")
    check = looked(book, halt_file=True)["operator"]
    assert (check.state, check.found) == (NOT_ARMED, "HALTED by tester: look at it")
    assert states(book, halt_file=True)["halt file"] is NOT_ARMED
    assert states(book)["gate"] is NOT_ARMED


def test_a_daily_loss_is_an_obstacle_today_and_none_tomorrow(book: Book) -> None:
    book.result(-0.03)
    found = states(book)
    assert (found["breaker"], found["gate"]) == (NOT_ARMED, NOT_ARMED)
    assert found["limits"] is ARMED  # the breaker tells it
    found = states(book, **opens_tomorrow(book))
    assert (found["breaker"], found["gate"]) == (ARMED, ARMED)


def test_a_drawdown_is_an_obstacle_tomorrow_too(book: Book) -> None:
    book.result(-0.06)
    found = states(book, **opens_tomorrow(book))
    assert (found["breaker"], found["gate"]) == (NOT_ARMED, NOT_ARMED)


def test_a_limit_that_is_nearly_used_up_is_a_warning(book: Book) -> None:
    for loss in (-0.0199, -0.0199, -0.0052):
        book.result(loss)
        book.wait(days=1)
    check = looked(book, **opens_tomorrow(book))["limits"]
    assert (check.state, check.found[:29]) == (WARNING, "drawdown is at 90% of its lim")


def test_another_configuration_on_record_is_not_armed(book: Book) -> None:
    stored = replace(book.ledger.head().state, configuration="a" * 64)
    found = looked(book, stored=stored)
    assert found["configuration"].state is NOT_ARMED
    assert "usdcop config apply" in found["configuration"].right
    assert found["gate"].state is NOT_ARMED


def test_orders_of_an_earlier_day_are_named(book: Book) -> None:
    request = DecisionRequest(np.zeros(3, dtype=np.float32), order_id="left over")
    assert decide(request, desk_of(book, FixedVoter()))["approved"]
    assert looked(book)["open orders"].state is ARMED
    check = looked(book, **opens_tomorrow(book))["open orders"]
    assert check.state is WARNING
    assert check.found == "no outcome of 'left over' of 2026-03-02 is on record"
