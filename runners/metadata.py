"""What a model says about itself: read from, and written to, an ONNX file's flat metadata.

======================  ========================================================================
key                     value
======================  ========================================================================
``algorithm``           PPO, A2C, SAC, TD3, DQN or CLASSIFIER
``output``              what the numbers that leave the graph mean: an `OutputKind`
``observation_dim``     length of the vector that the model reads
``actions``             the model's own column order, like ``HOLD,BUY,SELL``; discrete models only
``classes``             a classifier's own labels in column order, like ``flat,long,short``, when
                        they are other words than SELL, HOLD and BUY; optional
``threshold``           least size of an action that trades; continuous models only, default 0.30
``temperature``         divides Q-values before the softmax, above 0; Q-values only, default 1
``feature_schema``      hash of the feature schema that the model was trained on; optional
``reference``           SHA-256 of the reference profile beside the model; optional
======================  ========================================================================

Other producers write keys of their own into the same map; those are left alone, unless one is
so close to a key above that it must be a misspelling.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from typing import TypeVar

from config.settings import Algorithm
from errors import ModelMismatch
from runners.signal import ACTIONS, Signal

__all__ = [
    "DEFAULT_TEMPERATURE",
    "DEFAULT_THRESHOLD",
    "METADATA_KEYS",
    "ModelMetadata",
    "OutputKind",
    "parse_actions",
]

Choice = TypeVar("Choice", bound=StrEnum)

DEFAULT_THRESHOLD = 0.30
"""Least size of a continuous action, as a fraction of the full position, that trades."""

DEFAULT_TEMPERATURE = 1.0
"""Q-values are divided by this before the softmax."""

METADATA_KEYS = (
    "algorithm",
    "output",
    "observation_dim",
    "actions",
    "classes",
    "threshold",
    "temperature",
    "feature_schema",
    "reference",
)


class OutputKind(StrEnum):
    """What the numbers that leave the graph mean."""

    PROBABILITIES = "probabilities"
    """(n, 3): one probability per action."""
    LOGITS = "logits"
    """(n, 3): unnormalised log-probabilities."""
    Q_VALUES = "q_values"
    """(n, 3): one value estimate per action."""
    CONTINUOUS = "continuous"
    """(n, 1): the action itself, in [-1, 1], without a deviation."""
    GAUSSIAN = "gaussian"
    """Two outputs (n, 1): mean and standard deviation of the action."""
    SQUASHED_GAUSSIAN = "squashed_gaussian"
    """Two outputs (n, 1): mean and standard deviation before the tanh that bounds the action."""
    LABEL_AND_PROBABILITIES = "label_and_probabilities"
    """A classifier's pair: the label, and (n, 3) probabilities or a ZipMap of them."""

    @property
    def is_continuous(self) -> bool:
        """Whether the model decides on one signed number instead of three actions."""
        return self in _CONTINUOUS_KINDS


_CONTINUOUS_KINDS = frozenset(
    {OutputKind.CONTINUOUS, OutputKind.GAUSSIAN, OutputKind.SQUASHED_GAUSSIAN}
)


