"""The service as it is served, in this process: its own ASGI application, on a clock of a test.

Nothing of it is replaced but `bootstrap.World`, which its time and its randomness come from:
configuration, start, guard, routes, handlers and stores are those that `bentoml serve` runs.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import current_thread
from typing import Any, Self, cast

import httpx
import pytest
from bentoml._internal.configuration.containers import BentoMLContainer

import bootstrap
import service
from application import Application, World
from config.environment import OURS, SHORT_NAMES
from deployment import DEPLOYMENT
from replay import SEED
from tests.integration.running import SteppedClock

__all__ = ["HttpCaller", "Served", "served", "stepped_world"]

_PATIENCE_SECONDS = 60.0


class SameBytes:
    """Random bytes that are the same in every run, for whatever goes on record.

    Alerts are looked after on threads of the event loop, as often as real time has it: they draw
    from a source of their own, so that they never shift the names of events.
    """

    def __init__(self, seed: int) -> None:
        self._of_record, self._aside = random.Random(seed), random.Random(seed + 1)

    def __call__(self, count: int) -> bytes:
        aside = current_thread().name.startswith("asyncio_")
        return (self._aside if aside else self._of_record).randbytes(count)


def stepped_world(clock: Callable[[], datetime]) -> World:
    """A world like that of a replay: the same calls have the same times and names."""
    return World(clock=clock, timer=lambda: 0, random_bytes=SameBytes(SEED))


class HttpCaller:
    """Calls an ASGI application, on an event loop that moves while a call is made.

    Args:
        app: the application; its lifespan is that of the context.
        headers: that every request has.
    """

    def __init__(self, app: Any, headers: Mapping[str, str]) -> None:
        self._app = app
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 50_000))
        self._client = httpx.AsyncClient(
            transport=transport, base_url="http://localhost:8090", headers=headers
        )

    def __enter__(self) -> Self:
        self._runner.run(self._start())
        return self

    def __exit__(self, *reason: object) -> None:
        try:
            self._runner.run(self._stop())
        finally:
            self._runner.close()

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """The answer to a request; `json`, `headers`, `params` as httpx has them."""
        return self._runner.run(self._client.request(method, path, **more))

    def post(self, path: str, **body: object) -> dict[str, Any]:
        """The content of a POST that is answered with 200."""
        return self._content(self.request("POST", path, json=body))

    def get(self, path: str) -> dict[str, Any]:
        """The content of a GET that is answered with 200."""
        return self._content(self.request("GET", path))

    @staticmethod
    def _content(response: httpx.Response) -> dict[str, Any]:
        assert response.status_code == 200, response.text
        content: dict[str, Any] = response.json()
        return content

    async def _start(self) -> None:
        self._told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self._life = asyncio.create_task(self._app(scope, self._told.get, self._said.put))
        await self._pass("startup")

    async def _stop(self) -> None:
        await self._client.aclose()
        await self._pass("shutdown")
        await self._life

    async def _pass(self, stage: str) -> None:
        await self._told.put({"type": f"lifespan.{stage}"})
        async with asyncio.timeout(_PATIENCE_SECONDS):
            said = await self._said.get()
        assert said["type"] == f"lifespan.{stage}.complete", said


@dataclass(frozen=True)
class Served:
    """A service that runs.

    Attributes:
        http: its routes.
        application: what it is built of.
        clock: its time.
    """

    http: HttpCaller
    application: Application
    clock: SteppedClock


@contextmanager
def served(
    folder: Path,
    clock: SteppedClock,
    variables: Mapping[str, str] | None = None,
    key: str | None = None,
) -> Iterator[Served]:
    """Start the service as this environment configures it, and stop it.

    Args:
        folder: of its stores.
        clock: its time.
        variables: its environment, beside where its stores are.
        key: of the caller; None for one of this machine without a key.
    """
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    world, decisions = stepped_world(clock), cast(Any, service.DecisionService)
    with pytest.MonkeyPatch.context() as patch, ExitStack() as after:
        _set_environment(patch, folder, variables or {})
        patch.setattr(bootstrap, "World", lambda: world)
        _leave_process_as_it_is(after)
        decisions.inner.refuse_to_start_wrong()
        with HttpCaller(decisions.to_asgi(), headers) as http:
            yield Served(http, service.web.state.application, clock)


def _set_environment(patch: pytest.MonkeyPatch, folder: Path, variables: Mapping[str, str]) -> None:
    for name in list(os.environ):
        if name.startswith(OURS) or name in SHORT_NAMES:
            patch.delenv(name)
    everything = {
        "MLOPS_ENVIRONMENT": "development",
        "MLOPS__STATE_PATH": str(folder / "state.db"),
        "MLOPS__HALT_FILE": str(folder / "halt"),
        "MLOPS__ACKNOWLEDGED_PATH": str(folder / "acknowledged"),
        # Checks are made when real time has it, by processes with a clock of their own.
        "MLOPS__MONITORING__ENABLE_DRIFT_DETECTION": "false",
        # Nor is anything else begun by real time: a look before the session goes on record.
        "MLOPS__DESK__PREFLIGHT_MINUTES": "0",
        "MLOPS__DESK__CLOSE_REPORT_MINUTES": "0",
        # BentoML's metrics are for processes of their own: they name a folder at import.
        "BENTOML_CONFIG_OVERRIDES": json.dumps(
            {"services": {"usdcop": {"metrics": {"enabled": False}}}}
        ),
        DEPLOYMENT: "",
        **variables,
    }
    for name, value in everything.items():
        patch.setenv(name, value)


def _leave_process_as_it_is(after: ExitStack) -> None:
    """Undo at the end what the service does to the process that it expects to have for itself."""
    logger = logging.getLogger("usdcop")
    after.callback(logger.setLevel, logger.level)
    after.callback(gc.set_threshold, *gc.get_threshold())
    after.callback(gc.unfreeze)
    after.callback(BentoMLContainer.config.set, deepcopy(BentoMLContainer.config.get()))
    service.deployment.cache_clear()
    after.callback(service.deployment.cache_clear)
