"""The stream of what is now: what each page is told, and what it costs."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest

import api.live
from api.live import LiveFeed, Seen
from errors import NotReady

YOU = {"name": "desk", "role": "viewer"}


class Desk:
    """What there is to see, and how often somebody looked."""

    def __init__(self) -> None:
        self.sections = {"risk": b'{"state":1}', "drift": b'{"state":"ok"}'}
        self.looks = 0
        self.broken = False

    def look(self) -> Seen:
        self.looks += 1
        if self.broken:
            raise RuntimeError("the store is gone")
        return Seen(f"look {self.looks}", dict(self.sections))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds that pass a hundred times as fast."""
    monkeypatch.setattr(api.live, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(api.live, "_SHORTEST_PAUSE", 0.01)
    monkeypatch.setattr(api.live, "_HEARTBEAT_SECONDS", 0.15)
    monkeypatch.setattr(api.live, "_FRESH_SECONDS", 0.1)


def run(test: Callable[[LiveFeed, Desk], Awaitable[None]], most: int = 4) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            desk = Desk()
            await test(LiveFeed(desk.look, {"book": "default"}, most=most), desk)

    asyncio.run(bounded())


async def message(stream: AsyncIterator[bytes]) -> dict[str, Any]:
    told = await anext(stream)
    assert told.startswith(b"data: ")
    assert told.endswith(b"\n\n")
    content: dict[str, Any] = json.loads(told[6:])
    return content


def test_all_is_told_first_and_then_only_what_has_changed() -> None:
    async def told(feed: LiveFeed, desk: Desk) -> None:
        async with aclosing(feed.stream(YOU)) as stream:
            first = await message(stream)
            assert first["sections"] == {"risk": {"state": 1}, "drift": {"state": "ok"}}
            assert (first["about"], first["you"]) == ({"book": "default"}, YOU)
            desk.sections["risk"] = b'{"state":2}'
            second = await message(stream)
            assert second["sections"] == {"risk": {"state": 2}}
            assert "you" not in second

    run(told)


def test_nothing_that_changed_is_told_while_nothing_changes_but_that_it_lives() -> None:
    async def told(feed: LiveFeed, desk: Desk) -> None:
        async with aclosing(feed.stream(YOU)) as stream:
            await message(stream)
            assert await anext(stream) == b": alive\n\n"
            assert desk.looks > 2

    run(told)


def test_it_is_silent_when_nobody_can_look_any_more() -> None:
    async def told(feed: LiveFeed, desk: Desk) -> None:
        async with aclosing(feed.stream(YOU)) as stream:
            await message(stream)
            desk.broken = True
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(stream), 0.5)

    run(told)


def test_all_pages_share_one_look() -> None:
    async def told(feed: LiveFeed, desk: Desk) -> None:
        streams = [feed.stream(YOU) for _ in range(3)]
        firsts = await asyncio.gather(*(message(stream) for stream in streams))
        assert len({first["now"] for first in firsts}) == 1
        assert desk.looks == 1
        for stream in streams:
            await stream.aclose()

    run(told)


def test_nobody_looks_while_no_page_is_open_and_a_new_page_gets_no_old_figures() -> None:
    async def told(feed: LiveFeed, desk: Desk) -> None:
        async with aclosing(feed.stream(YOU)) as stream:
            await message(stream)
        await asyncio.sleep(0.1)
        looks = desk.looks
        await asyncio.sleep(0.1)
        assert desk.looks == looks
        desk.sections["risk"] = b'{"state":9}'
        async with aclosing(feed.stream(YOU)) as stream:
            assert (await message(stream))["sections"]["risk"] == {"state": 9}

    run(told)


def test_more_pages_than_there_is_room_for_are_refused_until_one_closes() -> None:
    async def told(feed: LiveFeed, desk: Desk) -> None:
        stream = feed.stream(YOU)
        await message(stream)
        with pytest.raises(NotReady, match="1 pages"):
            feed.refuse_beyond_room()
        assert [one async for one in feed.stream(YOU)] == []
        await stream.aclose()
        feed.refuse_beyond_room()

    run(told, most=1)


def test_every_stream_ends_when_the_worker_stops_and_no_other_begins() -> None:
    async def told(feed: LiveFeed, desk: Desk) -> None:
        stream = feed.stream(YOU)
        await message(stream)
        waiting = asyncio.create_task(anext(stream, None))
        await asyncio.sleep(0)
        feed.end()
        assert await waiting is None
        with pytest.raises(NotReady, match="about to stop"):
            feed.refuse_beyond_room()

    run(told)


def test_once_it_is_closed_nobody_looks_any_more() -> None:
    async def told(feed: LiveFeed, desk: Desk) -> None:
        stream = feed.stream(YOU)
        await message(stream)
        await feed.close()
        looks = desk.looks
        await asyncio.sleep(0.1)
        assert desk.looks == looks
        await feed.close()
        assert [one async for one in stream] == []

    run(told)


def test_a_look_that_fails_ends_no_stream() -> None:
    async def told(feed: LiveFeed, desk: Desk) -> None:
        async with aclosing(feed.stream(YOU)) as stream:
            await message(stream)
            desk.broken = True
            await asyncio.sleep(0.05)
            desk.broken = False
            desk.sections["risk"] = b'{"state":3}'
            while (told := await anext(stream)) == b": alive\n\n":
                pass
            assert b'"state":3' in told

    run(told)
