"""The real application in this process, on a clock that a test steps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from fastapi import Response
from numpy.typing import NDArray
from pydantic import BaseModel

from api.access import LOCAL, current_caller
from api.handlers import Handlers
from api.market_handlers import MarketHandlers
from api.routes import book_routes
from api.turns import Turns
from api.web import create_web
from application import Application, World
from benchmarks.observations import known_vectors
from bootstrap import build
from config.load import load_settings
from models.store import BentoModelStore
from risk.ledger.memory import MemoryLedger
from risk.ledger.protocol import Ledger
from runners.signal import Signal
from stores.documents import Documents, MemoryDocuments
from tests.book import MONDAY_NOON_UTC

ROOT = Path(__file__).parents[2]
MODELS = ("ppo_usdcop_v3", "sac_usdcop_v2", "a2c_macro_v1")
CONFIDENT: list[float] = json.loads((ROOT / "examples" / "observation.json").read_text())[
    "observation"
]
"""The README's observation: bought with confidence."""


@dataclass
class SteppedClock:
    """A time that moves only when a test moves it; it starts at 09:00 in Bogotá, on a Monday."""

    now: datetime = MONDAY_NOON_UTC

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += timedelta(**duration)


@dataclass
class Running:
    """An application and its routes, called without a socket."""

    application: Application
    clock: SteppedClock
    turns: Turns = field(init=False)
    handlers: Handlers = field(init=False)
    market: MarketHandlers = field(init=False)

    def __post_init__(self) -> None:
        self.turns = Turns()
        self.handlers = Handlers(self.application, self.turns)
        self.market = MarketHandlers(self.application, self.turns)
        self._web = create_web()
        self._web.state.application = self.application

    def post(self, path: str, **body: object) -> tuple[int, dict[str, Any]]:
        """Status and content of a POST; a body that the message refuses raises."""
        message, answer = book_routes(self.handlers, self.market)[path]
        response = asyncio.run(as_local(answer, message.model_validate(body)))
        return response.status_code, json.loads(bytes(response.body))

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and content of a GET."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._web)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.get(path)

        response = asyncio.run(ask())
        return response.status_code, response.json()

    def decide(self, observation: list[float] = CONFIDENT, **more: object) -> dict[str, Any]:
        """The answer to one observation."""
        status, answer = self.post("/v1/inference", observation=observation, **more)
        assert status == 200, answer
        return answer

    def report(self, trade_id: str, pnl_percent: float, **more: object) -> dict[str, Any]:
        """The answer to one closed trade on a capital of 100,000 US dollars."""
        status, answer = self.post(
            "/v1/risk/trade-result",
            trade_id=trade_id,
            pnl=pnl_percent * 100_000,
            pnl_percent=pnl_percent,
            **more,
        )
        assert status == 200, answer
        return answer


async def as_local(answer: Callable[[Any], Awaitable[Response]], message: BaseModel) -> Response:
    """Call a handler as the guard would for a caller of this machine."""
    current_caller.set(LOCAL)
    return await answer(message)


@contextmanager
def running(
    variables: Mapping[str, str] | None = None,
    *,
    path: Path | None = None,
    ledger: Ledger | None = None,
    clock: SteppedClock | None = None,
    documents: Documents | None = None,
) -> Iterator[Running]:
    """Build the application from its configuration file and these variables, and close it."""
    settings = load_settings(variables or {}, path).settings
    clock = clock or SteppedClock()
    application = build(
        settings,
        ledger or MemoryLedger(),
        store=BentoModelStore(),
        world=World(clock=clock),
        documents=documents or MemoryDocuments(),
    )
    started = Running(application, clock)
    try:
        yield started
    finally:
        started.turns.close()
        application.close()


def rows(count: int, seed: int = 1) -> NDArray[np.float32]:
    """Observations that the shipped models know: they say SELL, HOLD and BUY among them."""
    vectors = known_vectors()
    return vectors[np.random.default_rng(seed).permutation(len(vectors))[:count]]


def observation_that(service: Running, signal: Signal, *, sure: bool) -> list[float]:
    """The first observation that the ensemble reads as this signal, sure enough to trade or not."""
    candidates = rows(1000)
    said = service.application.models.predict(candidates)
    least = service.application.settings.risk_limits.min_confidence
    for row, found, confidence in zip(
        candidates.tolist(), said.signals, said.confidence.tolist(), strict=True
    ):
        if found is signal and (confidence >= least) == sure:
            observation: list[float] = row
            return observation
    raise AssertionError(f"the models never say {signal}, sure: {sure}")
