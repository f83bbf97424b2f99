"""The POST routes: what each reads, and who answers it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from fastapi import Response

from api.alert_handlers import AlertHandlers
from api.alert_messages import AcknowledgeRequest
from api.dispatch import Route
from api.drift_messages import DriftCheckRequest
from api.drift_runs import DriftRuns
from api.handlers import Handlers
from api.market_handlers import MarketHandlers
from api.market_messages import MacroRequest, MarketBarsRequest
from api.messages import (
    BatchInferenceRequest,
    HaltRequest,
    InferenceRequest,
    MarkRequest,
    PositionRequest,
    ReleaseRequest,
    ResetRequest,
    ResumeRequest,
    TradeResultRequest,
)

__all__ = ["book_routes", "post_routes"]


def post_routes(
    handlers: Handlers, market: MarketHandlers, alerts: AlertHandlers, drift: DriftRuns
) -> Mapping[str, Route]:
    """Path to what its body is read as and who answers it."""

    async def check_drift(message: DriftCheckRequest) -> Response:
        del message  # there is nothing to say
        return await drift.answer(secrets.token_hex(8))

    return {
        **book_routes(handlers, market),
        "/v1/alerts/acknowledge": (AcknowledgeRequest, alerts.acknowledge),
        "/v1/drift/check": (DriftCheckRequest, check_drift),
    }


def book_routes(handlers: Handlers, market: MarketHandlers) -> Mapping[str, Route]:
    """Those about decisions, the book and the market."""
    return {
        "/v1/inference": (InferenceRequest, handlers.inference),
        "/v1/inference/batch": (BatchInferenceRequest, handlers.inference_batch),
        "/v1/market/bars": (MarketBarsRequest, market.market_bars),
        "/v1/market/macro": (MacroRequest, market.market_macro),
        "/v1/risk/trade-result": (TradeResultRequest, handlers.trade_result),
        "/v1/risk/position": (PositionRequest, handlers.risk_position),
        "/v1/risk/mark": (MarkRequest, handlers.risk_mark),
        "/v1/orders/release": (ReleaseRequest, handlers.order_release),
        "/v1/risk/halt": (HaltRequest, handlers.risk_halt),
        "/v1/risk/resume": (ResumeRequest, handlers.risk_resume),
        "/v1/risk/reset": (ResetRequest, handlers.risk_reset),
    }
