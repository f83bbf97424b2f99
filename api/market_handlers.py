"""Bars and macro values in; features, and on request a decision, out."""

from datetime import date, timedelta
from typing import Any, Final

import numpy as np
from fastapi import Response

from api.deciding import Observed, answer_one, approved_observation, chosen_model
from api.market_messages import BarMessage, MacroRequest, MarketBarsRequest
from api.turns import Turns
from application import Application
from errors import InvalidRequest, NotReady, StoreError, TooLarge
from features.bar_screen import Bar, missing_bars
from features.bars import BAR_SECONDS
from features.cache import CachedVector
from features.compute import WINDOW
from features.feed import BarsAdded, Confirm
from features.macro_screen import Merged
from monitoring.observer import BarsReceived
from observation import DecisionRequest
from reading import refuse_shadow
from risk.confirmations import record_confirmation
from risk.events import timestamp

__all__ = ["MarketHandlers"]

_EPOCH: Final = date(1970, 1, 1)
_OF_A_DECISION: Final = (
    "model_name", "use_ensemble", "enforce_risk_checks", "order_id", "position", "capital_usd",
    "dry_run",
)  # fmt: skip


class MarketHandlers:
    """The POST routes about the market.

    Args:
        application: what `bootstrap` built.
        turns: for all that touches the ledger.
    """

    def __init__(self, application: Application, turns: Turns) -> None:
        self._application, self._turns = application, turns
        self._desk, self._feed = application.desk, application.feed

    async def market_bars(self, message: MarketBarsRequest) -> Response:
        """Take bars, and decide on the newest of them if that is asked for."""
        return await self._turns.answer(lambda caller: self._take_bars(message, caller))

    async def market_macro(self, message: MacroRequest) -> Response:
        """Take macro values."""
        return await self._turns.answer(lambda caller: self._take_macro(message, caller))

    def _take_bars(self, message: MarketBarsRequest, caller: str) -> dict[str, Any]:
        most = self._application.settings.market.buffer_bars
        if len(message.bars) > most:
            raise TooLarge(
                f"{len(message.bars)} bars; at most {most} (market.buffer_bars) are kept, so send "
                "the newest"
            )
        # What is wrong with the question is said before anything is taken.
        asked = self._asked(message, caller)
        bars = [_bar_of(bar) for bar in message.bars]
        confirm = self._recorded(caller) if message.confirm else None
        added = self._feed.add_bars(bars, self._desk.clock(), confirm=confirm)
        self._desk.observer.observe(BarsReceived(added.screened.counts))
        decision = None
        if asked is not None and added.newest is not None:
            decision = self._decide(asked, added.newest, added)
        return {**self._told_bars(added), "decision": decision}

    def _asked(self, message: MarketBarsRequest, caller: str) -> DecisionRequest | None:
        """What is asked beside the bars, still without an observation; None for nothing.

        Raises:
            InvalidRequest: what is asked cannot be answered, whatever the bars.
        """
        if not message.decide:
            _refuse_what_needs_decide(message)
            return None
        models = self._application.models
        name = chosen_model(
            message.model_name, self._application, use_ensemble=message.use_ensemble
        )
        asked = DecisionRequest(
            observation=np.zeros(self._application.observation_dim, np.float32),
            model_name=name,
            enforce_risk_checks=message.enforce_risk_checks,
            order_id=message.order_id,
            position=message.position,
            capital_usd=message.capital_usd,
            dry_run=message.dry_run,
            caller=caller,
        )
        if name is not None:
            refuse_shadow(asked, models.runner(name).weight)
        return asked

    def _decide(
        self, asked: DecisionRequest, row: CachedVector, added: BarsAdded
    ) -> dict[str, Any]:
        observed = Observed(row.vector, row.evidence, fill_state=True)
        if asked.tradable:
            try:
                approved = approved_observation(asked.order_id, row.timestamp, self._desk)
            except StoreError:
                approved = None  # `decide` says what is wrong
            observed = approved or observed
        request = asked._replace(
            observation=observed.vector,
            observed_at=row.timestamp,
            evidence=observed.evidence,
            fill_state=observed.fill_state,
            superseded_by=added.superseded_by,
        )
        return answer_one(request, self._desk)

    def _told_bars(self, added: BarsAdded) -> dict[str, Any]:
        bars, row = added.screened.bars, added.newest
        schema = self._application.schema
        return {
            "received": added.screened.counts,
            "bars": len(bars),
            "needed": WINDOW,
            "missing": missing_bars(bars, self._application.settings.trading_hours, WINDOW),
            "ready": row is not None,
            "not_ready": added.not_ready,
            "bar": None if added.newest_bar is None else timestamp(added.newest_bar),
            "timestamp": None if row is None else timestamp(row.timestamp),
            "features": None if row is None or schema is None else schema.named(row.vector),
            "degraded": self._feed.degraded,
        }

    def _take_macro(self, message: MacroRequest, caller: str) -> dict[str, Any]:
        values: dict[str, list[tuple[int, float]]] = {}
        for row in message.values:
            given = row.model_dump(exclude={"date"}, exclude_none=True)
            if not given:
                raise InvalidRequest(f"the values of {row.date} name no series; send at least one")
            for series, value in given.items():
                values.setdefault(series, []).append(((row.date - _EPOCH).days, value))
        confirm = self._recorded(caller) if message.confirm else None
        taken = self._feed.add_macro(values, self._desk.clock(), confirm=confirm)
        return {
            "added": taken.added,
            "repeated": taken.repeated,
            "corrected": taken.corrected,
            "newest": _newest_dates(taken),
            "degraded": self._feed.degraded,
        }

    def _recorded(self, caller: str) -> Confirm:
        """What somebody insists on goes on record, with a name, before it is taken."""

        def record(confirmed: tuple[str, ...]) -> None:
            try:
                record_confirmation(confirmed, self._desk.act(self._desk.clock(), caller))
            except StoreError as error:
                raise NotReady(
                    f"what `confirm` insists on cannot go on record, so nothing was taken: {error}"
                ) from error

        return record


def _refuse_what_needs_decide(message: MarketBarsRequest) -> None:
    named = [
        name
        for name in _OF_A_DECISION
        if getattr(message, name) != MarketBarsRequest.model_fields[name].default
    ]
    if named:
        raise InvalidRequest(
            f"{', '.join(named)} mean nothing without a decision; send `decide: true` with them"
        )


def _bar_of(bar: BarMessage) -> Bar:
    start = bar.time.timestamp()
    if start % BAR_SECONDS:
        raise InvalidRequest(
            f"the bar at {bar.time.isoformat()} does not start on a full five minutes; bars are "
            "of 300 s"
        )
    return Bar(int(start), bar.close, bar.open, bar.high, bar.low)


def _newest_dates(taken: Merged) -> dict[str, str | None]:
    return {
        name: (_EPOCH + timedelta(days=int(series.days[-1]))).isoformat()
        if len(series.days)
        else None
        for name, series in taken.series.columns.items()
    }
