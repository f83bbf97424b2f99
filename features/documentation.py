"""The feature schema in words: what `docs/features.md` holds."""

from __future__ import annotations

from features.compute import WINDOW
from features.macro_limits import MACRO_SERIES
from features.schema import Feature, Schema

__all__ = ["document", "support_text"]


def document(schema: Schema) -> str:
    """Write a schema as a Markdown page: conventions, then the table of its features.

    `usdcop features schema --markdown` prints it.
    """
    return f"""# Features: {schema.version}

{len(schema.features)} numbers per five-minute bar, in this order. SHA-256 of the schema:
`{schema.hash}`.

This page is printed by `usdcop features schema --markdown`; code and models share its table.

- `c[k]` is the close k bars ago, `c[0]` the bar itself; `r[k] = ln(c[k] / c[k+1])`; `SMA(n)` is
  the mean of the last n closes, `sd(n)` their population standard deviation. Features count bars,
  not minutes: a gap or a night is one step. A full session, called a day here, has 60 bars.
- `EMA(n)` has weight 2/(n+1) and ends after 4n bars, `Wilder(n)` has weight 1/n and ends after 8n
  changes; the weights are scaled to a sum of 1. What is cut off weighs less than 0.034%.
- A bar's timestamp is its start. It is known five minutes later: the clock features are taken
  then. The local date of a bar is that of its start.
- `v[0]` is the last daily value dated before the bar's local date T (T-1 or earlier). There is no
  vector when it is more days older than T than its series allows:
  {_greatest_ages()}.
- A vector is a function of the last {WINDOW} closes, of macro values and of the time, the same to
  the bit whether bars come one by one or all at once. With fewer bars there is no vector; nothing
  is padded.
- Without any macro data (`--allow-missing-macro`) the seven macro features are 0.

| # | name | formula | unit | lookback | source | support |
|---:|---|---|---|---:|---|---|
{_rows(schema)}

Lookback is the number of newest values that a feature reads: bars, or daily values for `T-1`
sources. Support is where the formula can lie, rounded outwards; empty where it has no bounds.
"""


def _greatest_ages() -> str:
    return ", ".join(f"{spec.name} {spec.stale_after_days}" for spec in MACRO_SERIES)


def _rows(schema: Schema) -> str:
    return "\n".join(
        f"| {number} | `{feature.name}` | {feature.formula} | {feature.unit} | "
        f"{feature.lookback} | {feature.source} | {support_text(feature)} |"
        for number, feature in enumerate(schema.features)
    )


def support_text(feature: Feature) -> str:
    """The bounds of a formula in words; empty if it has none.

    >>> support_text(Feature("a", "c[0]", "pesos", 1, "close", low=0.0))
    'from 0'
    >>> support_text(Feature("a", "c[0]", "pesos", 1, "close", low=-1.0, high=2.5))
    '-1 to 2.5'
    """
    if feature.low is None:
        return "" if feature.high is None else f"up to {feature.high:g}"
    return (
        f"from {feature.low:g}" if feature.high is None else f"{feature.low:g} to {feature.high:g}"
    )
