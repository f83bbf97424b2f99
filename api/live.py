"""One stream of what is now: all of it first, then what has changed, at most once a second.

All streams of a worker share one look a second, made on a thread; none is made while nobody
watches. What is told comes from the stores that all workers share, so that it does not matter
which of them a page is connected to.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from api.access import current_caller
from errors import NotReady

__all__ = ["MOST_STREAMS", "EventStream", "LiveFeed", "Seen", "live"]

MOST_STREAMS: Final = 32
"""Streams that a worker serves at the same time."""

_LOOK_SECONDS: Final = 1.0
_SHORTEST_PAUSE: Final = 0.1
_HEARTBEAT_SECONDS: Final = 15.0
_FRESH_SECONDS: Final = 5.0
_HEARTBEAT: Final = b": alive\n\n"
_LOGGER = logging.getLogger("usdcop.api")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look found.

    Attributes:
        now: when, ISO 8601.
        sections: name to JSON.
    """

    now: str
    sections: Mapping[str, bytes]


class LiveFeed:
    """The streams of one worker, on its event loop.

    Args:
        look: what is now; called on a thread, one call at a time.
        about: what does not change while the worker lives; told with the first message.
        most: streams at the same time.
    """

    def __init__(
        self, look: Callable[[], Seen], about: Mapping[str, Any], *, most: int = MOST_STREAMS
    ) -> None:
        self._look, self._about, self._most = look, about, most
        self._open: set[asyncio.Event] = set()
        self._looking: asyncio.Task[None] | None = None
        self._seen: Seen | None = None
        self._seen_at = 0.0
        self._ending = asyncio.Event()

    def refuse_beyond_room(self) -> None:
        """Refuse one more stream when there are too many.

        Raises:
            NotReady: there are, or the worker is about to stop.
        """
        if self._ending.is_set():
            raise NotReady("the service is about to stop; connect again")
        if len(self._open) >= self._most:
            raise NotReady(
                f"{self._most} pages are connected to this worker; close one, or try again later",
                code="overloaded",
            )

    async def stream(self, you: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """Server-sent events, until the client goes away or the worker stops.

        Args:
            you: who is told, in the first message.
        """
        if self._ending.is_set() or len(self._open) >= self._most:
            return
        moved, sent = asyncio.Event(), dict[str, bytes]()
        self._open.add(moved)
        self._begin()
        spoken = time.monotonic()
        try:
            while not self._ending.is_set():
                moved.clear()
                message = self._message(sent, you)
                # Nothing is said while looks take too long: what is silent is not believed.
                if message is None and self._is_due(spoken):
                    message = _HEARTBEAT
                if message is not None:
                    spoken = time.monotonic()
                    yield message
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await moved.wait()
        finally:
            self._open.discard(moved)

    def end(self) -> None:
        """End every stream at once, and begin no other."""
        self._ending.set()
        for moved in self._open:
            moved.set()

    async def close(self) -> None:
        """End every stream, and wait until nobody looks any more. Closing twice is harmless."""
        self.end()
        if self._looking is not None:
            await self._looking

    def _message(self, sent: dict[str, bytes], you: Mapping[str, Any]) -> bytes | None:
        """What has changed since the last message to this client; all of it the first time."""
        seen = self._seen
        if seen is None:
            return None
        changed = {
            name: orjson.Fragment(body)
            for name, body in seen.sections.items()
            if sent.get(name) != body
        }
        if not changed:
            return None
        first = {} if sent else {"about": self._about, "you": you}
        sent.update(seen.sections)
        return b"data: %b\n\n" % orjson.dumps({"now": seen.now, **first, "sections": changed})

    def _is_due(self, spoken: float) -> bool:
        now = time.monotonic()
        return now - spoken >= _HEARTBEAT_SECONDS and now - self._seen_at < _FRESH_SECONDS

    def _begin(self) -> None:
        """Look every second from now on, unless somebody has begun that already."""
        if self._looking is None or self._looking.done():
            self._seen = None
            self._looking = asyncio.create_task(self._keep_looking())

    async def _keep_looking(self) -> None:
        while self._open and not self._ending.is_set():
            began = time.monotonic()
            try:
                self._seen = await asyncio.to_thread(self._look)
                self._seen_at = time.monotonic()
            except Exception:
                _LOGGER.exception("a look for the open pages failed; the next one comes")
            for moved in self._open:
                moved.set()
            pause = max(_SHORTEST_PAUSE, _LOOK_SECONDS - (time.monotonic() - began))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._ending.wait()


class EventStream(StreamingResponse):
    """Server-sent events."""

    media_type = "text/event-stream"


async def live(request: Request) -> Response:
    """What is now, as server-sent events: all of it, then what changes."""
    feed: LiveFeed = request.app.state.live
    feed.refuse_beyond_room()
    caller = current_caller.get()
    you = {"name": caller.name, "role": caller.role.value}
    # The request is answered now, however long the stream goes on.
    request.scope["state"]["answered_at"] = time.perf_counter()
    return EventStream(
        feed.stream(you),
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )
