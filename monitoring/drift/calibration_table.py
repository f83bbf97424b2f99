"""What a calibration found, as the rows of one table, beside what is due."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from features.schema import USDCOP_M5
from monitoring.drift.calibration import Calibration
from monitoring.drift.share import Share

__all__ = ["MOST_FALSE", "Due", "calibration_rows"]

MOST_FALSE: Final = 0.01
"""Share of checks that may alarm with nothing wrong."""

_CLOSES: Final = frozenset(
    feature.name for feature in USDCOP_M5.features if feature.source.startswith("close")
)
_COLUMNS: Final = ("one feature x100", "one feature zeroed", "two features swapped")
_WHOLE: Final = {"all features +1 sd": 0.99, "frozen feed": 0.99}
_SERIES: Final = {"a macro series x100": 0.99, "a macro series /100": 0.99}
_VOLATILITY: Final = {"volatility x3": 0.80, "volatility x4": 0.93, "volatility x5": 0.98}
_OF_CLOSES: Final = 0.99
_OF_ALL: Final = 0.97


class Due(NamedTuple):
    """One row.

    Attributes:
        words: what was counted.
        share: how often.
        least: what is due at least; None where nothing is.
        most: what is due at most; None likewise.
    """

    words: str
    share: Share
    least: float | None = None
    most: float | None = None

    @property
    def kept(self) -> bool | None:
        """Whether it is as due; None where nothing is due or nothing was counted."""
        if not self.share.of or (self.least is None and self.most is None):
            return None
        value = self.share.value
        return (self.least or 0.0) <= value <= (1.0 if self.most is None else self.most)


def calibration_rows(counted: Calibration, most_false: float = MOST_FALSE) -> list[Due]:
    """The table, row by row."""
    rows = [
        Due(
            "false alarms, of all checks but those of frozen hours", counted.moving, most=most_false
        ),
        Due("alarms, of all checks", counted.checks),
    ]
    rows += [Due(words, _of(counted, words), least) for words, least in _WHOLE.items()]
    for words in _COLUMNS:
        rows.append(
            Due(f"{words}: columns of the closes", _among(counted, words, _is_close), _OF_CLOSES)
        )
        rows.append(Due(f"{words}: all columns", _of(counted, words), _OF_ALL))
    rows += [Due(words, _of(counted, words), least) for words, least in _SERIES.items()]
    for words, least in _VOLATILITY.items():
        rows.append(Due(words, _of(counted, words), least))
        apart = f"{words}, an hour of constant closes"
        rows.append(Due(apart, _of(counted, apart)))
    return [row for row in rows if row.share.of]


def _of(counted: Calibration, words: str) -> Share:
    return counted.found.get(words, Share())


def _among(counted: Calibration, words: str, chosen: Callable[[str], bool]) -> Share:
    """Of the faults whose columns are all among the chosen."""
    shares = (
        share
        for (fault, columns), share in counted.by_feature.items()
        if fault == words and all(chosen(name) for name in columns.split(", "))
    )
    return sum(shares, Share())


def _is_close(name: str) -> bool:
    return name in _CLOSES
