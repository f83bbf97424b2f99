"""What callers send and get about the market: bars, macro values, features."""

from typing import Annotated

from pydantic import Field, StrictBool

from api.fields import Answer, Day, Fraction, Name, Number, Price, Request, Text, Time, example
from api.messages import InferenceAnswer

__all__ = ["MacroAnswer", "MacroRequest", "MarketBarsAnswer", "MarketBarsRequest"]

_MOST_BARS = 20_000


class BarMessage(Request):
    """One five-minute bar."""

    time: Time
    """Start of the bar."""
    close: Price
    """Closing price: the one that features are made of."""
    open: Price | None = None
    """Opening price; checked and not kept, like high and low."""
    high: Price | None = None
    """Greatest price."""
    low: Price | None = None
    """Least price."""


class MarketBarsRequest(Request):
    """Complete bars, one or many, in any order; taken whole or not at all."""

    model_config = example(bars=[{"time": "2026-11-24T15:00:00Z", "close": 3642.7}], decide=True)

    bars: Annotated[list[BarMessage], Field(min_length=1, max_length=_MOST_BARS)]
    """The bars. One that is there already is a duplicate and changes nothing."""
    confirm: StrictBool = False
    """A price jump, or another close for a bar that is there, is meant as it stands."""
    decide: StrictBool = False
    """Decide on the newest of these bars, in this answer."""
    model_name: Text | None = None
    """As for one observation; like all fields below only with `decide`."""
    use_ensemble: StrictBool | None = None
    """As for one observation."""
    enforce_risk_checks: StrictBool = True
    """As for one observation."""
    order_id: Name | None = None
    """As for one observation."""
    position: Fraction | None = None
    """As for one observation."""
    capital_usd: Annotated[Number, Field(gt=0, le=1e12)] | None = None
    """As for one observation."""
    dry_run: StrictBool = False
    """As for one observation."""


class MacroRow(Request):
    """Values of one day; any of the series, at least one."""

    date: Day
    """Day of the values, year first; they are known from the next day on."""
    dxy: Number | None = None
    """US dollar index."""
    vix: Number | None = None
    """Implied volatility of the S&P 500, points."""
    embi_col: Number | None = None
    """EMBI spread of Colombia, basis points."""
    brent: Number | None = None
    """Brent crude oil, US dollars."""
    ust10y: Number | None = None
    """Ten-year US Treasury yield, percent."""
    col10y: Number | None = None
    """Ten-year Colombian yield, percent."""
    usdmxn: Number | None = None
    """US dollar in Mexican pesos."""


class MacroRequest(Request):
    """Daily macro values; taken whole or not at all."""

    model_config = example(
        values=[{"date": "2026-11-23", "dxy": 104.2, "vix": 17.4, "usdmxn": 18.61}]
    )

    values: Annotated[list[MacroRow], Field(min_length=1, max_length=_MOST_BARS)]
    """One entry a day, in any order."""
    confirm: StrictBool = False
    """A leap, or another value for a date that is there, is meant as it stands."""


class BarCounts(Answer):
    """What became of the bars that were sent."""

    stored: int
    late: int
    """Older than the newest one, put in their places."""
    duplicate: int
    """There already, with the same close."""
    corrected: int
    """There already with another close, and confirmed."""
    outside_session: int
    """Not of the session: not kept."""
    too_old: int
    """Older than all that is kept: not kept."""


class MarketBarsAnswer(Answer):
    """Bars taken, and what follows from them."""

    received: BarCounts
    bars: int
    """Kept now."""
    needed: int
    """For a vector."""
    missing: int
    """Five-minute steps without a bar, within the sessions of the newest `needed` bars."""
    ready: bool
    """There is a vector for the newest of these bars."""
    not_ready: str | None
    """Why there is none."""
    bar: str | None
    """Start of the newest of these bars that is kept."""
    timestamp: str | None
    """When that bar was known: five minutes after its start. Names its vector."""
    features: dict[str, float] | None
    """The vector by name."""
    degraded: str | None
    """Why bars are kept by this process alone for now."""
    decision: InferenceAnswer | None
    """None unless `decide` was asked for and there is a vector."""


class MacroAnswer(Answer):
    """Macro values taken."""

    added: int
    repeated: int
    """There already, the same."""
    corrected: int
    """There already with another value, and confirmed."""
    newest: dict[str, str | None]
    """Date of the newest value of each series."""
    degraded: str | None
    """As for bars."""
