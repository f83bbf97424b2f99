"""Reads the JSON of a reference, and says what is wrong with it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errors import InvalidRequest

__all__ = ["Reader"]


class Reader:
    """One JSON object whose keys are checked as they are read.

    Args:
        value: the object.
        where: its name in messages.

    Raises:
        InvalidRequest: it is no object, as every method when a value is not what it should be.
    """

    def __init__(self, value: object, where: str = "the reference") -> None:
        if not isinstance(value, Mapping):
            raise InvalidRequest(f"{where} must be a JSON object, not {type(value).__name__}")
        self._value = value
        self._where = where

    def require(self, key: str, wanted: int) -> None:
        """Stop unless the number is the one wanted."""
        found = self._get(key)
        if found != wanted or isinstance(found, bool):
            raise InvalidRequest(
                f"{self._where} has {key} {found!r}; this version reads {key} {wanted}: "
                "build the reference again"
            )

    def text(self, key: str) -> str:
        """A text that is not empty."""
        found = self._get(key)
        if not isinstance(found, str) or not found:
            raise self._wrong(key, "a text")
        return found

    def count(self, key: str) -> int:
        """A whole number above 0."""
        found = self._get(key)
        if not isinstance(found, int) or isinstance(found, bool) or found < 1:
            raise self._wrong(key, "a whole number above 0")
        return found

    def names(self, key: str) -> tuple[str, ...]:
        """Distinct texts, one or more."""
        found = self._get(key)
        if (
            not isinstance(found, list)
            or not found
            or not all(isinstance(name, str) for name in found)
            or len(set(found)) != len(found)
        ):
            raise self._wrong(key, "a list of distinct names")
        return tuple(found)

    def optional(self, key: str) -> object:
        """What is there, None for null; the key must be there."""
        return self._get(key)

    def inner(self, key: str) -> Reader:
        """An object within this one."""
        return Reader(self._get(key), f"{key} of {self._where}")

    def numbers(self, key: str, size: int, *, positive: bool = False) -> NDArray[np.float64]:
        """So many finite numbers, read-only."""
        return _locked(self._finite(key, self._get(key), size, positive=positive))

    def square(self, key: str, size: int) -> NDArray[np.float64]:
        """A matrix of finite numbers, read-only."""
        found = self._get(key)
        if not isinstance(found, list) or len(found) != size:
            raise self._wrong(key, f"{size} lists of {size} numbers")
        return _locked([self._finite(key, row, size) for row in found])

    def increasing_pair(self, key: str) -> tuple[float, float]:
        """Two finite numbers, the second one greater."""
        return self._pair(key, self._get(key))

    def ranges(self, key: str) -> dict[str, tuple[float, float]]:
        """Names, each with its least and greatest value."""
        found = self._get(key)
        if not isinstance(found, Mapping):
            raise self._wrong(key, "an object of names and ranges")
        return {str(name): self._pair(f"{key}.{name}", pair) for name, pair in found.items()}

    def _pair(self, key: str, found: object) -> tuple[float, float]:
        low, high = self._finite(key, found, 2)
        if not low < high:
            raise self._wrong(key, "a lesser and a greater number")
        return low, high

    def _finite(self, key: str, found: object, size: int, *, positive: bool = False) -> list[float]:
        if not isinstance(found, list) or len(found) != size:
            has = len(found) if isinstance(found, list) else "none"
            raise self._wrong(key, f"{size} numbers, but has {has}")
        for number in found:
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise self._wrong(key, f"{size} numbers, but has {number!r}")
            # A whole number may be too large to be made a float of.
            if not abs(number) <= sys.float_info.max or (positive and number <= 0):
                wanted = "above 0" if positive else "finite"
                raise self._wrong(key, f"{size} numbers, all {wanted}, but has {number!r}")
        return [float(number) for number in found]

    def _get(self, key: str) -> Any:
        if key not in self._value:
            raise InvalidRequest(f"{self._where} lacks {key!r}; build the reference again")
        return self._value[key]

    def _wrong(self, key: str, wanted: str) -> InvalidRequest:
        return InvalidRequest(f"{self._where} must have {wanted} in {key!r}")


def _locked(values: list[Any]) -> NDArray[np.float64]:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array
