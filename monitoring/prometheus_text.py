"""What a scrape reads, in Prometheus's text format: of all workers, and of how things stand.

The library can add up the files of the workers too. It parses each name anew at every scrape, in
one piece of 20 ms, in which the interpreter decides on nothing. Here what a name means is
remembered, and others have their turn after every few lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import groupby
from json import loads
from pathlib import Path
from time import sleep
from typing import Final, NamedTuple

from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.utils import floatToGoString

from monitoring.gauges import Reading
from monitoring.prometheus_metrics import SUMMED_OVER_WORKERS

__all__ = ["standing_text", "workers_text"]

_FRESH_SECONDS: Final = 10.0
"""A worker writes its gauges every second; one that has not for so long is gone, or hangs."""
_TURN_SECONDS: Final = 0.0001
"""How long others have their turn; to offer it without a pause would be to take it back at once."""


class _Sample(NamedTuple):
    """What the name of a value in a file means; in the order of the text.

    Attributes:
        family: name of the metric, as it is told.
        labels: `name="value"` and so on, without the bound of a bucket.
        bound: of a bucket; below all bounds for what is none.
        name: of the sample.
        meaning: of the metric.
    """

    family: str
    labels: str
    bound: float
    name: str
    meaning: str


def workers_text(folder: Path, now: float) -> Iterator[str]:
    """What all workers counted, and how those that are alive stand.

    Args:
        folder: of the files that they count in.
        now: seconds since 1970.
    """
    for kind in ("counter", "histogram", "gauge"):
        totals: dict[_Sample, float] = {}
        for file in folder.glob(f"{kind}_*.db"):
            _add(totals, kind, file, now)
            sleep(_TURN_SECONDS)
        for family, samples in groupby(sorted(totals), key=lambda sample: sample.family):
            found = list(samples)
            yield _head(family, found[0].meaning, kind)
            of_kind = _histogram_lines if kind == "histogram" else _lines
            yield from of_kind(found, totals)
            sleep(_TURN_SECONDS)


def standing_text(readings: Iterable[Reading]) -> Iterator[str]:
    """How things stand, by the readings of gauges; those of one gauge may be apart."""
    by_gauge: dict[str, list[Reading]] = {}
    for reading in readings:
        by_gauge.setdefault(reading.gauge.name, []).append(reading)
    for name, found in by_gauge.items():
        yield _head(name, found[0].gauge.meaning, "gauge")
        for reading in found:
            labels = _labels(zip(reading.gauge.labels, reading.labels, strict=True))
            yield _line(name, labels, reading.value)


def _add(totals: dict[_Sample, float], kind: str, file: Path, now: float) -> None:
    for key, value, timestamp, _ in MmapedDict.read_all_values_from_file(str(file)):  # type: ignore[no-untyped-call]
        if kind == "gauge" and now - timestamp > _FRESH_SECONDS:
            continue
        sample = _sample(key, kind)
        if kind == "gauge" and sample.family not in SUMMED_OVER_WORKERS:
            totals[sample] = max(totals.get(sample, value), value)
        else:
            totals[sample] = totals.get(sample, 0.0) + value


@cache
def _sample(key: str, kind: str) -> _Sample:
    metric, name, labels, meaning = loads(key)
    bound = float(labels.pop("le", "-inf"))
    family = f"{metric}_total" if kind == "counter" else metric
    return _Sample(family, _labels(labels.items()), bound, name, meaning)


def _labels(labels: Iterable[tuple[str, str]]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _head(family: str, meaning: str, kind: str) -> str:
    return f"# HELP {family} {meaning}\n# TYPE {family} {kind}\n"


def _line(name: str, labels: str, value: float) -> str:
    return f"{name}{{{labels}}} {_number(value)}\n" if labels else f"{name} {_number(value)}\n"


def _number(value: float) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]


def _lines(samples: list[_Sample], totals: dict[_Sample, float]) -> Iterator[str]:
    for sample in samples:
        yield _line(sample.name, sample.labels, totals[sample])


def _histogram_lines(samples: list[_Sample], totals: dict[_Sample, float]) -> Iterator[str]:
    """Each bucket with all below it: in the files each is counted for itself."""
    for labels, series in groupby(samples, key=lambda sample: sample.labels):
        count = 0.0
        for sample in series:
            if sample.bound == float("-inf"):
                yield _line(sample.name, labels, totals[sample])
                continue
            count += totals[sample]
            bound = f'le="{_number(sample.bound)}"'
            yield _line(sample.name, f"{labels},{bound}" if labels else bound, count)
        yield _line(f"{samples[0].family}_count", labels, count)
