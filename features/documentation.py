"""The feature schema in words: what `docs/features.md` holds."""

from __future__ import annotations

from features.compute import WINDOW
from features.macro import STALE_AFTER_DAYS
from features.schema import Schema

__all__ = ["document"]


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
- `v[0]` is the last daily value dated before the bar's local date T (T-1 or earlier). It may be
  {STALE_AFTER_DAYS} days older than T; beyond that there is no vector.
- A vector is a function of the last {WINDOW} closes, of macro values and of the time, the same to
  the bit whether bars come one by one or all at once. With fewer bars there is no vector; nothing
  is padded.
- Without any macro data (`--allow-missing-macro`) the seven macro features are 0.

| # | name | formula | unit | lookback | source |
|---:|---|---|---|---:|---|
{_rows(schema)}

Lookback is the number of newest values that a feature reads: bars, or daily values for `T-1`
sources.
"""


def _rows(schema: Schema) -> str:
    return "\n".join(
        f"| {number} | `{feature.name}` | {feature.formula} | {feature.unit} | "
        f"{feature.lookback} | {feature.source} |"
        for number, feature in enumerate(schema.features)
    )
