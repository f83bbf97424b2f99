"""The day as it was: decisions of a live service, as a history to decide again.

What becomes of what an export holds:

============================================  ==============================================
decision of a dry run, or without the gate    left out, counted
batch                                         left out, counted
the same record twice (pages overlap)         once, counted
several decisions about one moment            the first on record; the others are counted
vector without a time                         known when it was decided, to the second
features of the book, filled in by service    taken out again, to be filled in by the replay
features of the book, sent by the caller      left as sent
vector without evidence                       no price: it is decided, nothing is filled
============================================  ==============================================

Two decisions are about one moment when their vectors became known in the same second. The bars of
the history are these moments, five minutes after their start; they need not lie on full five
minutes. The book of a replay is not the book of that day, which is why its features are taken out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from errors import InvalidRequest
from features.bars import BAR_SECONDS
from features.evidence import Evidence
from features.schema import Schema
from features.state_features import without_state
from simulation.history import History
from simulation.recorded import AsItWas, Batch, Recorded, recorded_in

__all__ = ["Export", "LeftOut", "export_of"]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How much of an export is not in its history.

    Attributes:
        dry_runs: decisions that could not be approved.
        not_checked: decisions that no limit was asked about.
        batches: on record.
        repeated: decisions about a moment that an earlier one was about.
        duplicates: records that the export holds more than once.
    """

    dry_runs: int
    not_checked: int
    batches: int
    repeated: int
    duplicates: int


@dataclass(frozen=True, eq=False)
class Export:
    """Decisions of a live service.

    Attributes:
        history: their vectors, oldest first; each of its bars has one.
        as_it_was: start of a bar of the history to the answer that was given then.
        left_out: what is not in it.
    """

    history: History
    as_it_was: Mapping[int, AsItWas]
    left_out: LeftOut


def export_of(
    documents: Iterable[tuple[str, object]],
    *,
    name: str,
    observation_dim: int,
    schema: Schema | None,
) -> Export:
    """Make a history of what exports hold, in whatever order they hold it.

    Args:
        documents: what messages call each, and its decoded JSON.
        name: what messages call all of them.
        observation_dim: numbers in a vector that the models read.
        schema: of these vectors; None when nobody has named their numbers.

    Raises:
        InvalidRequest: a document is no export, a vector is not one of these models, records of
            different books are mixed, some vectors came with the book and others without, or no
            decision is left.
    """
    counted: Counter[str] = Counter()
    known: dict[int, _Moment] = {}
    for where, recorded in _to_replay(documents, counted):
        moment = _moment(recorded, where, observation_dim, schema)
        counted["duplicates"] += _is_known(moment, known)
        known.setdefault(moment.sequence, moment)
    moments = _first_of_each(known.values())
    counted["repeated"] = len(known) - len(moments)
    left_out = LeftOut(**{reason.name: counted[reason.name] for reason in fields(LeftOut)})
    if not moments:
        raise InvalidRequest(
            f"{name} holds no decision to replay: {left_out.dry_runs} dry runs, "
            f"{left_out.not_checked} without risk checks and {left_out.batches} batches are left "
            "out; export days on which the service traded"
        )
    as_it_was = {moment.start: moment.as_it_was for moment in moments}
    return Export(_history(moments, schema), as_it_was, left_out)


@dataclass(frozen=True, slots=True, eq=False)
class _Moment:
    """A decision that is to be made again."""

    where: str
    sequence: int
    start: int
    vector: NDArray[np.float32]
    evidence: Evidence | None
    fill_state: bool
    as_it_was: AsItWas


def _to_replay(
    documents: Iterable[tuple[str, object]], counted: Counter[str]
) -> Iterator[tuple[str, Recorded]]:
    """Decisions that could have traded; counts the others by why they are left out."""
    for place, document in documents:
        for where, recorded in recorded_in(document, place):
            if isinstance(recorded, Batch):
                counted["batches"] += 1
            elif not recorded.enforce_risk_checks:
                counted["not_checked"] += 1
            elif recorded.dry_run:
                counted["dry_runs"] += 1
            else:
                yield where, recorded


def _moment(recorded: Recorded, where: str, observation_dim: int, schema: Schema | None) -> _Moment:
    known_at = recorded.observed_at or recorded.timestamp
    return _Moment(
        where=where,
        sequence=recorded.sequence,
        start=int(known_at.timestamp() // 1) - BAR_SECONDS,
        vector=_vector(recorded.observation, where, observation_dim, schema),
        evidence=_evidence(recorded, where),
        fill_state=recorded.fill_state,
        as_it_was=recorded.as_it_was,
    )


def _vector(
    observation: Sequence[float], where: str, observation_dim: int, schema: Schema | None
) -> NDArray[np.float32]:
    if len(observation) != observation_dim:
        raise InvalidRequest(
            f"{where}: the observation has {len(observation)} numbers, and the models read "
            f"{observation_dim}; replay it with the models that decided then"
        )
    with np.errstate(over="ignore"):
        vector = np.array(observation, dtype=np.float64).astype(np.float32)
    finite = np.isfinite(vector)
    if not finite.all():
        column = int(np.argmin(finite))
        number = f"number {column + 1}" if schema is None else schema.names[column]
        raise InvalidRequest(
            f"{where}: {number} of the observation is {observation[column]}, which is no finite "
            "number within float32; export it again"
        )
    return vector


def _evidence(recorded: Recorded, where: str) -> Evidence | None:
    try:
        return None if recorded.evidence is None else Evidence.from_json(recorded.evidence)
    except InvalidRequest as error:
        raise InvalidRequest(f"{where}: {error.message}; export it again") from None


def _is_known(moment: _Moment, known: Mapping[int, _Moment]) -> bool:
    other = known.get(moment.sequence)
    if other is not None and other.as_it_was.decision_id != moment.as_it_was.decision_id:
        raise InvalidRequest(
            f"{moment.where} and {other.where} are both record {moment.sequence}, with different "
            "decisions; give the export of one book"
        )
    return other is not None


def _first_of_each(moments: Iterable[_Moment]) -> list[_Moment]:
    """In order of time, the first on record of each start."""
    first: dict[int, _Moment] = {}
    for moment in sorted(moments, key=lambda moment: (moment.start, moment.sequence)):
        first.setdefault(moment.start, moment)
    return list(first.values())


def _history(moments: Sequence[_Moment], schema: Schema | None) -> History:
    matrix = np.stack([moment.vector for moment in moments])
    fill_state = moments[0].fill_state
    if schema is not None and schema.state_columns:
        _require_one_kind(moments)
        matrix = without_state(matrix, schema) if fill_state else matrix
    evidence = tuple(moment.evidence for moment in moments)
    closes = [np.nan if known is None else known.close for known in evidence]
    return History(
        starts=np.array([moment.start for moment in moments], dtype=np.int64),
        closes=np.array(closes, dtype=np.float64),
        rows=np.arange(len(moments)),
        matrix=matrix,
        evidence=evidence,
        fill_state=fill_state,
    )


def _require_one_kind(moments: Sequence[_Moment]) -> None:
    first = moments[0]
    other = next((moment for moment in moments if moment.fill_state != first.fill_state), None)
    if other is not None:
        filled, sent = (first, other) if first.fill_state else (other, first)
        raise InvalidRequest(
            f"{sent.where}: its caller sent the features of the book, and those of {filled.where} "
            "were filled in by the service; replay decisions with `fill_state` true and those "
            "with false each by themselves"
        )
