"""What if: the grid of settings that a replay is repeated with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from errors import InvalidRequest

__all__ = ["Variation", "grid", "variable_of", "variation"]

_PREFIX = "MLOPS__"
_VARIABLE = ("risk_limits.", "ensemble.", "calendar.", "capital_usd")
_MOST_CELLS = 1_000


@dataclass(frozen=True, slots=True)
class Variation:
    """One setting and the values that it takes in turn.

    Attributes:
        key: dotted, as in the configuration file.
        values: as text, at least one, no two alike.
    """

    key: str
    values: tuple[str, ...]


def variation(text: str) -> Variation:
    """Read `key=value,value,...`.

    Raises:
        InvalidRequest: it is not that, or the setting cannot be varied over one reading of bars.

    >>> variation("risk_limits.min_confidence=0.5,0.6")
    Variation(key='risk_limits.min_confidence', values=('0.5', '0.6'))
    """
    key, equals, listed = text.partition("=")
    key = key.strip()
    values = tuple(value.strip() for value in listed.split(","))
    if not equals or not key or not all(values):
        raise InvalidRequest(
            f"{text!r} is no variation; write one like risk_limits.max_daily_loss=-0.01,-0.02"
        )
    if not key.startswith(_VARIABLE):
        raise InvalidRequest(
            f"{key} cannot be varied: only {', '.join(name.rstrip('.') for name in _VARIABLE)} "
            "can, since bars are read once for all; replay the others one by one with --config"
        )
    if len(set(values)) != len(values):
        raise InvalidRequest(f"{text!r} names a value twice; name each once")
    return Variation(key, values)


def grid(variations: Sequence[Variation]) -> list[dict[str, str]]:
    """Every combination, the last setting changing fastest: dotted key to value.

    Raises:
        InvalidRequest: a setting is varied twice, or there are more than 1,000 combinations.

    >>> grid([Variation("a", ("1", "2")), Variation("b", ("3",))])
    [{'a': '1', 'b': '3'}, {'a': '2', 'b': '3'}]
    """
    keys = [varied.key for varied in variations]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise InvalidRequest(f"{twice} is varied twice; list all its values at once")
    cells = [
        dict(zip(keys, values, strict=True))
        for values in product(*(varied.values for varied in variations))
    ]
    if len(cells) > _MOST_CELLS:
        raise InvalidRequest(
            f"these are {len(cells):,} combinations; at most {_MOST_CELLS:,} are replayed at once"
        )
    return cells


def variable_of(key: str) -> str:
    """The environment variable that sets a dotted key.

    >>> variable_of("risk_limits.max_daily_loss")
    'MLOPS__RISK_LIMITS__MAX_DAILY_LOSS'
    """
    return _PREFIX + key.upper().replace(".", "__")
