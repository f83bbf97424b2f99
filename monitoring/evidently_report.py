"""Evidently's report, made in a process of its own. The only file that imports evidently.

`python -m monitoring.evidently_report` reads an .npz from its standard input (`current` and
`reference`: rows by features; `names`; `p_threshold`; `share`), and writes one line of JSON and
then the page. Importing Evidently takes four seconds, and a report as long again and 350 MiB: that
belongs into no process that serves.
"""

from __future__ import annotations

import io
import json
import os
import sys
import warnings
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

__all__ = ["main", "make"]


def make(given: BinaryIO) -> tuple[dict[str, Any], str]:
    """The figures and the page.

    Args:
        given: an .npz, as above.
    """
    with np.load(given, allow_pickle=False) as arrays:
        names = [str(name) for name in arrays["names"]]
        current = _dataset(arrays["current"], names)
        reference = _dataset(arrays["reference"], names)
        p_threshold, share = float(arrays["p_threshold"]), float(arrays["share"])
    preset = DataDriftPreset(drift_share=share, num_method="ks", num_threshold=p_threshold)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of constant columns: they are what is looked for
        made = Report([preset]).run(current, reference)
        page: str = made.get_html_str(as_iframe=False)
    counted, *columns = made.dict()["metrics"]
    return {
        "method": "evidently",
        "drifted": int(counted["value"]["count"]),
        "share": float(counted["value"]["share"]),
        "columns": {each["config"]["column"]: float(each["value"]) for each in columns},
    }, page


def _dataset(rows: np.ndarray[Any, Any], names: list[str]) -> Dataset:
    # Without being told, it takes a column of few values for categories.
    definition = DataDefinition(numerical_columns=names)
    return Dataset.from_pandas(pd.DataFrame(rows, columns=names), data_definition=definition)


def main() -> None:
    """Make one report; nothing but the report goes to the standard output."""
    output = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    figures, page = make(io.BytesIO(sys.stdin.buffer.read()))
    with os.fdopen(output, "wb") as written:
        written.write(json.dumps(figures).encode() + b"\n" + page.encode())


if __name__ == "__main__":
    main()
