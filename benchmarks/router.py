"""An order router on keep-alive connections: it asks, reports results, and notes what it is told.

Each line sends in turn an exit with an order id, the result of that order, and an exit without an
id. Exits pass every limit, so an answer is an approval or something is wrong. A request is never
sent twice, unless its answer was lost: then what has an id is sent again until it is answered, as
a desk would.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import orjson

from benchmarks.journal import Journal
from tests.live.server import ROOT

__all__ = ["Router"]

_OBSERVATION: Final = orjson.loads((ROOT / "examples" / "observation.json").read_bytes())[
    "observation"
]
_EXIT: Final = {"observation": _OBSERVATION, "position": -0.05}
_ANSWER_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = 0.1


@dataclass
class Router:
    """Requests on a schedule, over so many connections, until it is over.

    Attributes:
        port: of the service, or of a balancer before it.
        per_second: requests; one that is late is sent late, and its time counts from when it was
            due.
        lines: connections.
        journal: what was acknowledged.
        seconds: what each answered request took.
        failed: requests that were not answered as they should be, in words.
        connections: that were made.
        over: set when no further request is to be sent.
    """

    port: int
    per_second: float
    lines: int = 16
    journal: Journal = field(default_factory=Journal)
    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    connections: int = 0
    over: bool = False

    async def run(self) -> None:
        """Send until it is over, then wait for the last answers."""
        began, numbers = time.monotonic(), count()
        await asyncio.gather(*(self._line(f"{line}", began, numbers) for line in range(self.lines)))

    async def _line(self, name: str, began: float, numbers: count[int]) -> None:
        line = _Line(self)
        try:
            for turn in count():
                for kind in ("order", "result", "advice"):
                    due = began + next(numbers) / self.per_second
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                    if self.over:
                        return
                    await self._told(line, kind, f"{name}-{turn}", due)
        finally:
            line.close()

    async def _told(self, line: _Line, kind: str, name: str, due: float) -> None:
        path, body = _request(kind, name)
        while True:
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    status, content = await line.post(path, body)
            except (OSError, EOFError, TimeoutError) as error:
                line.close()
                status, content = 0, f"no answer: {error!r}"
            if status == 200 and self._note(kind, name, body, content):
                self.seconds.append(time.monotonic() - due)
                return
            self.failed.append(f"{kind} {name}: {status} {content}")
            if kind == "advice" or self.over:
                return
            await asyncio.sleep(_RETRY_SECONDS)

    def _note(self, kind: str, name: str, body: Mapping[str, Any], content: Any) -> bool:
        """Keep an acknowledgement; False if it is none."""
        if kind == "result":
            self.journal.acknowledge("trade_result", content["event_id"], body, key=f"trade:{name}")
            return True
        if not content["approved"]:
            return False
        del content["latency_ms"]
        if content["replayed"]:
            self.journal.repeated(name, content["decision_id"])
        self.journal.acknowledge(
            "decision",
            content["decision_id"],
            {**content, "replayed": False},
            key=f"order:{name}" if kind == "order" else None,
            anew=not content["replayed"],
        )
        return True


def _request(kind: str, name: str) -> tuple[str, dict[str, Any]]:
    if kind == "result":
        return "/v1/risk/trade-result", {
            "trade_id": name,
            "order_id": name,
            "pnl": 1.0,
            "pnl_percent": 0.00001,
            "unrealized_pnl_percent": 0.0,
        }
    return "/v1/inference", {**_EXIT, "order_id": name} if kind == "order" else _EXIT


class _Line:
    """One keep-alive connection; it is made anew once the server has said that it closes it."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        """Status and content of an answer.

        Raises:
            OSError, EOFError: the connection ended before it.
        """
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._router.port)
            self._router.connections += 1
        reader, writer = self._streams
        sent = orjson.dumps(body)
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(sent)}\r\n\r\n".encode()
            + sent
        )
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        content = orjson.loads(await reader.readexactly(length))
        if b"\r\nconnection: close\r\n" in head:
            self.close()
        return int(head.split(maxsplit=2)[1]), content

    def close(self) -> None:
        """The next request makes a new connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
