"""What a scrape is told of how things stand: computed when it asks, by whoever it asks.

Nothing here is added up over workers or remembered from one scrape to the next: what stands in the
book is read from the book, so that every worker and every replica says the same.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Gauge", "Reading"]


class Gauge(NamedTuple):
    """Something that can be read off at any time.

    Attributes:
        name: of the metric.
        meaning: in words; units are part of the name.
        labels: names of its labels; what they hold is one of a few words.
    """

    name: str
    meaning: str
    labels: tuple[str, ...] = ()

    def reads(self, value: float, *labels: str) -> Reading:
        """A reading of it.

        >>> Gauge("usdcop_open_orders", "Open orders").reads(2).value
        2
        """
        return Reading(self, value, labels)


class Reading(NamedTuple):
    """What a gauge reads now, with the values of its labels."""

    gauge: Gauge
    value: float
    labels: tuple[str, ...] = ()
