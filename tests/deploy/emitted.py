"""What the code emits, read from the code: name, kind, labels, meaning of every metric."""

from __future__ import annotations

from typing import NamedTuple

from prometheus_client import Counter, Gauge, Histogram

from monitoring import prometheus_metrics
from monitoring.book_gauges import BOOK_GAUGES
from monitoring.service_gauges import SERVICE_GAUGES

__all__ = ["Emitted", "emitted", "series_names"]


class Emitted(NamedTuple):
    """One metric."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


def emitted() -> dict[str, Emitted]:
    """All metrics by name."""
    counted = [_counted(found) for found in vars(prometheus_metrics).values() if _is_metric(found)]
    gauges = [
        Emitted(gauge.name, "gauge", gauge.labels, gauge.meaning)
        for gauge in (*BOOK_GAUGES, *SERVICE_GAUGES)
    ]
    found = {metric.name: metric for metric in (*counted, *gauges)}
    assert len(found) == len(counted) + len(gauges)
    return found


def series_names() -> dict[str, frozenset[str]]:
    """Names that a query may ask for, with the labels that their series have."""
    names: dict[str, frozenset[str]] = {}
    for metric in emitted().values():
        labels = frozenset(metric.labels)
        if metric.kind == "histogram":
            names[f"{metric.name}_bucket"] = labels | {"le"}
            names[f"{metric.name}_sum"] = names[f"{metric.name}_count"] = labels
        else:
            names[metric.name] = labels
    return names


def _is_metric(found: object) -> bool:
    return isinstance(found, Counter | Histogram | Gauge)


def _counted(metric: Counter | Histogram | Gauge) -> Emitted:
    name = f"{metric._name}_total" if metric._type == "counter" else metric._name
    return Emitted(name, metric._type, tuple(metric._labelnames), metric._documentation)
