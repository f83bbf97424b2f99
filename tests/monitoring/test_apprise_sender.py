"""Messages through Apprise to a listener on loopback, and secrets that stay where they are."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from errors import ConfigurationError
from monitoring.alerts.board import Board, Message
from monitoring.alerts.dispatcher import Dispatcher
from monitoring.alerts.episodes import observed
from monitoring.alerts.sender import DeliveryFailed
from monitoring.alerts.shared_board import SharedBoard
from monitoring.apprise_sender import AppriseSender
from stores.documents import MemoryDocuments
from tests.alerting import HALTED, NEAR, Listener, Time, eventually, look, surroundings


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as started:
        yield started


def message_about(sender: AppriseSender) -> Message:
    time = Time(targets=sender.targets)
    return observed(Board(), look(HALTED), time.teller()).messages[0]


def test_a_message_arrives_with_its_title_and_its_urgency(listener: Listener) -> None:
    sender = AppriseSender([listener.url])
    (target,) = sender.targets
    assert target.shown == "1 (json)"
    sender.send(target.mark, message_about(sender))
    (received,) = listener.received
    assert received["title"] == "PAGE: halt HALTED (book default)"
    assert received["type"] == "failure"
    assert received["message"].startswith("trading is HALTED by tester")


def test_a_target_that_is_down_is_an_error_without_its_address(
    listener: Listener, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    sender = AppriseSender([listener.url])
    listener.stop()
    with pytest.raises(DeliveryFailed) as caught:
        sender.send(sender.targets[0].mark, message_about(sender))
    assert "secret-token" not in str(caught.value)
    assert "secret-token" not in caplog.text
    assert "secret-token" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "url", ["nonsense://hunter2", "json://", "hunter2", "", "tgram://hunter2", "mailto://hunter2"]
)
def test_what_is_no_address_stops_the_start_without_being_shown(
    url: str, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ConfigurationError, match=r"alerts\.urls\.1 is no address") as caught:
        AppriseSender([listener.url, url])
    line = str(caught.value)
    assert "\n" not in line
    assert "hunter2" not in line + caplog.text
    assert caught.value.__cause__ is None


def test_an_address_that_is_there_twice_is_refused(listener: Listener) -> None:
    with pytest.raises(ConfigurationError, match=r"alerts\.page_urls\.0 is there twice"):
        AppriseSender([listener.url], [listener.url])


def test_targets_for_pages_come_after_the_others(listener: Listener) -> None:
    sender = AppriseSender([listener.url], ["json://127.0.0.1:9/x", "jsons://127.0.0.1:9/y"])
    assert [(target.shown, target.pages_only) for target in sender.targets] == [
        ("1 (json)", False),
        ("2 (json)", True),
        ("3 (jsons)", True),
    ]
    assert len({target.mark for target in sender.targets}) == 3


def test_a_target_that_was_down_gets_each_message_once(listener: Listener) -> None:
    sender = AppriseSender([listener.url])
    time = Time(targets=sender.targets)
    store = SharedBoard(MemoryDocuments(), "alerts")
    listener.stop()
    store.update(lambda board: observed(board, look(HALTED, NEAR), time.teller()))
    dispatcher = Dispatcher(store, surroundings(sender, time))

    def tried() -> bool:
        dispatcher.step()
        deliveries = [message.deliveries[0] for message in store.read().messages]
        return all(delivery.attempts >= 1 for delivery in deliveries)

    eventually(tried)
    listener.start()
    time.wait(minutes=5)

    def arrived() -> bool:
        dispatcher.step()
        return not any(message.pending for message in store.read().messages)

    eventually(arrived)
    assert sorted(listener.titles) == [
        "PAGE: halt HALTED (book default)",
        "REPORT: limit trades (book default)",
    ]


def test_a_target_that_never_answers_holds_nothing_up() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as deaf, Listener() as listener:
        hanging = f"json://127.0.0.1:{deaf.getsockname()[1]}/?rto=20"
        sender = AppriseSender([hanging, listener.url])
        time = Time(targets=sender.targets)
        store = SharedBoard(MemoryDocuments(), "alerts")
        store.update(lambda board: observed(board, look(HALTED), time.teller()))
        dispatcher = Dispatcher(store, surroundings(sender, time))
        dispatcher.step()
        eventually(lambda: len(listener.received) == 1)
        time.wait(seconds=15)
        dispatcher.step()
        delivery = store.read().messages[0].to(sender.targets[0].mark)
        assert delivery is not None
        assert delivery.error == "no answer within 15 s"


def test_apprise_is_not_imported_where_nobody_has_a_target() -> None:
    program = "import sys, alerting; sys.exit('apprise' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
