"""What a drift check remembers of the vectors on record: rows of 45 days, returns of a year.

It is a digest of the ledger's decisions and can be made of them again at any time; it spares
each check from reading a year of events. The training reference of a model has the same form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from config.settings import TradingHours
from features.bars import BAR_SECONDS
from features.clock import local_days
from features.evidence import Evidence
from features.macro import MacroValue
from monitoring.drift.check import sized
from monitoring.drift.sessions import Session
from monitoring.drift.volatility_rule import RETURN_SESSIONS, SizedSession
from observation import decoded_vector

__all__ = ["SIGNALS", "Recorded", "Row", "recorded_sessions", "row_of"]

KEPT_DAYS: Final = 45
"""Local dates with rows that are kept: 30 ordinary sessions, and what lies between them."""

SIGNALS: Final = ("SELL", "HOLD", "BUY")
"""Raw signals by the number that stands for them; -1 is none."""

_LEAST_ROWS: Final = 12
_LEAST_SHARE: Final = 0.8

Macro = Mapping[str, MacroValue]


class Row(NamedTuple):
    """One vector on record.

    Attributes:
        start: of its bar, seconds since 1970-01-01 UTC.
        vector: float32, shape (m,).
        timed: whether the time is that of the observation; else it is when somebody asked.
        signal: what the models said, by its place in `SIGNALS`; -1 for nothing.
        macro: the values that it was made of; empty without.
    """

    start: int
    vector: NDArray[np.float32]
    timed: bool
    signal: int
    macro: Macro


@dataclass(frozen=True, eq=False)
class Recorded:
    """Rows, one per bar, and returns of the sessions before them.

    Attributes:
        schema: hash of the feature schema; "" for vectors that nobody has named.
        sequence: of the newest event that was read; 0 for none.
        hash: of that event.
        starts: of the bars, strictly increasing, shape (n,).
        matrix: float32, shape (n, m).
        timed, signals: as of `Row`, shape (n,).
        macro: day → the newest macro values of its rows.
        revised: days on which macro values changed from one row to the next.
        faulty: days on which a check found a broken feature or feed: no reference for others.
        returns: of past sessions, in order of time.
    """

    schema: str
    sequence: int
    hash: str
    starts: NDArray[np.int64]
    matrix: NDArray[np.float32]
    timed: NDArray[np.bool_]
    signals: NDArray[np.int8]
    macro: Mapping[int, Macro] = field(default_factory=dict)
    revised: frozenset[int] = frozenset()
    faulty: frozenset[int] = frozenset()
    returns: tuple[SizedSession, ...] = ()

    @classmethod
    def empty(cls, schema: str, width: int) -> Recorded:
        """Nothing yet, of vectors of this width."""
        return cls(
            schema=schema,
            sequence=0,
            hash="",
            starts=np.zeros(0, dtype=np.int64),
            matrix=np.zeros((0, width), dtype=np.float32),
            timed=np.zeros(0, dtype=bool),
            signals=np.zeros(0, dtype=np.int8),
        )

    def read_until(self, sequence: int, digest: str) -> Recorded:
        """The same, after this event was read."""
        return replace(self, sequence=sequence, hash=digest)

    def with_fault(self, day: int) -> Recorded:
        """The same, with a day that is no reference for others."""
        return replace(self, faulty=self.faulty | {day})

    def days(self, hours: TradingHours) -> frozenset[int]:
        """Local dates of the rows."""
        if not len(self.starts):
            return frozenset()
        return frozenset(np.unique(local_days(self.starts, hours.zone)).tolist())

    def with_rows(self, rows: Sequence[Row], hours: TradingHours) -> Recorded:
        """With these rows as well; of two of one bar the later one holds."""
        if not rows:
            return self
        starts = np.concatenate([self.starts, np.array([row.start for row in rows])])
        # The last of equal starts: unique() gives the first, so it reads backwards.
        _, backwards = np.unique(starts[::-1], return_index=True)
        chosen = len(starts) - 1 - backwards
        macro, revised = self._with_macro(rows, hours)
        return replace(
            self,
            starts=starts[chosen],
            matrix=np.concatenate([self.matrix, np.array([row.vector for row in rows])])[chosen],
            timed=np.concatenate([self.timed, np.array([row.timed for row in rows])])[chosen],
            signals=np.concatenate(
                [self.signals, np.array([row.signal for row in rows], dtype=np.int8)]
            )[chosen],
            macro=macro,
            revised=revised,
        )

    def _with_macro(
        self, rows: Sequence[Row], hours: TradingHours
    ) -> tuple[dict[int, Macro], frozenset[int]]:
        macro, revised = dict(self.macro), set(self.revised)
        days = local_days(np.array([row.start for row in rows]), hours.zone)
        for day, row in zip(days.tolist(), rows, strict=True):
            if row.macro:
                if macro.get(day, row.macro) != row.macro:
                    revised.add(day)
                macro[day] = row.macro
        return macro, frozenset(revised)

    def trimmed(
        self, names: Sequence[str], hours: TradingHours, trading: frozenset[int]
    ) -> Recorded:
        """With the rows of the newest `KEPT_DAYS` only, and the returns of sessions that are over.

        Args:
            names: of the columns.
            hours: the session.
            trading: which of its days are trading days.
        """
        if not len(self.starts):
            return self
        sessions = recorded_sessions(self, hours, trading)
        by_day = {one.day: one for one in self.returns}
        for session in sessions[:-1]:
            of_day = sized(session, names, hours)
            if of_day is not None and session.ordinary and session.moves(names):
                by_day[session.day] = of_day
        first = sessions[-KEPT_DAYS:][0]
        kept = self.starts >= first.starts[0]
        return replace(
            self,
            starts=self.starts[kept],
            matrix=self.matrix[kept],
            timed=self.timed[kept],
            signals=self.signals[kept],
            macro={day: values for day, values in self.macro.items() if day >= first.day},
            revised=frozenset(day for day in self.revised if day >= first.day),
            faulty=frozenset(day for day in self.faulty if day >= first.day),
            returns=tuple(by_day[day] for day in sorted(by_day))[-RETURN_SESSIONS:],
        )


def row_of(payload: Mapping[str, Any], at: datetime) -> Row | None:
    """The vector of a decision on record; None for one that does not count: a dry run.

    Args:
        payload: of the event.
        at: when it was made.
    """
    if payload["dry_run"]:
        return None
    evidence = payload.get("evidence")
    known = None if evidence is None else Evidence.from_json(evidence)
    observed_at = payload["observed_at"]
    if known is not None:
        start = known.bar
    else:
        instant = at if observed_at is None else datetime.fromisoformat(observed_at)
        start = int(instant.timestamp()) // BAR_SECONDS * BAR_SECONDS - BAR_SECONDS
    answer = payload["answer"]
    # Where the models gave nothing, the HOLD that was answered is not theirs.
    signal = answer["raw_signal"] if answer["models"] else None
    return Row(
        start=start,
        vector=decoded_vector(payload["vector"]),
        timed=known is not None or observed_at is not None,
        signal=SIGNALS.index(signal) if signal in SIGNALS else -1,
        macro={} if known is None else dict(known.macro),
    )


def recorded_sessions(
    recorded: Recorded, hours: TradingHours, trading: frozenset[int]
) -> list[Session]:
    """The rows by local date, in order of time.

    Args:
        recorded: the rows.
        hours: the session.
        trading: days since 1970-01-01 that are trading days.
    """
    if not len(recorded.starts):
        return []
    days = local_days(recorded.starts, hours.zone)
    first = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
    ends = [*first[1:].tolist(), len(days)]
    lengths = np.diff([*first.tolist(), len(days)])
    usual = [
        length
        for begin, length in zip(first.tolist(), lengths.tolist(), strict=True)
        if int(days[begin]) in trading
    ]
    # Of desks that decide on every third bar only, a third is all.
    least = max(_LEAST_ROWS, _LEAST_SHARE * float(np.median(usual)) if usual else 0.0)
    return [
        Session(
            day=int(days[begin]),
            starts=recorded.starts[begin:end],
            matrix=recorded.matrix[begin:end].astype(np.float64),
            timed=recorded.timed[begin:end],
            macro=recorded.macro.get(int(days[begin]), {}),
            revised=int(days[begin]) in recorded.revised,
            ordinary=end - begin >= least
            and int(days[begin]) in trading
            and int(days[begin]) not in recorded.faulty,
        )
        for begin, end in zip(first.tolist(), ends, strict=True)
    ]
