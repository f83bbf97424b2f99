"""What callers can ask.

GET routes are in `api/web.py`; who may call what is in `api/access.py`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable
from functools import cache
from itertools import count
from threading import current_thread, main_thread
from typing import Any

import bentoml
from fastapi import Response
from pydantic import ValidationError

from api.access import Access, check_access
from api.alert_handlers import AlertHandlers, watch_alerts
from api.alert_messages import AcknowledgeAnswer, AcknowledgeRequest
from api.counts import keep_counts_written
from api.day import Day
from api.described import served_document
from api.dispatch import Dispatch
from api.drain import Drain
from api.drift_messages import DriftCheckAnswer, DriftCheckRequest
from api.drift_runs import DriftRuns
from api.guard import App, Guard
from api.halts import watch_halt_file
from api.handlers import Handlers
from api.heads import bound_heads
from api.live import LiveFeed
from api.live_sections import LiveSections
from api.market_handlers import MarketHandlers
from api.market_messages import (
    MacroAnswer,
    MacroRequest,
    MarketBarsAnswer,
    MarketBarsRequest,
)
from api.messages import (
    BatchAnswer,
    BatchInferenceRequest,
    HaltRequest,
    InferenceAnswer,
    InferenceRequest,
    MarkRequest,
    OperatorAnswer,
    PositionRequest,
    ReleaseAnswer,
    ReleaseRequest,
    ReportAnswer,
    ResetAnswer,
    ResetRequest,
    ResumeRequest,
    TradeResultAnswer,
    TradeResultRequest,
)
from api.orphan import stop_when_orphaned
from api.routes import post_routes
from api.running_server import running_server
from api.turns import Turns
from api.web import create_web
from application import Application
from bootstrap import prepare, serve, served_reference
from config.load import load_settings
from config.settings import Settings
from deployment import DEPLOYMENT, Deployment
from drifting import drift_scheduler, open_drift
from errors import ServiceError
from monitoring.log_lines import write_lines

__all__ = ["DecisionService"]

web = create_web()

SMALL_BODY_BYTES = 128 * 1024
"""Largest body of every route but the batch's: 4,096 numbers by name fit."""


@cache
def deployment() -> Deployment:
    """What this start of the service decided: by the arbiter, or here where there is none."""
    decided = os.environ.get(DEPLOYMENT)
    return Deployment.from_json(decided) if decided else decide_deployment()


def decide_deployment() -> Deployment:
    """Read the configuration and choose the models; one line of ServiceError if that fails."""
    settings = load_settings(os.environ).settings
    write_log(settings)
    check_access(settings)
    return prepare(settings)


def write_log(settings: Settings) -> None:
    """Give the lines of this process the form and the level that are set."""
    logs = settings.logging
    write_lines(as_json=settings.logs_are_json, book=settings.book, level=logs.level)


def guard(app: App) -> Guard:
    """The guard around every route, made in the worker when its first message arrives."""
    settings = deployment().settings

    def count(route: str, status: int, seconds: float) -> None:
        web.state.application.traffic.count_request(route, status, seconds)

    return Guard(
        app,
        access=Access(settings),
        max_body_bytes=min(SMALL_BODY_BYTES, settings.access.max_body_bytes),
        bulky={
            "/v1/inference/batch": settings.access.max_body_bytes,
            "/v1/market/bars": settings.access.max_body_bytes,
            "/v1/market/macro": settings.access.max_body_bytes,
        },
        new_request_id=request_ids(),
        answered=count,
        leaving=lambda: web.state.drain.begun,
    )


def request_ids() -> Callable[[], str]:
    """Names for requests: of the worker, and a number. Nothing is proved by knowing one."""
    worker, numbers = secrets.token_hex(5), count(1)
    return lambda: f"{worker}-{next(numbers):x}"


def dispatch(app: App) -> Dispatch:
    """What leads a body to its handler, inside of the guard."""
    return Dispatch(app, lambda: web.state.routes)


def document_of(application: Application) -> bytes:
    """The OpenAPI document, made when it is first asked for."""
    bento = DecisionService.bento  # type: ignore[attr-defined]  # the decorator adds it
    version = (bento and bento.tag.version) or "checkout"
    return served_document(DecisionService.apis.values(), application, version)  # type: ignore[attr-defined]


