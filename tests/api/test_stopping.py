"""To be told of a signal to stop, beside who handles it already."""

import asyncio
import os
import signal
from collections.abc import Iterator
from threading import Thread

import pytest

from api.stopping import on_stop_signal


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_whoever_handled_the_signal_still_does() -> None:
    heard: list[str] = []
    signal.signal(signal.SIGTERM, lambda *_: heard.append("server"))

    async def stopped() -> None:
        told = asyncio.Event()
        put_back = on_stop_signal(told.set, asyncio.get_running_loop())
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(10):
            await told.wait()
        put_back()
        told.clear()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.01)
        assert not told.is_set()

    asyncio.run(stopped())
    assert heard == ["server", "server"]


def test_a_signal_that_nobody_handles_still_ends_the_process() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    async def begun() -> None:
        on_stop_signal(lambda: None, asyncio.get_running_loop())()

    asyncio.run(begun())
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_on_another_thread_nothing_is_touched() -> None:
    before = signal.getsignal(signal.SIGINT)
    loop = asyncio.new_event_loop()
    thread = Thread(target=on_stop_signal, args=(lambda: None, loop))
    thread.start()
    thread.join()
    loop.close()
    assert signal.getsignal(signal.SIGINT) is before
