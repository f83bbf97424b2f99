"""The report of a drift check: Evidently's, or SciPy's with the reason."""

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from errors import InvalidRequest
from monitoring.drift_report import MadeReport, make_report
from monitoring.limited_process import Limits
from monitoring.plain_report import plain_figures, plain_html

NAMES = ["steady", "shifted", "constant", "</script><b>"]
AMPLE = Limits(120, 1024)


def rows(count: int, seed: int, shift: float = 0.0) -> NDArray[np.float64]:
    made = np.random.default_rng(seed).normal(size=(count, len(NAMES)))
    made[:, 1] += shift
    made[:, 2] = 1.0
    return made


CURRENT, REFERENCE = rows(40, 1, shift=3.0), rows(400, 2)


def report(**changes: Any) -> MadeReport:
    told: dict[str, Any] = {"share": 0.15, "limits": AMPLE, **changes}
    return make_report(CURRENT, REFERENCE, NAMES, **told)


def program(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_evidently_makes_it_with_the_same_figures_as_scipy() -> None:
    made = report()
    plain = plain_figures(CURRENT, REFERENCE, NAMES)
    assert made.why is None
    assert made.figures["method"] == "evidently"
    assert made.figures["drifted"] == plain["drifted"] == 1
    assert made.figures["share"] == pytest.approx(plain["share"])
    assert made.figures["columns"] == pytest.approx(plain["columns"])
    assert "<html" in made.html[:200]


@pytest.mark.parametrize(
    ("text", "limits", "why"),
    [
        ("import nothing_of_this_name", AMPLE, "No module named 'nothing_of_this_name'"),
        ("import time; time.sleep(600)", Limits(1, 1024), "not done within 1 s"),
        ("import numpy; numpy.ones(10**9)", Limits(30, 256), "Unable to allocate"),
        ("import os; os.kill(os.getpid(), 9)", AMPLE, "killed by signal 9"),
        ("print('nothing of use')", AMPLE, "gave no report"),
        ("print('[]')", AMPLE, "gave no report"),
    ],
)
def test_scipy_makes_it_when_evidently_cannot_and_says_why(
    text: str, limits: Limits, why: str
) -> None:
    made = report(program=program(text), limits=limits)
    assert made.figures == plain_figures(CURRENT, REFERENCE, NAMES)
    assert made.figures["method"] == "scipy"
    assert why in str(made.why)
    assert "Evidently made no report" in made.html
    assert "&lt;/script&gt;" in made.html
    assert "</script>" not in made.html


def test_rows_and_names_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="3 names for 4 columns"):
        plain_figures(CURRENT, REFERENCE, NAMES[:3])
    with pytest.raises(InvalidRequest, match="at least one row"):
        plain_figures(CURRENT[:0], REFERENCE, NAMES)


@given(current=st.integers(1, 30), reference=st.integers(1, 30), seed=st.integers(0, 99))
def test_p_values_are_probabilities_whatever_the_rows(
    current: int, reference: int, seed: int
) -> None:
    figures = plain_figures(rows(current, seed), rows(reference, seed + 1), NAMES)
    assert all(0 <= p <= 1 for p in figures["columns"].values())
    assert figures["columns"]["constant"] == 1
    assert figures["share"] == figures["drifted"] / len(NAMES)


def test_the_table_begins_with_what_drifted_most() -> None:
    page = plain_html(plain_figures(CURRENT, REFERENCE, NAMES), 0.05, None)
    assert "1 of 4 features (25%)" in page
    assert page.index("shifted") < page.index("steady")
    assert "Evidently" not in page
