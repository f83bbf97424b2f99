"""What is told once and does not stand; and a test message to every target."""

from __future__ import annotations

import socketserver
from threading import Thread
from time import monotonic
from typing import ClassVar

from monitoring.alerts.board import Board, MessageKind, Target
from monitoring.alerts.board_json import decoded, encoded
from monitoring.alerts.causes import Cause
from monitoring.alerts.dispatcher import Dispatcher
from monitoring.alerts.episodes import Notice, announced
from monitoring.alerts.shared_board import SharedBoard
from monitoring.alerts.trial import try_targets
from monitoring.apprise_sender import AppriseSender
from stores.documents import MemoryDocuments
from tests.alerting import (
    TARGET,
    FakeSender,
    Listener,
    Time,
    eventually,
    surroundings,
)

NOTICE = Notice(
    "close-2026-03-02", Cause.CLOSE, "2026-03-02", "a quiet day", "TEXT of the day", "<p>page</p>"
)


def test_a_notice_is_told_once_as_it_was_written_and_is_over() -> None:
    time = Time()
    board = announced(Board(), NOTICE, time.teller())
    (episode,), (message,) = board.closed, board.messages
    assert board.open == ()
    assert (episode.episode_id, episode.resolved_at) == ("close-2026-03-02", time.now)
    assert (message.title, message.body, message.kind) == (
        "REPORT: close 2026-03-02 (book default)",
        "TEXT of the day",
        MessageKind.OPENED,
    )
    time.wait(hours=1)
    assert announced(board, NOTICE, time.teller()) is board
    assert decoded(encoded(board)) == board


def test_a_page_is_kept_only_until_nobody_waits_for_it() -> None:
    time, sender = Time(), FakeSender()
    store = SharedBoard(MemoryDocuments(), "alerts")
    store.update(lambda board: announced(board, NOTICE, time.teller()))
    assert store.read().messages[0].page == "<p>page</p>"
    Dispatcher(store, surroundings(sender, time)).step()
    eventually(lambda: not store.read().messages[0].pending)
    assert store.read().messages[0].page == ""
    assert store.read().messages[0].body == "TEXT of the day"
    alone = announced(Board(), NOTICE, Time(targets=()).teller())
    assert alone.messages[0].page == ""


def test_a_hook_gets_the_text_of_a_notice_and_not_its_page() -> None:
    with Listener() as listener:
        sender = AppriseSender([listener.url])
        time = Time(targets=sender.targets)
        (message,) = announced(Board(), NOTICE, time.teller()).messages
        sender.send(sender.targets[0].mark, message)
        assert listener.received[0]["message"] == "TEXT of the day"


class Mailbox(socketserver.StreamRequestHandler):
    """A mail server that takes one message and keeps its lines."""

    taken: ClassVar[list[str]] = []

    def handle(self) -> None:
        self.answer("220 mailbox")
        in_message = False
        for raw in self.rfile:
            line = raw.decode().rstrip("\r\n")
            if in_message and line != ".":
                self.taken.append(line)
                continue
            in_message = line.upper() == "DATA"
            self.answer("354 go on" if in_message else "250 taken")

    def answer(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


def test_mail_gets_the_page_of_a_notice() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailbox) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        where = f"127.0.0.1:{server.server_address[1]}"
        sender = AppriseSender(
            [f"mailto://{where}?from=desk@a.example&to=you@b.example&mode=insecure"]
        )
        time = Time(targets=sender.targets)
        (message,) = announced(Board(), NOTICE, time.teller()).messages
        sender.send(sender.targets[0].mark, message)
        server.shutdown()
    assert "<p>page</p>" in Mailbox.taken
    assert "Subject: REPORT: close 2026-03-02 (book default)" in Mailbox.taken


def test_every_target_is_tried_and_says_why_it_took_no_message() -> None:
    targets = (TARGET, Target("bbbb", "bbbb"), Target("cccc", "cccc"))
    sender = FakeSender(targets, refuses={"bbbb"}, hangs={"cccc"})
    time = Time()
    tried = try_targets(sender, book="default", now=time.now, timeout_seconds=0.3, timer=monotonic)
    sender.let_go.set()
    assert tried == {
        "1 (json)": None,
        "bbbb": "the target cannot be reached",
        "cccc": "no answer within 0.3 s",
    }
