"""The report of a drift check: Evidently's, or SciPy's when Evidently cannot.

Evidently runs in a process of its own within limits. Whatever becomes of it, there is a report,
and it says which one it is and why.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from monitoring.limited_process import Limits, run_limited
from monitoring.plain_report import P_THRESHOLD, plain_figures, plain_html

__all__ = ["EVIDENTLY", "MadeReport", "make_report"]

EVIDENTLY: Final = (sys.executable, "-m", "monitoring.evidently_report")
"""The program that makes Evidently's report."""

Rows = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MadeReport:
    """A report.

    Attributes:
        figures: `method` (`evidently` or `scipy`), `drifted` features, their `share`, and the
            p-value of each of the `columns`.
        html: a page of its own.
        why: why it is not Evidently's, in one line; None when it is.
    """

    figures: dict[str, Any]
    html: str
    why: str | None


def make_report(
    current: Rows,
    reference: Rows,
    names: Sequence[str],
    *,
    share: float,
    limits: Limits,
    p_threshold: float = P_THRESHOLD,
    program: Sequence[str] = EVIDENTLY,
) -> MadeReport:
    """Compare rows with those of the past; blocks for seconds.

    Args:
        current: rows by features, finite; at least one row.
        reference: the same of the past.
        names: of the features.
        share: of drifted features, above which Evidently's page says that the data drifted.
        limits: of the process that Evidently runs in.
        p_threshold: below which a feature counts as drifted.
        program: that makes Evidently's report.

    Raises:
        InvalidRequest: the shapes do not fit together, or there are no rows.
    """
    figures = plain_figures(current, reference, names, p_threshold)
    arrays = io.BytesIO()
    np.savez(
        arrays,
        current=current,
        reference=reference,
        names=np.array(names, dtype=np.str_),
        p_threshold=np.float64(p_threshold),
        share=np.float64(share),
    )
    try:
        ended = run_limited(program, limits, given=arrays.getvalue())
        why = ended.failure
        if why is None:
            return _read(ended.output)
    except OSError as error:
        why = f"its process could not be started: {error.strerror}"
    except (ValueError, KeyError, TypeError):
        why = "its process gave no report"
    return MadeReport(figures, plain_html(figures, p_threshold, why), why)


def _read(output: bytes) -> MadeReport:
    first, _, page = output.partition(b"\n")
    told = json.loads(first)
    figures = {name: told[name] for name in ("method", "drifted", "share", "columns")}
    return MadeReport(figures, page.decode(), None)
