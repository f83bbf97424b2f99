"""An order router's service over the routes: the port `simulation.book.Service`, by HTTP."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from features.bars import BarSeries, utc_text
from features.macro import MACRO_COLUMNS, MacroSeries
from risk.events import timestamp
from simulation.book import BarSeen, TradeReport
from tests.integration.serving import Served

__all__ = ["AsgiService"]

_EPOCH = date(1970, 1, 1)
_DAY_SECONDS = 86_400


class AsgiService:
    """The port `simulation.book.Service`, over the routes.

    Args:
        running: the service.
        macro: daily values; each is sent on the morning after its date.
    """

    def __init__(self, running: Served, macro: MacroSeries) -> None:
        self._http, self._clock, self._macro = running.http, running.clock, macro
        self._sent_before = 0

    def warm_up(self, bars: BarSeries, before: int) -> None:
        """Send the bars that start before a time, at the time that the clock shows."""
        self._send_macro(before // _DAY_SECONDS)
        closes = zip(bars.starts.tolist(), bars.closes.tolist(), strict=True)
        rows = [_row(start, close) for start, close in closes if start < before]
        self._http.post("/v1/market/bars", bars=rows)

    def decide(self, bar: BarSeen, order_id: str, now: datetime) -> dict[str, Any]:
        self._clock.now = now
        self._send_macro(bar.start // _DAY_SECONDS)
        rows = [_row(bar.start, bar.close)]
        taken = self._http.post("/v1/market/bars", bars=rows, decide=True, order_id=order_id)
        decision: dict[str, Any] = taken["decision"]
        return decision

    def report_result(self, trade: TradeReport, now: datetime) -> None:
        self._clock.now = now
        self._http.post(
            "/v1/risk/trade-result",
            trade_id=trade.trade_id,
            order_id=trade.order_id,
            pnl=trade.pnl,
            pnl_percent=trade.pnl_percent,
            closed_at=timestamp(trade.closed_at),
            position=0.0,
        )

    def report_position(self, position: float, as_of: datetime, now: datetime) -> None:
        self._clock.now = now
        self._http.post("/v1/risk/position", position=position, as_of=timestamp(as_of))

    def report_mark(self, unrealized: float, as_of: datetime, now: datetime) -> None:
        self._clock.now = now
        self._http.post("/v1/risk/mark", unrealized_pnl_percent=unrealized, as_of=timestamp(as_of))

    def release(self, order_id: str, outcome: str, now: datetime) -> None:
        self._clock.now = now
        self._http.post("/v1/orders/release", order_id=order_id, outcome=outcome)

    def _send_macro(self, day: int) -> None:
        """Send what is dated before a day and has not been sent, a row a date."""
        rows: dict[int, dict[str, Any]] = {}
        for name in MACRO_COLUMNS:
            series = self._macro.columns[name]
            for dated, value in zip(series.days.tolist(), series.values.tolist(), strict=True):
                if self._sent_before <= dated < day:
                    rows.setdefault(dated, {"date": _iso(dated)})[name] = value
        self._sent_before = day
        if rows:
            self._http.post("/v1/market/macro", values=list(rows.values()))


def _row(start: int, close: float) -> dict[str, Any]:
    return {"time": utc_text(start), "close": close}


def _iso(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()
