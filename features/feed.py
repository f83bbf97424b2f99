"""The live market: bars and macro values in, the vector of each bar out.

Bars lie in a buffer that all processes of a book share. A vector is computed from the buffer
whenever it is needed, by the very function that built the training data, so every process, before
and after a restart, gives the same one to the bit; the cache only saves the work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import numpy as np

from config.settings import MarketSettings, TradingHours
from errors import InvalidRequest, NotReady
from features.bar_screen import Bar, BarRules, Screened, screen
from features.bars import BAR_SECONDS, BarSeries
from features.cache import CachedVector, FeatureCache
from features.clock import local_days
from features.compute import WINDOW, compute_vector
from features.evidence import evidence_of
from features.macro import MacroSeries
from features.macro_screen import Merged, merged
from features.macro_text import iso_date
from features.market_codecs import (
    MACRO_DAYS_KEPT,
    bars_codec,
    count_of,
    macro_codec,
    news,
    updated,
)
from features.schema import Schema
from features.shared_value import SharedValue
from stores.documents import Documents

__all__ = ["BarsAdded", "Confirm", "FeedStatus", "MarketFeed"]

_RECACHED: Final = 12
"""Vectors put into the cache again when bars change; `at` computes older ones anew."""


Confirm = Callable[[tuple[str, ...]], None]
"""Is told, in words, what is taken only because somebody insists on it."""


@dataclass(frozen=True, eq=False)
class BarsAdded:
    """What became of a request with bars.

    Attributes:
        screened: each bar's state, and all bars that are kept now.
        newest: the vector of the newest kept bar of the request; None when it has none.
        newest_bar: start of that bar; None when none of the request is kept.
        superseded_by: start of a newer bar that was there already; None when there is none.
        not_ready: why there is no vector; None when there is one.
    """

    screened: Screened
    newest_bar: datetime | None
    newest: CachedVector | None
    superseded_by: datetime | None
    not_ready: str | None


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """How the feed stands.

    Attributes:
        bars: kept.
        needed: for a vector.
        newest_bar: start of the newest bar.
        macro: series to the date of its newest value; None where it has none.
        backend: where bars and macro values are shared.
        degraded: why this process goes without the store; None when it does not.
        not_ready: why there is no vector now; None when there is one.
    """

    bars: int
    needed: int
    newest_bar: datetime | None
    macro: Mapping[str, str | None]
    backend: str
    degraded: str | None
    not_ready: str | None


class MarketFeed:
    """Bars and macro values of one book. Thread-safe.

    Args:
        documents: where they are shared.
        cache: of computed vectors.
        settings: of the feed.
        hours: the session.
        schema: of the vectors; None when the models read something else.
    """

    def __init__(
        self,
        documents: Documents,
        cache: FeatureCache,
        settings: MarketSettings,
        hours: TradingHours,
        schema: Schema | None,
    ) -> None:
        self._cache, self._settings, self._hours, self._schema = cache, settings, hours, schema
        self._documents = documents
        self._bars = SharedValue(documents, "bars", bars_codec(settings.buffer_bars))
        self._macro = SharedValue(documents, "macro", macro_codec())

    def add_bars(
        self, sent: Sequence[Bar], now: datetime, *, confirm: Confirm | None = None
    ) -> BarsAdded:
        """Take bars, and compute the vector of the newest of them.

        Args:
            sent: at least one, in any order.
            now: aware.
            confirm: corrections and jumps are meant as they stand; is told of them before
                anything is taken, and what it raises is raised.

        Raises:
            InvalidRequest, Conflict: a bar is refused, see `bar_screen`; nothing is taken.
        """
        rules = self._rules(now, confirm=confirm is not None)
        taken: list[Screened] = []

        def change(known: BarSeries) -> BarSeries:
            screened = screen(sent, known, rules)
            # Called again when another process was faster: the same is not told twice.
            if not taken or taken[-1].confirmed != screened.confirmed:
                _told(screened.confirmed, confirm)
            taken.append(screened)
            return screened.bars if screened.changes else known

        bars = self._bars.update(change)
        return self._added(sent, taken[-1], bars, now)

    def _added(
        self, sent: Sequence[Bar], screened: Screened, bars: BarSeries, now: datetime
    ) -> BarsAdded:
        macro = self._known_macro()
        rows: Mapping[int, CachedVector] = {}
        if screened.changes:
            rows = self._recache(bars, macro, now, since=min(bar.start for bar in sent))
        kept = np.isin(bars.starts, [bar.start for bar in sent])
        if not kept.any():
            return BarsAdded(screened, None, None, None, "none of these bars is kept")
        last = int(np.flatnonzero(kept)[-1])
        start = _instant(int(bars.starts[last]))
        newer = None if last == len(bars) - 1 else _instant(int(bars.starts[-1]))
        try:
            row = rows.get(last) or self._row(bars, last, macro)
        except NotReady as error:
            return BarsAdded(screened, start, None, newer, error.message)
        return BarsAdded(screened, start, row, newer, None)

    def add_macro(
        self,
        values: Mapping[str, Sequence[tuple[int, float]]],
        now: datetime,
        *,
        confirm: Confirm | None = None,
    ) -> Merged:
        """Take macro values.

        Args:
            values: series to its (days since 1970-01-01, value).
            now: aware.
            confirm: as for bars.

        Raises:
            InvalidRequest, Conflict: a value is refused, see `macro_screen`; nothing is taken.
        """
        self._refuse_days_to_come(
            {name: [day for day, _ in pairs] for name, pairs in values.items()}, now
        )
        taken: list[Merged] = []

        def change(known: MacroSeries) -> MacroSeries:
            both = merged(known, values, confirm=confirm is not None)
            if not taken or taken[-1].confirmed != both.confirmed:
                _told(both.confirmed, confirm)
            taken.append(both)
            return both.series.newest(MACRO_DAYS_KEPT) if both.added or both.corrected else known

        macro = self._macro.update(change)
        if (taken[-1].added or taken[-1].corrected) and not self._settings.without_macro:
            self._recache(self._bars.read(), macro, now)
        return taken[-1]

    def fill_bars(self, bars: BarSeries, now: datetime) -> int:
        """Take bars of a file where there are none yet; returns how many were new.

        Raises:
            InvalidRequest: a bar is refused, see `bar_screen`; nothing is taken.
        """
        newest = slice(-self._settings.buffer_bars, None)
        pairs = list(zip(bars.starts[newest].tolist(), bars.closes[newest].tolist(), strict=True))
        rules = replace(
            self._rules(now, confirm=False), remedy="Raise market.max_price_jump for this start"
        )
        added = [0]

        def change(known: BarSeries) -> BarSeries:
            there = set(known.starts.tolist())
            sent = [Bar(start, close) for start, close in pairs if start not in there]
            screened = screen(sent, known, rules) if sent else None
            if screened is None or not screened.changes:
                added[0] = 0
                return known
            added[0] = len(set(screened.bars.starts.tolist()) - there)
            return screened.bars

        self._bars.update(change)
        return added[0]

    def fill_macro(self, macro: MacroSeries, now: datetime) -> int:
        """Take macro values of a file where there are none yet; returns how many were new.

        Raises:
            InvalidRequest: a value is dated after today; nothing is taken.
        """
        days = {name: series.days.tolist() for name, series in macro.columns.items()}
        self._refuse_days_to_come(days, now)
        added = [0]

        def change(known: MacroSeries) -> MacroSeries:
            both = updated(macro, known).newest(MACRO_DAYS_KEPT)
            added[0] = count_of(news(known, both))
            return both if added[0] else known

        self._macro.update(change)
        return added[0]

    def close(self) -> None:
        """Release the store. Closing twice is harmless."""
        self._documents.close()

    def latest(self) -> CachedVector:
        """The vector of the newest bar.

        Raises:
            NotReady: there is none; the message says what is missing.
        """
        bars = self._bars.read()
        return self._row(bars, len(bars) - 1, self._known_macro())

    def at(self, timestamp: datetime, now: datetime) -> CachedVector | None:
        """The vector of a time: a caller's own from the cache, or else that of the bar.

        A bar's vector is computed anew where the bars for it are kept, since a late bar, a
        correction or another process may have made a cached one wrong.

        Returns:
            None when neither cache nor bars have it.
        """
        cached = self._cache.get(timestamp, now)
        if self._schema is None or (cached is not None and cached.evidence is None):
            return cached
        bars = self._bars.read()
        found = np.flatnonzero(bars.starts == timestamp.timestamp() - BAR_SECONDS)
        try:
            return self._row(bars, int(found[0]), self._known_macro()) if len(found) else cached
        except NotReady:
            return cached

    @property
    def degraded(self) -> str | None:
        """Why this process goes without the store; None when it does not."""
        return self._bars.degraded or self._macro.degraded

    def has_bar(self, start: datetime) -> bool:
        """Whether a bar with this start is kept."""
        return bool((self._bars.read().starts == start.timestamp()).any())

    def newer_than(self, start: int) -> datetime | None:
        """Start of the newest bar; None when it does not start after this time."""
        starts = self._bars.read().starts
        return _instant(int(starts[-1])) if len(starts) and starts[-1] > start else None

    def status(self) -> FeedStatus:
        """How it stands now."""
        bars, macro = self._bars.read(), self._macro.read()
        not_ready = None
        try:
            self._row(bars, len(bars) - 1, None if self._settings.without_macro else macro)
        except NotReady as error:
            not_ready = error.message
        return FeedStatus(
            bars=len(bars),
            needed=WINDOW,
            newest_bar=_instant(int(bars.starts[-1])) if len(bars) else None,
            macro={
                name: str(np.datetime64(int(series.days[-1]), "D")) if len(series.days) else None
                for name, series in macro.columns.items()
            },
            backend=self._bars.backend,
            degraded=self.degraded,
            not_ready=not_ready,
        )

    def _refuse_days_to_come(self, days: Mapping[str, Sequence[int]], now: datetime) -> None:
        today = int(local_days(np.array([int(now.timestamp())]), self._hours.zone)[0])
        for series, of_series in days.items():
            newest = max(of_series, default=today)
            if newest > today:
                raise InvalidRequest(
                    f"{series} is dated {iso_date(newest)}, and today is {iso_date(today)}; a "
                    "value is taken once its day has come"
                )

    def _rules(self, now: datetime, *, confirm: bool) -> BarRules:
        return BarRules(
            hours=self._hours,
            capacity=self._settings.buffer_bars,
            greatest_jump=self._settings.max_price_jump,
            now=int(now.timestamp()),
            confirm=confirm,
        )

    def _row(self, bars: BarSeries, index: int, macro: MacroSeries | None) -> CachedVector:
        """The vector of one of the kept bars."""
        if self._schema is None:
            raise NotReady("not ready: the models read a vector that no feature schema describes")
        starts = bars.starts[: index + 1][-WINDOW:]
        closes = bars.closes[: index + 1][-WINDOW:]
        vector = compute_vector(closes, starts, macro, hours=self._hours, schema=self._schema)
        day = int(local_days(starts[-1:], self._hours.zone)[0])
        known_at = _instant(int(starts[-1]) + BAR_SECONDS)
        return CachedVector(known_at, vector, evidence_of(closes, starts, macro, day))

    def _recache(
        self, bars: BarSeries, macro: MacroSeries | None, now: datetime, *, since: int = 0
    ) -> dict[int, CachedVector]:
        """Put the newest vectors into the cache, over those that a change has made wrong.

        Args:
            bars: all that are kept.
            macro: None where vectors go without.
            now: aware.
            since: start of the first bar whose vector may have changed.

        Returns:
            Their vectors by position among the bars.
        """
        rows = {}
        first = max(int(bars.starts.searchsorted(since)), len(bars) - _RECACHED, WINDOW - 1)
        for index in range(first, len(bars)):
            try:
                rows[index] = row = self._row(bars, index, macro)
            except NotReady:
                continue
            self._cache.put(row.timestamp, row.vector, now, row.evidence)
        return rows

    def _known_macro(self) -> MacroSeries | None:
        return None if self._settings.without_macro else self._macro.read()


def _told(confirmed: tuple[str, ...], confirm: Confirm | None) -> None:
    if confirmed and confirm is not None:
        confirm(confirmed)


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
