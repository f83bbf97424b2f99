"""Which class of a classifier lies in which column, and which action that is."""

from collections.abc import Sequence
from itertools import permutations
from typing import Never

import numpy as np
from numpy.typing import NDArray

from errors import ModelMismatch
from runners.metadata import ModelMetadata
from runners.signal import ACTIONS

__all__ = ["check_classes", "described_columns", "labels_by_column"]

_TIE_TOLERANCE = 1e-6
_Labels = tuple[str | None, ...]


def described_columns(metadata: ModelMetadata) -> str:
    """What each column of a model's output means, for the person who registers it.

    >>> order = {"algorithm": "CLASSIFIER", "output": "probabilities", "observation_dim": "45",
    ...          "actions": "BUY,HOLD,SELL"}
    >>> described_columns(ModelMetadata.from_mapping(order))
    'column 0 -> BUY, column 1 -> HOLD, column 2 -> SELL'
    >>> described_columns(ModelMetadata.from_mapping({**order, "classes": "long,flat,short"}))
    'column 0 (long) -> BUY, column 1 (flat) -> HOLD, column 2 (short) -> SELL'
    >>> action = {"algorithm": "TD3", "output": "continuous", "observation_dim": "45"}
    >>> described_columns(ModelMetadata.from_mapping(action))
    'below -0.3 -> SELL, above 0.3 -> BUY, between them -> HOLD'
    """
    if metadata.actions is None:
        threshold = metadata.threshold
        return f"below -{threshold} -> SELL, above {threshold} -> BUY, between them -> HOLD"
    labels = [f" ({label})" for label in metadata.classes or ()] or ["", "", ""]
    return ", ".join(
        f"column {column}{label} -> {action}"
        for column, (label, action) in enumerate(zip(labels, metadata.actions, strict=True))
    )


def labels_by_column(labels: Sequence[str], scores: NDArray[np.generic]) -> _Labels:
    """Find the column of each label from what a classifier answered.

    The label is nearly always that of the largest column, but not always: a support vector
    machine calibrates its probabilities apart from its labels. So every column votes, with the
    shares of the labels that were given where it is the largest, and the order wins that has
    most of the votes.

    Args:
        labels: n labels, at most three different ones.
        scores: (n, 3) beside them.

    Returns:
        The label of each column; None where the answers do not tell.

    Raises:
        ModelMismatch: there are more than three labels.

    >>> labels_by_column(["b", "b", "a"], np.array([[1, 0, 0], [2, 0, 0], [0, 0, 1]]))
    ('b', None, 'a')
    """
    seen = sorted(set(labels))
    if len(seen) > 3:
        raise ModelMismatch(f"it answers {len(seen)} labels ({','.join(seen)}) for three columns")
    ranked = np.sort(scores.astype(np.float64), axis=1)
    is_clear = ranked[:, 2] - ranked[:, 1] > _TIE_TOLERANCE  # also false for a NaN
    largest = np.where(is_clear, scores.argmax(axis=1), -1)
    given = np.array(labels)
    shares = np.zeros((4, 3))  # the last row is for labels that were never given
    for column in range(3):
        answers = given[largest == column]
        shares[: len(seen), column] = [np.mean(answers == s) if len(answers) else 0 for s in seen]
    rows = [*range(len(seen)), 3, 3, 3][:3]
    orders = {order: float(shares[order, (0, 1, 2)].sum()) for order in permutations(rows)}
    best = max(orders.values())
    leaders = [order for order, votes in orders.items() if votes > best - _TIE_TOLERANCE]
    agreed = [places[0] if len(set(places)) == 1 else 3 for places in zip(*leaders, strict=True)]
    return tuple(None if row == 3 else seen[row] for row in agreed)


def check_classes(metadata: ModelMetadata, found: _Labels) -> None:
    """Hold a classifier's own labels against the meaning that is declared for its columns.

    Args:
        metadata: of the classifier.
        found: label of each column, None where it is not known; empty for a graph that gives
            no labels, whose columns mean what is declared.

    Raises:
        ModelMismatch: a label contradicts `actions` or `classes`, or labels are words whose
            meaning or order nobody declared.
    """
    if not found:
        return
    if len(found) != 3:
        raise ModelMismatch(
            f"it has {len(found)} classes ({_joined(found)}); it must have three, one for each "
            f"of {','.join(metadata.actions or ())}"
        )
    for column, (label, action) in enumerate(zip(found, metadata.actions or (), strict=True)):
        if _is_action(label) and str(label).upper() != action:
            _refuse(metadata, f"its class in column {column} is {label!r}")
    if metadata.classes is not None:
        _check_declared(metadata.classes, found)
    else:
        _check_undeclared(metadata, found)


def _check_declared(declared: Sequence[str], found: _Labels) -> None:
    for label, expected in zip(found, declared, strict=True):
        if label not in {None, expected}:
            raise ModelMismatch(
                f"classes is {','.join(declared)!r}, but its classes in column order are "
                f"{_joined(found)}"
            )


def _check_undeclared(metadata: ModelMetadata, found: _Labels) -> None:
    known = [label for label in found if label is not None]
    if known and all(map(_is_integer, known)):
        numbers = [int(label) for label in known]
        if numbers != sorted(numbers):
            _refuse(metadata, f"its classes in column order are {_joined(found)}, not ascending")
        return
    if len(known) < 2:  # two of three words leave one place for the third, one leaves two
        _refuse(
            metadata,
            f"its labels prove no column order (found {_joined(found)})"
            "; convert it with a ZipMap, or declare 'classes'",
        )
    if not all(map(_is_action, known)):
        _refuse(metadata, f"its classes in column order are {_joined(found)}")


def _refuse(metadata: ModelMetadata, evidence: str) -> Never:
    raise ModelMismatch(
        f"actions is {','.join(metadata.actions or ())!r}, but {evidence}; say what the columns "
        "mean, column by column: 'actions', and 'classes' for labels other than SELL, HOLD and "
        "BUY, such as 'short,flat,long' beside 'SELL,HOLD,BUY'"
    )


def _is_action(label: str | None) -> bool:
    return label is not None and label.upper() in set(ACTIONS)


def _is_integer(label: str) -> bool:
    return label.isascii() and label.removeprefix("-").isdigit()


def _joined(found: _Labels) -> str:
    return ",".join("?" if label is None else label for label in found)
