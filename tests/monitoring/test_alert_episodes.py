"""Episodes and their messages, from one board to the next."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from errors import InvalidRequest, NotFound
from monitoring.alerts.board import Board, DeliveryState, MessageKind, Target
from monitoring.alerts.board_json import decoded, encoded
from monitoring.alerts.causes import Cause, Condition
from monitoring.alerts.episodes import Acknowledgement, acknowledged, observed
from monitoring.alerts.outbox import claimed, delivered, due, expired, failed
from monitoring.alerts.retention import MOST_CLOSED, MOST_DONE, MOST_PENDING, joined
from tests.alerting import ALL, HALTED, NEAR, TARGET, TRIPPED, Time, look

OTHER = Target("bbbb", "2 (json)")


@pytest.fixture
def time() -> Time:
    return Time()


def kinds(board: Board) -> list[str]:
    return [message.kind.value for message in board.messages]


def sent(board: Board, time: Time) -> Board:
    """Everything that waits arrives."""
    for message in board.messages:
        for delivery in message.deliveries:
            board = delivered(board, message.message_id, delivery.mark, time.teller())
    return board


def refused(board: Board, time: Time, mark: str = TARGET.mark) -> Board:
    """One attempt at the oldest message that is due, in vain."""
    item = next(iter(due(board, time.now, {mark}, ())))
    board = claimed(board, item.message.message_id, item.delivery, "claim")
    return failed(board, item.message.message_id, mark, "claim", "down", time.teller())


def test_a_new_condition_is_told_once_however_often_it_is_seen(time: Time) -> None:
    board = observed(Board(), look(HALTED), time.teller())
    again = observed(board, look(HALTED), time.teller())
    assert again is board
    assert kinds(board) == ["opened"]
    assert board.messages[0].title == "PAGE: halt HALTED (book default)"
    assert board.messages[0].deliveries[0].mark == TARGET.mark


def test_a_cause_that_flickers_within_the_quiet_period_is_one_episode(time: Time) -> None:
    board = observed(Board(), look(NEAR), time.teller())
    for _ in range(5):
        board = observed(board, look(), time.teller())
        time.wait(minutes=10)
        board = observed(board, look(NEAR), time.teller())
        time.wait(minutes=10)
    assert kinds(board) == ["opened"]


def test_a_cause_that_stays_away_is_resolved_once_and_is_new_when_it_comes_back(
    time: Time,
) -> None:
    board = observed(Board(), look(NEAR), time.teller())
    board = observed(board, look(), time.teller())
    time.wait(minutes=14)
    board = observed(board, look(), time.teller())
    assert kinds(board) == ["opened"]
    time.wait(minutes=1)
    board = observed(board, look(), time.teller())
    board = observed(board, look(), time.teller())
    assert kinds(board) == ["opened", "resolved"]
    assert board.open == ()
    board = observed(board, look(NEAR), time.teller())
    assert kinds(board) == ["opened", "resolved", "opened"]


def test_what_cannot_be_judged_is_not_over(time: Time) -> None:
    board = observed(Board(), look(HALTED), time.teller())
    for _ in range(3):
        time.wait(hours=1)
        board = observed(board, look(judged=ALL - {Cause.HALT}), time.teller())
    assert [episode.resolved_at for episode in board.open] == [None]


def test_a_condition_that_opens_nothing_keeps_an_open_episode_open(time: Time) -> None:
    quietly = replace(NEAR, opens=False)
    assert observed(Board(), look(quietly), time.teller()) == Board()
    board = observed(Board(), look(NEAR), time.teller())
    time.wait(hours=1)
    assert observed(board, look(quietly), time.teller()) is board


def test_a_halt_is_told_again_at_growing_intervals_until_it_is_acknowledged(time: Time) -> None:
    board = sent(observed(Board(), look(HALTED), time.teller()), time)
    told = []
    for minute in range(1, 121):
        time.wait(minutes=1)
        before = len(board.messages)
        board = sent(observed(board, look(HALTED), time.teller()), time)
        if len(board.messages) > before:
            told.append(minute)
    assert told == [15, 45, 105]
    board = acknowledged(board, Acknowledgement("desk"), time.now)
    time.wait(days=1)
    assert observed(board, look(HALTED), time.teller()) is board


def test_what_does_not_escalate_is_never_told_again(time: Time) -> None:
    board = sent(observed(Board(), look(NEAR), time.teller()), time)
    time.wait(days=3)
    assert observed(board, look(NEAR), time.teller()) is board


def test_no_reminder_is_made_while_the_first_message_waits(time: Time) -> None:
    board = observed(Board(), look(TRIPPED), time.teller())
    time.wait(days=1)
    assert observed(board, look(TRIPPED), time.teller()) is board


def test_a_clock_that_goes_back_resolves_nothing_early_and_reminds_no_later(time: Time) -> None:
    board = sent(observed(Board(), look(HALTED, NEAR), time.teller()), time)
    board = observed(board, look(HALTED), time.teller())
    time.wait(hours=-5)
    board = observed(board, look(HALTED), time.teller())
    time.wait(minutes=14)
    board = observed(board, look(HALTED), time.teller())
    assert kinds(board) == ["opened", "opened"]
    time.wait(minutes=1)
    board = observed(board, look(HALTED), time.teller())
    assert sorted(kinds(board)) == ["opened", "opened", "reminder", "resolved"]


def test_an_acknowledgement_is_of_a_cause_or_a_name_and_the_first_one_stays(time: Time) -> None:
    board = observed(Board(), look(HALTED, NEAR), time.teller())
    board = acknowledged(board, Acknowledgement("one", cause=Cause.LIMIT, note="seen"), time.now)
    assert [episode.acknowledged_by for episode in board.open] == [None, "one"]
    name = board.open[1].episode_id
    assert acknowledged(board, Acknowledgement("two", episode_id=name), time.now) is board
    with pytest.raises(NotFound, match="'nobody'"):
        acknowledged(board, Acknowledgement("two", episode_id="nobody"), time.now)


def test_reports_do_not_go_to_a_target_for_pages(time: Time) -> None:
    time.targets = (TARGET, replace(OTHER, pages_only=True))
    board = observed(Board(), look(HALTED, NEAR), time.teller())
    told = [[delivery.mark for delivery in message.deliveries] for message in board.messages]
    assert told == [["aaaa", "bbbb"], ["aaaa"]]


@pytest.mark.parametrize("cause", [Cause.DRIFT, Cause.COLLAPSE])
def test_statistics_never_page(cause: Cause, time: Time) -> None:
    board = observed(Board(), look(Condition(cause, "vectors", "strayed")), time.teller())
    assert board.messages[0].severity.value == "report"


def test_a_failed_delivery_is_tried_again_later_and_later(time: Time) -> None:
    board = observed(Board(), look(HALTED), time.teller())
    pauses = []
    for _ in range(9):
        board = refused(board, time)
        (delivery,) = board.messages[0].deliveries
        pauses.append((delivery.next_at - time.now).total_seconds())
        assert not list(due(board, time.now, {TARGET.mark}, ()))
        time.now = delivery.next_at
    assert pauses == [10, 20, 40, 80, 160, 320, 600, 600, 600]


def test_what_is_given_up_is_told_to_the_other_targets_and_that_is_never_told_of(
    time: Time,
) -> None:
    time.targets = (TARGET, OTHER)
    board = observed(Board(), look(HALTED), time.teller())
    for _ in range(100):
        if not list(due(board, time.now + timedelta(days=1), {TARGET.mark}, ())):
            break
        time.wait(minutes=10)
        board = refused(board, time)
    assert board.messages[0].to(TARGET.mark).state is DeliveryState.GIVEN_UP  # type: ignore[union-attr]
    (told,) = [message for message in board.messages if message.cause is Cause.DELIVERY]
    assert [delivery.mark for delivery in told.deliveries] == [OTHER.mark]
    for _ in range(100):
        time.wait(minutes=10)
        while list(due(board, time.now, {OTHER.mark}, ())):
            board = refused(board, time, OTHER.mark)
    causes = [episode.about for episode in board.open if episode.cause is Cause.DELIVERY]
    assert causes == [(Cause.DELIVERY, TARGET.shown), (Cause.DELIVERY, OTHER.shown)]
    assert not any(message.pending for message in board.messages if message.cause is Cause.HALT)


def test_a_target_that_works_again_ends_the_episode_about_it(time: Time) -> None:
    time.targets = (TARGET, OTHER)
    board = observed(Board(), look(HALTED), time.teller())
    for _ in range(12):
        time.wait(minutes=10)
        if list(due(board, time.now, {TARGET.mark}, ())):
            board = refused(board, time)
    assert board.about(Cause.DELIVERY, TARGET.shown) is not None
    board = observed(board, look(HALTED, NEAR), time.teller())
    board = sent(board, time)
    assert board.about(Cause.DELIVERY, TARGET.shown) is None


def test_a_message_waits_for_the_one_before_it_of_the_same_episode(time: Time) -> None:
    board = refused(observed(Board(), look(HALTED), time.teller()), time)
    board = observed(board, look(), time.teller())
    time.wait(seconds=10)
    board = observed(board, look(NEAR), time.teller())
    found = [item.message.title for item in due(board, time.now, {TARGET.mark}, ())]
    assert [title.split(":")[0] for title in found] == ["PAGE", "REPORT"]


def test_a_claim_holds_until_it_is_abandoned_and_a_late_failure_counts_for_nothing(
    time: Time,
) -> None:
    board = observed(Board(), look(HALTED), time.teller())
    (message,) = board.messages
    board = claimed(board, message.message_id, message.deliveries[0], "first")
    assert claimed(board, message.message_id, message.deliveries[0], "second") is board
    assert not list(due(board, time.now, {TARGET.mark}, ()))
    (item,) = due(board, time.now, {TARGET.mark}, {"first"})
    board = claimed(board, message.message_id, item.delivery, "second")
    assert failed(board, message.message_id, TARGET.mark, "first", "x", time.teller()) is board
    board = delivered(board, message.message_id, TARGET.mark, time.teller())
    assert delivered(board, message.message_id, TARGET.mark, time.teller()) is board


def test_a_retry_that_lies_too_far_ahead_is_due_since_the_clock_went_back(time: Time) -> None:
    board = refused(observed(Board(), look(HALTED), time.teller()), time)
    time.wait(hours=-1)
    assert list(due(board, time.now, {TARGET.mark}, ()))


def test_messages_to_a_target_that_nobody_has_any_more_are_given_up_in_the_end(time: Time) -> None:
    board = observed(Board(), look(HALTED), time.teller())
    time.targets = (OTHER,)
    time.wait(hours=2)
    assert expired(board, time.teller()) is board
    time.wait(minutes=11)
    board = expired(board, time.teller())
    assert board.messages[0].deliveries[0].state is DeliveryState.GIVEN_UP
    assert board.open[-1].cause is Cause.DELIVERY


def test_a_board_is_bounded_and_pages_outlive_reports(time: Time) -> None:
    board = observed(Board(), look(HALTED), time.teller())
    for number in range(300):
        board = observed(board, look(HALTED, replace(NEAR, key=str(number))), time.teller())
        time.wait(minutes=20)
    assert len(board.closed) <= MOST_CLOSED
    assert len(board.messages) <= MOST_PENDING + MOST_DONE
    assert sum(message.pending for message in board.messages) <= MOST_PENDING
    assert board.messages[0].pending
    assert board.messages[0].cause is Cause.HALT


def test_boards_join_without_a_second_episode_about_the_same(time: Time) -> None:
    stored = observed(Board(), look(HALTED), time.teller())
    own = sent(observed(stored, look(HALTED, NEAR), time.teller()), time)
    elsewhere = observed(stored, look(HALTED, NEAR, TRIPPED), time.teller())
    both = joined(elsewhere, own)
    assert sorted(episode.about for episode in both.open) == sorted(
        [(Cause.HALT, "HALTED"), (Cause.LIMIT, "trades"), (Cause.BREAKER, "daily_loss")]
    )
    assert not both.messages[0].pending
    assert joined(both, own) == both


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b'{"open": 1}',
        b'{"other": []}',
        b"{",
        b'{"open":[{"episode_id":1}]}',
        b"\xff",
    ],
)
def test_what_is_no_board_is_not_read_as_one(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="no board"):
        decoded(body)


CONDITIONS = (HALTED, NEAR, TRIPPED, Condition(Cause.DRIFT, "vectors", "strayed"))


class AnyHistory(RuleBasedStateMachine):
    """Looks, deliveries, failures, crashes and clock jumps in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.time = Time(targets=(TARGET, OTHER))
        self.board = Board()
        self.made: dict[str, int] = {}
        self.ended: set[str] = set()

    def _becomes(self, board: Board) -> None:
        known = {message.message_id for message in self.board.messages}
        for message in board.messages:
            if message.message_id not in known:
                self.made[message.message_id] = self.made.get(message.message_id, 0) + 1
        self.board = board

    @rule(seen=st.sets(st.sampled_from(CONDITIONS)), blind=st.sets(st.sampled_from(list(Cause))))
    def look(self, seen: set[Condition], blind: set[Cause]) -> None:
        view = look(*sorted(seen, key=repr), judged=ALL - blind)
        self._becomes(observed(self.board, view, self.time.teller()))

    @rule(seconds=st.sampled_from([1, 11, 600, 1000, 4000, -3000]))
    def wait(self, seconds: int) -> None:
        self.time.wait(seconds=seconds)

    @rule(arrives=st.booleans(), dies=st.booleans())
    def send(self, *, arrives: bool, dies: bool) -> None:
        claims = {
            delivery.claim
            for message in self.board.messages
            for delivery in message.deliveries
            if delivery.claim is not None
        }
        marks = {TARGET.mark, OTHER.mark}
        for message, delivery in list(due(self.board, self.time.now, marks, claims)):
            claim = self.time.new_id()
            self._becomes(claimed(self.board, message.message_id, delivery, claim))
            if dies:
                return
            where, teller = (message.message_id, delivery.mark), self.time.teller()
            step = (
                delivered(self.board, *where, teller)
                if arrives
                else failed(self.board, *where, claim, "down", teller)
            )
            self._becomes(step)

    @rule()
    def acknowledge(self) -> None:
        self._becomes(acknowledged(self.board, Acknowledgement("desk"), self.time.now))

    @rule()
    def expire(self) -> None:
        self._becomes(expired(self.board, self.time.teller()))

    @invariant()
    def nothing_is_told_twice(self) -> None:
        assert all(times == 1 for times in self.made.values())
        opened = [each for each in self.made if each.endswith(f"/{MessageKind.OPENED}")]
        assert len({episode.about for episode in self.board.open}) == len(self.board.open)
        assert {f"{each.episode_id}/opened" for each in self.board.open} <= set(opened)

    @invariant()
    def it_is_read_back_as_it_was(self) -> None:
        assert decoded(encoded(self.board)) == self.board

    def teardown(self) -> None:
        """In the end every message has arrived or was given up."""
        for _ in range(60):
            self.time.wait(minutes=11)
            self.send(arrives=True, dies=False)
        assert not any(message.pending for message in self.board.messages)


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=40, stateful_step_count=30)
