"""A record of vectors as JSON values, for a document or a reference profile."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from errors import InvalidRequest
from features.macro import MacroValue
from monitoring.drift.recorded import Recorded
from monitoring.drift.volatility_rule import SizedSession

__all__ = ["decoded_record", "encoded_record", "sample_of"]

FORMAT: Final = 1


def encoded_record(recorded: Recorded) -> dict[str, Any]:
    """As JSON values; `decoded_record` gives the same back."""
    return {
        "format": FORMAT,
        "schema": recorded.schema,
        "sequence": recorded.sequence,
        "hash": recorded.hash,
        "width": recorded.matrix.shape[1],
        "starts": _packed(recorded.starts, "<i8"),
        "matrix": _packed(recorded.matrix, "<f4"),
        "timed": _packed(recorded.timed, "|b1"),
        "signals": _packed(recorded.signals, "|i1"),
        "macro": {
            str(day): {name: [known.day, known.value] for name, known in values.items()}
            for day, values in recorded.macro.items()
        },
        "revised": sorted(recorded.revised),
        "faulty": sorted(recorded.faulty),
        "returns": {
            "days": [one.day for one in recorded.returns],
            "lengths": [len(one.slots) for one in recorded.returns],
            "slots": _packed(_joined([one.slots for one in recorded.returns]), "<i4"),
            "absolute": _packed(_joined([one.absolute for one in recorded.returns]), "<f4"),
        },
    }


def decoded_record(value: Any) -> Recorded:
    """Read what `encoded_record` wrote.

    Raises:
        InvalidRequest: it is not that.
    """
    try:
        return _read(value)
    except (KeyError, TypeError, ValueError, AttributeError, zlib.error) as error:
        raise InvalidRequest(f"it is no record of vectors: {error!r}") from error


def sample_of(profile: Any, name: object = "the reference") -> Recorded | None:
    """What drift checks take from a reference profile; None from one that has nothing for them.

    Args:
        profile: its JSON values.
        name: of the profile, for messages.

    Raises:
        InvalidRequest: what it has for them is damaged.
    """
    sample = profile.get("sample") if isinstance(profile, Mapping) else None
    if sample is None:
        return None
    try:
        return decoded_record(sample)
    except InvalidRequest as error:
        raise InvalidRequest(f"the sample of {name}: {error.message}") from error


def _read(value: Mapping[str, Any]) -> Recorded:
    if value["format"] != FORMAT:
        raise ValueError(f"format {value['format']} is not {FORMAT}")
    starts = _unpacked(value["starts"], "<i8")
    rows, width = len(starts), int(value["width"])
    record = Recorded(
        schema=str(value["schema"]),
        sequence=int(value["sequence"]),
        hash=str(value["hash"]),
        starts=starts,
        matrix=_unpacked(value["matrix"], "<f4").reshape(rows, width),
        timed=_unpacked(value["timed"], "|b1"),
        signals=_unpacked(value["signals"], "|i1"),
        macro={
            int(day): {name: MacroValue(int(at), float(v)) for name, (at, v) in known.items()}
            for day, known in value["macro"].items()
        },
        revised=frozenset(map(int, value["revised"])),
        faulty=frozenset(map(int, value["faulty"])),
        returns=tuple(_sized_sessions(value["returns"])),
    )
    if len(record.timed) != rows or len(record.signals) != rows:
        raise ValueError("its columns have different lengths")
    if not np.isfinite(record.matrix).all() or (np.diff(starts) <= 0).any():
        raise ValueError("its rows are out of order, or no finite numbers")
    return record


def _sized_sessions(value: Mapping[str, Any]) -> Iterable[SizedSession]:
    slots, absolute = _unpacked(value["slots"], "<i4"), _unpacked(value["absolute"], "<f4")
    end = 0
    for day, length in zip(value["days"], value["lengths"], strict=True):
        begin, end = end, end + int(length)
        yield SizedSession(
            int(day), slots[begin:end].astype(np.int64), absolute[begin:end].astype(np.float64)
        )


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.zeros(0)


def _packed(array: NDArray[Any], kind: str) -> str:
    return base64.b64encode(zlib.compress(array.astype(kind).tobytes())).decode()


def _unpacked(text: str, kind: str) -> NDArray[Any]:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=kind).copy()
