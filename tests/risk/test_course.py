"""The course of a day: after each event it stands where the book stands."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from risk.course import DayCourse, Point, thinned
from risk.events import EventKind
from risk.fixed_point import from_nano
from risk.ledger.memory import MemoryLedger
from risk.state import ResetScope
from tests.book import MONDAY_NOON_UTC, Book

STEPS = st.sampled_from(["win", "loss", "mark", "bad mark", "daily", "all", "decide", "tomorrow"])


def course_of(book: Book, course: DayCourse | None = None) -> list[Point]:
    day = book.calendar.day(book.now)
    return list((course or DayCourse(book.ledger)).points(book.state, day))


def decide(book: Book) -> None:
    payload = {"state": book.state.to_json(), "answer": {"approved": False}, "order": None}
    book.ledger.append([book.act().draft(EventKind.DECISION, payload)])


def step(book: Book, name: str) -> None:
    book.wait(seconds=40)
    match name:
        case "win":
            book.result(0.004)
        case "loss":
            book.result(-0.003)
        case "mark":
            book.mark(0.002)
        case "bad mark":
            book.mark(-0.06)
        case "daily":
            book.reset()
        case "all":
            book.reset(ResetScope.ALL, "a new base")
        case "decide":
            decide(book)
        case _:
            book.now += timedelta(days=1)


def test_a_day_without_reports_has_no_course(book: Book) -> None:
    assert course_of(book) == []
    book.holds(0.05)
    assert course_of(book) == []


def test_each_report_is_a_point_with_the_figures_that_it_led_to(book: Book) -> None:
    book.result(0.004)
    book.wait(minutes=1)
    book.mark(-0.001)
    points = course_of(book)
    assert [(point.daily_pnl, point.drawdown) for point in points] == [(0.004, 0), (0.003, -0.001)]
    assert points[1].at - points[0].at == timedelta(minutes=1)


def test_a_new_day_begins_with_the_mark_that_it_was_handed(book: Book) -> None:
    book.mark(0.01)
    book.now += timedelta(days=1)
    assert course_of(book) == []
    book.mark(0.012)
    assert [point.daily_pnl for point in course_of(book)] == [0.002]


def test_what_was_read_is_not_read_again_and_what_is_new_is_added(book: Book) -> None:
    course = DayCourse(book.ledger)
    book.result(0.004)
    first = course_of(book, course)
    book.result(-0.001)
    second = course_of(book, course)
    assert second[:1] == first
    assert second == course_of(book)


def test_a_long_day_is_told_in_few_points_with_its_extremes() -> None:
    points = [
        Point(MONDAY_NOON_UTC + timedelta(seconds=n), 0.001 * (n % 7), 0.0) for n in range(5000)
    ]
    points[1234] = points[1234]._replace(daily_pnl=-0.02)
    points[4321] = points[4321]._replace(drawdown=-0.05)
    told = thinned(points, 400)
    assert len(told) <= 400
    assert told == sorted(told)
    assert {points[0], points[1234], points[4321], points[-1]} <= set(told)
    assert thinned(points[:300], 400) == points[:300]


@given(st.lists(STEPS, max_size=25), st.integers(0, 25))
def test_the_course_ends_where_the_book_stands_however_often_it_was_asked(
    names: list[str], asked_after: int
) -> None:
    book = Book(MemoryLedger())
    book.limit(max_daily_resets=100)
    course = DayCourse(book.ledger)
    for number, name in enumerate(names):
        step(book, name)
        if number >= asked_after:
            course_of(book, course)
    points = course_of(book, course)
    assert points == course_of(book)
    if points:
        state = book.state
        assert points[-1][1:] == (from_nano(state.daily_pnl), from_nano(state.drawdown))