def is_a_fault(record: logging.LogRecord) -> bool:
    """False for what a caller got wrong: it is answered, and no traceback for the log."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, ValidationError)


@bentoml.asgi_app(web, path="/")
@bentoml.service(
    name="usdcop",
    http={"port": 8090},
    traffic={"timeout": 5},  # its middleware keeps a timer for every request this long
    tracing={"excluded_urls": ".*"},  # spans without an exporter are half of a request's cost
    metrics={"enabled": False},  # a series for each path that is asked for, and 100 calls a request
    logging={"access": {"enabled": False}},  # decisions are in the ledger
)
class DecisionService:
    """USD/COP decisions: models, risk gate, sizing, ledger."""

    @bentoml.on_deployment
    @staticmethod
    def refuse_to_start_wrong() -> None:
        """Stop with one line, before any worker starts, when the service cannot work."""
        # What the configuration says of the log is not known before it is read.
        developing = os.environ.get("MLOPS_ENVIRONMENT") == "development"
        write_lines(as_json=not developing, book="", level="INFO")
        # The first process of a container is not ended by a signal that it does not handle.
        if current_thread() is main_thread():
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            os.environ[DEPLOYMENT] = decide_deployment().to_json()
        except ServiceError as error:
            logging.getLogger("usdcop.start").critical("usdcop cannot start: %s", error)
            sys.exit(2)

    def __init__(self) -> None:
        write_log(deployment().settings)
        logging.getLogger("bentoml._internal.server.http_app").addFilter(is_a_fault)
        self.application = serve(deployment())
        self.turns = Turns(at_once=not deployment().settings.redis.host)
        self.handlers = Handlers(self.application, self.turns)
        self.market = MarketHandlers(self.application, self.turns)
        self.alert_turns = Turns("alerts")
        self.alert_handlers = AlertHandlers(self.application, self.alert_turns)
        web.state.application = self.application
        desk, settings = self.application.desk, deployment().settings
        reference = served_reference(deployment())
        self.drift = DriftRuns(open_drift(settings, desk.observer, desk.clock, reference))
        web.state.routes = post_routes(self.handlers, self.market, self.alert_handlers, self.drift)
        self.scheduler = drift_scheduler(settings, self.drift.catch_up)
        web.state.drift = self.drift
        web.state.document = cache(lambda: document_of(self.application))
        self.day = Day(self.application)
        sections = LiveSections(self.application, self.drift)
        self.live = web.state.live = LiveFeed(sections.look, sections.about())
        # A stream has no end of its own: it would hold the drain up.
        self.drain = web.state.drain = Drain(settings.drain_seconds, self.live.end)

    @bentoml.on_startup
    async def settle(self) -> None:
        """Watch the arbiter, and take what was loaded out of the garbage collector's sight."""
        server = running_server()
        if server is not None:
            bound_heads(server)
            self.drain.watch(server)
        self.watches = [
            asyncio.create_task(stop_when_orphaned(os.getppid(), self.drain.stop_now)),
            asyncio.create_task(watch_halt_file(self.handlers.obey_halt_file)),
            asyncio.create_task(watch_alerts(self.application.alerts.tick)),
            asyncio.create_task(keep_counts_written(self.application)),
        ]
        if self.scheduler is not None:
            self.scheduler.start()
        self.day.start()
        # Walking a large heap is what makes single requests wait for 40 to 110 ms.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)

    async def __is_ready__(self) -> bool:
        """Whether new connections are welcome; the store may be down all the same."""
        return not self.drain.begun

    @bentoml.on_shutdown
    async def close(self) -> None:
        """Finish what is under way and close the ledger."""
        await self.live.close()
        for watch in self.watches:
            watch.cancel()
        if self.scheduler is not None:
            self.scheduler.stop()
        self.day.stop()
        await self.drift.close()
        self.turns.close()
        self.alert_turns.close()
        self.application.close()

    @bentoml.api(route="/v1/inference", input_spec=InferenceRequest, output_spec=InferenceAnswer)
    async def inference(self, **fields: Any) -> Response:
        """Turn an observation into a decision."""
        return await self.handlers.inference(InferenceRequest.model_construct(**fields))

    @bentoml.api(
        route="/v1/inference/batch", input_spec=BatchInferenceRequest, output_spec=BatchAnswer
    )
    async def inference_batch(self, **fields: Any) -> Response:
        """Judge many observations against one state; nothing is approved."""
        return await self.handlers.inference_batch(BatchInferenceRequest.model_construct(**fields))

    @bentoml.api(
        route="/v1/market/bars", input_spec=MarketBarsRequest, output_spec=MarketBarsAnswer
    )
    async def market_bars(self, **fields: Any) -> Response:
        """Take complete five-minute bars; with `decide`, decide on the newest of them."""
        return await self.market.market_bars(MarketBarsRequest.model_construct(**fields))

    @bentoml.api(route="/v1/market/macro", input_spec=MacroRequest, output_spec=MacroAnswer)
    async def market_macro(self, **fields: Any) -> Response:
        """Take daily macro values; they are known from the day after their date on."""
        return await self.market.market_macro(MacroRequest.model_construct(**fields))

    @bentoml.api(
        route="/v1/risk/trade-result",
        input_spec=TradeResultRequest,
        output_spec=TradeResultAnswer,
    )
    async def trade_result(self, **fields: Any) -> Response:
        """Report a closed trade; the limits are judged at that moment."""
        return await self.handlers.trade_result(TradeResultRequest.model_construct(**fields))

    @bentoml.api(route="/v1/risk/position", input_spec=PositionRequest, output_spec=ReportAnswer)
    async def risk_position(self, **fields: Any) -> Response:
        """Report what the broker says is held."""
        return await self.handlers.risk_position(PositionRequest.model_construct(**fields))

    @bentoml.api(route="/v1/risk/mark", input_spec=MarkRequest, output_spec=ReportAnswer)
    async def risk_mark(self, **fields: Any) -> Response:
        """Report what the open book is worth; a confirmed breach opens the breaker."""
        return await self.handlers.risk_mark(MarkRequest.model_construct(**fields))

    @bentoml.api(route="/v1/orders/release", input_spec=ReleaseRequest, output_spec=ReleaseAnswer)
    async def order_release(self, **fields: Any) -> Response:
        """Report that an approved order will have no result."""
        return await self.handlers.order_release(ReleaseRequest.model_construct(**fields))

    @bentoml.api(route="/v1/risk/halt", input_spec=HaltRequest, output_spec=OperatorAnswer)
    async def risk_halt(self, **fields: Any) -> Response:
        """Halt, or allow exits only; this only ever tightens."""
        return await self.handlers.risk_halt(HaltRequest.model_construct(**fields))

    @bentoml.api(route="/v1/risk/resume", input_spec=ResumeRequest, output_spec=OperatorAnswer)
    async def risk_resume(self, **fields: Any) -> Response:
        """Let trading go on after a halt."""
        return await self.handlers.risk_resume(ResumeRequest.model_construct(**fields))

    @bentoml.api(route="/v1/risk/reset", input_spec=ResetRequest, output_spec=ResetAnswer)
    async def risk_reset(self, **fields: Any) -> Response:
        """Clear the day's counters, or with scope all a latched drawdown too."""
        return await self.handlers.risk_reset(ResetRequest.model_construct(**fields))

    @bentoml.api(
        route="/v1/drift/check", input_spec=DriftCheckRequest, output_spec=DriftCheckAnswer
    )
    async def drift_check(self) -> Response:
        """Make a drift check now; one at a time, in a process of its own."""
        return await self.drift.answer(secrets.token_hex(8))

    @bentoml.api(
        route="/v1/alerts/acknowledge",
        input_spec=AcknowledgeRequest,
        output_spec=AcknowledgeAnswer,
    )
    async def alert_acknowledge(self, **fields: Any) -> Response:
        """Take note of open alerts; reminders of them stop."""
        return await self.alert_handlers.acknowledge(AcknowledgeRequest.model_construct(**fields))


DecisionService.add_asgi_middleware(guard)  # type: ignore[attr-defined]  # the decorator adds it
DecisionService.add_asgi_middleware(dispatch)  # type: ignore[attr-defined]  # the decorator adds it
