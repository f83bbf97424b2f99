"""To be told that this process was asked to stop, before the server waits for open answers.

A server first waits for all that is under way, and only then calls what is to be done at the end.
An answer that has no end would hold it up: whoever gives one has to know earlier.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from threading import current_thread, main_thread
from types import FrameType

__all__ = ["on_stop_signal"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def on_stop_signal(tell: Callable[[], None], loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
    """Call `tell` on the event loop when a signal asks to stop, beside what handles it already.

    Where nothing handles a signal, or on another thread than the main one, it stays as it is.

    Returns:
        What puts the handlers back.
    """
    if current_thread() is not main_thread():
        return lambda: None
    ours: list[tuple[int, Callable[..., object], Callable[..., object]]] = []
    for number in _SIGNALS:
        theirs = signal.getsignal(number)
        if callable(theirs):
            handler = _both(tell, theirs, loop)
            signal.signal(number, handler)
            ours.append((number, handler, theirs))

    def put_back() -> None:
        for number, handler, theirs in ours:
            if signal.getsignal(number) is handler:
                signal.signal(number, theirs)

    return put_back


def _both(
    tell: Callable[[], None], theirs: Callable[..., object], loop: asyncio.AbstractEventLoop
) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell)
        theirs(number, frame)

    return handle
