"""Sends what is in the outbox, on threads of its own: no target holds up another, or a caller.

A claim is stored before a message is sent. One that does not move for a while, as this process's
own clock tells, is that of a dead process, and is taken over: clocks of hosts are not compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from threading import Lock, Thread
from typing import Final

from errors import StoreError
from monitoring.alerts.board import AlertRules, Board, Delivery, DeliveryState, Message
from monitoring.alerts.episodes import Teller
from monitoring.alerts.outbox import Due, claimed, delivered, due, expired, failed
from monitoring.alerts.sender import DeliveryFailed, Sender
from monitoring.alerts.shared_board import BoardStore, Change, Step
from monitoring.alerts.telling import tell
from monitoring.observer import AlertAttempted, Observer

__all__ = ["Dispatcher", "Surroundings"]

_MOST_HANGING: Final = 3
_LAST_WAIT_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What sending needs beside the board.

    Attributes:
        sender: to the targets.
        rules: how alerts are told.
        clock: aware time.
        timer: seconds of a clock that never goes back.
        new_id: makes a unique name.
        observer: is told of each attempt.
        timeout_seconds: how long a target may take.
    """

    sender: Sender
    rules: AlertRules
    clock: Callable[[], datetime]
    timer: Callable[[], float]
    new_id: Callable[[], str]
    observer: Observer
    timeout_seconds: float

    def teller(self) -> Teller:
        """What a step of the board needs now."""
        return Teller(self.clock(), self.rules, self.sender.targets, self.new_id)


@dataclass
class _Sending:
    message: Message
    delivery: Delivery
    claim: str
    begun: float
    thread: Thread | None = None
    overdue: bool = False


@dataclass(frozen=True)
class _Outcome:
    sending: _Sending
    error: str | None


class Dispatcher:
    """Sends the messages of one board. `step` is for one thread, which it never holds up.

    Args:
        store: of the board.
        surroundings: sender, rules, time.
    """

    def __init__(self, store: BoardStore, surroundings: Surroundings) -> None:
        self._store, self._around = store, surroundings
        self._lock = Lock()
        self._sending: list[_Sending] = []
        self._unmarked: list[_Outcome] = []
        self._claims_seen: dict[str, float] = {}

    def step(self) -> None:
        """Mark what was sent, give up waiting for what hangs, send what is due.

        Raises:
            StoreError: the board cannot be reached; nothing is lost by that.
        """
        self._mark_again()
        self._stop_waiting()
        board = self._store.read()
        if any(message.pending for message in board.messages):
            board = self._changed(lambda newest: expired(newest, self._around.teller())).after
        abandoned = self._abandoned(board)
        busy = self._busy()
        marks = {target.mark for target in self._around.sender.targets}
        for item in list(due(board, self._around.clock(), marks, abandoned)):
            if item.delivery.mark not in busy:
                busy.add(item.delivery.mark)
                self._send(item)

    def close(self) -> None:
        """Wait for a moment for what is under way; its marks are worth it."""
        with self._lock:
            threads = [sending.thread for sending in self._sending if not sending.overdue]
        until = self._around.timer() + _LAST_WAIT_SECONDS
        for thread in threads:
            if thread is not None:
                thread.join(max(0.0, until - self._around.timer()))

    def _send(self, item: Due) -> None:
        message, delivery = item
        claim = self._around.new_id()
        change = self._changed(lambda board: claimed(board, message.message_id, delivery, claim))
        if change.after is change.before:
            return  # somebody else was faster
        sending = _Sending(message, delivery, claim, self._around.timer())
        # A daemon: a target that hangs must not keep the process from ending.
        sending.thread = Thread(
            target=self._deliver, args=(sending,), name=f"alert-{delivery.shown}", daemon=True
        )
        with self._lock:
            self._sending.append(sending)
        sending.thread.start()

    def _deliver(self, sending: _Sending) -> None:
        error: str | None = None
        try:
            self._around.sender.send(sending.delivery.mark, sending.message)
        except DeliveryFailed as failure:
            error = str(failure)
        except Exception as failure:  # noqa: BLE001 - a thread's edge; its text may hold secrets
            error = f"sending it failed with {type(failure).__name__}"
        # One that came through after all is not sent again, as far as that is still possible.
        if error is None or not sending.overdue:
            self._mark(_Outcome(sending, error))
        with self._lock:
            self._sending.remove(sending)

    def _mark(self, outcome: _Outcome) -> None:
        sending = outcome.sending
        message_id, mark = sending.message.message_id, sending.delivery.mark
        teller = self._around.teller()
        step: Step = (
            partial(delivered, message_id=message_id, mark=mark, teller=teller)
            if outcome.error is None
            else partial(
                failed,
                message_id=message_id,
                mark=mark,
                claim=sending.claim,
                error=outcome.error,
                teller=teller,
            )
        )
        try:
            change = self._changed(step)
        except StoreError:
            with self._lock:
                self._unmarked.append(outcome)
            return
        self._tell_attempt(outcome, change)

    def _tell_attempt(self, outcome: _Outcome, change: Change) -> None:
        sending = outcome.sending
        state = "delivered" if outcome.error is None else "failed"
        message = change.after.message(sending.message.message_id)
        found = None if message is None else message.to(sending.delivery.mark)
        if found is not None and found.state is DeliveryState.GIVEN_UP:
            state = "given_up"
        self._around.observer.observe(
            AlertAttempted(
                outcome=state,
                target=sending.delivery.shown,
                title=sending.message.title,
                error=outcome.error or "",
            )
        )

    def _mark_again(self) -> None:
        with self._lock:
            outcomes, self._unmarked = self._unmarked, []
        for outcome in outcomes:
            self._mark(outcome)

    def _stop_waiting(self) -> None:
        latest = self._around.timer() - self._around.timeout_seconds
        with self._lock:
            overdue = [
                sending
                for sending in self._sending
                if not sending.overdue and sending.begun <= latest
            ]
            for sending in overdue:
                sending.overdue = True
        words = f"no answer within {self._around.timeout_seconds:g} s"
        for sending in overdue:
            self._mark(_Outcome(sending, words))

    def _busy(self) -> set[str]:
        """Targets that are being sent to, or hang too often."""
        with self._lock:
            sending = list(self._sending)
            waiting = {outcome.sending.delivery.mark for outcome in self._unmarked}
        marks = [each.delivery.mark for each in sending]
        active = {each.delivery.mark for each in sending if not each.overdue}
        return active | waiting | {mark for mark in marks if marks.count(mark) >= _MOST_HANGING}

    def _abandoned(self, board: Board) -> set[str]:
        """Claims of others that have not moved for so long that their owners must be dead."""
        seconds = self._around.timer()
        with self._lock:
            own = {sending.claim for sending in self._sending}
            own |= {outcome.sending.claim for outcome in self._unmarked}
        claims = {
            delivery.claim
            for message in board.messages
            for delivery in message.deliveries
            if delivery.pending and delivery.claim is not None
        }
        self._claims_seen = {claim: self._claims_seen.get(claim, seconds) for claim in claims - own}
        patience = 2 * self._around.timeout_seconds
        return {claim for claim, since in self._claims_seen.items() if seconds - since > patience}

    def _changed(self, step: Step) -> Change:
        change = self._store.update(step)
        tell(change, self._around.observer)
        return change
