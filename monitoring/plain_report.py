"""The plain rule by SciPy alone: what is reported when Evidently cannot.

A feature counts as drifted when a two-sample Kolmogorov-Smirnov test gives a p-value below the
threshold. That rule alarms in nearly every hour with nothing wrong, since the rows of an hour are
not independent: it is reported beside the verdict and decides nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from errors import InvalidRequest

__all__ = ["P_THRESHOLD", "plain_figures", "plain_html"]

P_THRESHOLD = 0.05
"""The p-value below which the plain rule calls a feature drifted."""

Rows = NDArray[np.float64]


def plain_figures(
    current: Rows, reference: Rows, names: Sequence[str], p_threshold: float = P_THRESHOLD
) -> dict[str, Any]:
    """Each feature's p-value, and how many are below the threshold.

    Args:
        current: rows by features, finite; at least one row.
        reference: the same of the past.
        names: of the features, in the order of the columns.
        p_threshold: between 0 and 1.

    Raises:
        InvalidRequest: the shapes do not fit together, or there are no rows.

    >>> rows = np.arange(40.0).reshape(20, 2)
    >>> plain_figures(rows + [0, 100], rows, ["same", "shifted"])["drifted"]
    1
    """
    if not len(current) or not len(reference):
        raise InvalidRequest("a comparison needs at least one row of each")
    if {current.shape[1], reference.shape[1]} != {len(names)}:
        raise InvalidRequest(
            f"there are {len(names)} names for {current.shape[1]} columns, and "
            f"{reference.shape[1]} of the reference"
        )
    with warnings.catch_warnings():
        # It says when it takes the approximation of large samples: that is what is wanted then.
        warnings.simplefilter("ignore")
        columns = {
            name: float(ks_2samp(reference[:, place], current[:, place]).pvalue)
            for place, name in enumerate(names)
        }
    drifted = sum(p < p_threshold for p in columns.values())
    share = drifted / len(columns) if columns else 0.0
    return {"method": "scipy", "drifted": drifted, "share": share, "columns": columns}


def plain_html(figures: Mapping[str, Any], p_threshold: float, why: str | None) -> str:
    """The figures as a page of their own, without anything from elsewhere.

    Args:
        figures: of `plain_figures`.
        p_threshold: that they were made with.
        why: why Evidently did not make this report; None when nobody asked it to.
    """
    columns: Mapping[str, float] = figures["columns"]
    rows = "".join(
        f"<tr{' class=drifted' if p < p_threshold else ''}><td>{escape(name)}</td>"
        f"<td>{p:.4g}</td><td>{'drifted' if p < p_threshold else ''}</td></tr>"
        for name, p in sorted(columns.items(), key=lambda column: column[1])
    )
    reason = "" if why is None else f"<p>Evidently made no report: {escape(why)}.</p>"
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Plain rule</title>'
        f"<style>{_STYLE}</style></head><body><h2>Plain rule, by SciPy</h2>{reason}"
        f"<p>{figures['drifted']} of {len(columns)} features ({figures['share']:.0%}) have a "
        f"Kolmogorov-Smirnov p-value below {p_threshold:g}.</p>"
        f"<table><tr><th>Feature</th><th>p-value</th><th></th></tr>{rows}</table></body></html>"
    )


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:1.5rem;color:#1c2530}"
    "table{border-collapse:collapse}th,td{text-align:left;padding:.25rem 1.2rem .25rem 0;"
    "border-bottom:1px solid #e3e7ec;font-variant-numeric:tabular-nums}"
    ".drifted td{color:#9a3412}"
)