def parse_actions(text: str) -> tuple[Signal, ...]:
    """Read a column order.

    Args:
        text: the three actions, comma-separated, in the model's own column order.

    Raises:
        ModelMismatch: not each of SELL, HOLD and BUY exactly once.

    >>> [action.value for action in parse_actions("HOLD, BUY, SELL")]
    ['HOLD', 'BUY', 'SELL']
    """
    names = [name.strip() for name in text.split(",")]
    if sorted(names) != sorted(ACTIONS):
        raise ModelMismatch(
            f"metadata key 'actions' is {text!r}; it must name SELL, HOLD and BUY once each, "
            "in the model's own column order, for example 'SELL,HOLD,BUY'"
        )
    return tuple(Signal(name) for name in names)


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What a model says about itself, complete and consistent.

    Args:
        algorithm: how the model was trained.
        output: what its outputs mean.
        observation_dim: length of the vector that it reads.
        actions: its own column order; None for a continuous model.
        classes: a classifier's labels, column by column beside `actions`; None when they are
            SELL, HOLD and BUY themselves, or numbers, or not in the graph.
        threshold: least size of an action that trades, in (0, 1); None for a discrete model.
        temperature: divides Q-values, above 0; None for other outputs.
        feature_schema: hash of the schema that it was trained on, if it says so.
        reference: SHA-256 of its reference profile, 64 hexadecimal digits; None without one.

    Raises:
        ModelMismatch: a value is out of range, or missing, or has no meaning for this output.
    """

    algorithm: Algorithm
    output: OutputKind
    observation_dim: int
    actions: tuple[Signal, ...] | None = None
    threshold: float | None = None
    temperature: float | None = None
    feature_schema: str | None = None
    classes: tuple[str, ...] | None = None
    reference: str | None = None
    columns: tuple[int, ...] = field(init=False, repr=False, compare=False, default=())
    """Where SELL, HOLD and BUY lie among the model's own columns; empty when continuous."""

    def __post_init__(self) -> None:
        self._check_observation_dim()
        self._fill_actions()
        self._check_classes()
        self._fill_threshold()
        self._fill_temperature()

    @classmethod
    def from_mapping(cls, values: Mapping[str, str]) -> "ModelMetadata":
        """Read the flat map of an ONNX file (its `custom_metadata_map`).

        Raises:
            ModelMismatch: a key is missing, misspelt or has a value that is not allowed; the
                message names the key, the value and what is allowed.
        """
        _refuse_misspellings(values)
        actions = values.get("actions")
        classes = values.get("classes")
        return cls(
            algorithm=_choice(values, "algorithm", Algorithm),
            output=_choice(values, "output", OutputKind),
            observation_dim=_whole_number(values, "observation_dim"),
            actions=None if actions is None else parse_actions(actions),
            threshold=_number(values, "threshold"),
            temperature=_number(values, "temperature"),
            feature_schema=values.get("feature_schema") or None,
            reference=values.get("reference") or None,
            classes=None if classes is None else tuple(map(str.strip, classes.split(","))),
        )

    def to_mapping(self) -> dict[str, str]:
        """The flat map again; `from_mapping` of it equals this."""
        values = {
            "algorithm": self.algorithm.value,
            "output": self.output.value,
            "observation_dim": str(self.observation_dim),
        }
        if self.actions is not None:
            values["actions"] = ",".join(self.actions)
        if self.classes is not None:
            values["classes"] = ",".join(self.classes)
        if self.threshold is not None:
            values["threshold"] = repr(self.threshold)
        if self.temperature is not None:
            values["temperature"] = repr(self.temperature)
        if self.feature_schema is not None:
            values["feature_schema"] = self.feature_schema
        if self.reference is not None:
            values["reference"] = self.reference
        return values

    def _check_observation_dim(self) -> None:
        if self.observation_dim < 1:
            raise ModelMismatch(
                f"metadata key 'observation_dim' is {self.observation_dim}; it must be at least 1"
            )

    def _fill_actions(self) -> None:
        if self.output.is_continuous:
            if self.actions is not None:
                raise ModelMismatch(
                    f"metadata key 'actions' is {','.join(self.actions)!r}, but output "
                    f"{self.output.value!r} is one signed number: below -threshold is SELL, "
                    "above it BUY; leave 'actions' out"
                )
            return
        if self.actions is None:
            raise ModelMismatch(
                f"metadata key 'actions' is missing: output {self.output.value!r} has three "
                "columns and their order is never guessed; say for example 'SELL,HOLD,BUY'"
            )
        actions = parse_actions(",".join(self.actions))
        object.__setattr__(self, "columns", tuple(actions.index(action) for action in ACTIONS))

    def _check_classes(self) -> None:
        if self.classes is None:
            return
        text = ",".join(self.classes)
        if self.algorithm is not Algorithm.CLASSIFIER or self.actions is None:
            raise ModelMismatch(
                f"metadata key 'classes' is {text!r}, but it is for classifiers only and algorithm "
                f"is {self.algorithm}; leave it out"
            )
        if len(set(self.classes)) != 3 or len(text.split(",")) != 3 or "" in self.classes:
            raise ModelMismatch(
                f"metadata key 'classes' is {text!r}; it must name the three labels of the "
                "classifier once each, in column order, for example 'flat,long,short'"
            )
        for label, action in zip(self.classes, self.actions, strict=True):
            if label.upper() in set(ACTIONS) and label.upper() != action:
                raise ModelMismatch(
                    f"metadata keys 'classes' {text!r} and 'actions' {','.join(self.actions)!r} "
                    f"disagree: column by column, {label} would be {action}"
                )

    def _fill_threshold(self) -> None:
        if not self.output.is_continuous:
            self._refuse("threshold", self.threshold, "continuous outputs")
            return
        threshold = DEFAULT_THRESHOLD if self.threshold is None else self.threshold
        if not 0.0 < threshold < 1.0:
            raise ModelMismatch(
                f"metadata key 'threshold' is {threshold!r}; it must lie between 0 and 1"
            )
        object.__setattr__(self, "threshold", threshold)

    def _fill_temperature(self) -> None:
        if self.output is not OutputKind.Q_VALUES:
            self._refuse("temperature", self.temperature, "Q-values")
            return
        temperature = DEFAULT_TEMPERATURE if self.temperature is None else self.temperature
        if not (math.isfinite(temperature) and temperature > 0.0):
            raise ModelMismatch(
                f"metadata key 'temperature' is {temperature!r}; it must be a number above 0"
            )
        object.__setattr__(self, "temperature", temperature)

    def _refuse(self, key: str, value: float | None, meaning: str) -> None:
        if value is not None:
            raise ModelMismatch(
                f"metadata key {key!r} is {value!r}, but it is for {meaning} only and output is "
                f"{self.output.value!r}; leave it out"
            )


def _refuse_misspellings(values: Mapping[str, str]) -> None:
    for key in values:
        if key in METADATA_KEYS:
            continue
        close: Sequence[str] = get_close_matches(key.lower(), METADATA_KEYS, n=1, cutoff=0.85)
        if close:
            raise ModelMismatch(
                f"metadata key {key!r} (value {values[key]!r}) is not known; "
                f"did you mean {close[0]!r}?"
            )


def _choice(values: Mapping[str, str], key: str, kind: type[Choice]) -> Choice:
    allowed = ", ".join(kind)
    text = values.get(key)
    if text is None:
        raise ModelMismatch(f"metadata key {key!r} is missing; it must be one of {allowed}")
    try:
        return kind(text)
    except ValueError:
        raise ModelMismatch(
            f"metadata key {key!r} is {text!r}; it must be one of {allowed}"
        ) from None


def _whole_number(values: Mapping[str, str], key: str) -> int:
    text = values.get(key)
    if text is None:
        raise ModelMismatch(f"metadata key {key!r} is missing; it must be a whole number above 0")
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise ModelMismatch(
            f"metadata key {key!r} is {text!r}; it must be a whole number above 0, such as 45"
        )
    return int(text)


def _number(values: Mapping[str, str], key: str) -> float | None:
    text = values.get(key)
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        raise ModelMismatch(f"metadata key {key!r} is {text!r}; it must be a number") from None
