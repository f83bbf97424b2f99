"""What a graph takes and gives, held against what its metadata says."""

from collections.abc import Sequence
from dataclasses import dataclass

from errors import ModelMismatch
from runners.decoder import OUTPUT_ROLES
from runners.metadata import ModelMetadata, OutputKind

__all__ = ["TensorSpec", "check_input", "label_output", "select_outputs"]

_NUMBERS = ("tensor(float)", "tensor(double)")
_LABELS = ("tensor(string)", "tensor(int64)", "tensor(int32)")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a graph.

    Args:
        name: its name in the graph.
        kind: onnxruntime's type, e.g. `tensor(float)` or `seq(map(int64,tensor(float)))`.
        shape: length of each axis, None where it is free; empty when the graph does not say.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...]

    @property
    def is_class_map(self) -> bool:
        """Whether it is a ZipMap: one dictionary of class probabilities per row."""
        return self.kind.startswith("seq(map(")

    def __str__(self) -> str:
        axes = ", ".join("n" if axis is None else str(axis) for axis in self.shape)
        return f"{self.name!r} {self.kind} ({axes})"


def check_input(inputs: Sequence[TensorSpec], metadata: ModelMetadata) -> None:
    """Make sure that the graph reads any number of observations of the right length.

    Raises:
        ModelMismatch: not one float32 input (n, observation_dim) with n free.
    """
    wanted = f"one tensor(float) (n, {metadata.observation_dim}) with n free"
    found = "; ".join(str(spec) for spec in inputs) or "nothing"
    if len(inputs) != 1 or inputs[0].kind != "tensor(float)":
        raise ModelMismatch(f"the graph reads {found}; it must read {wanted}")
    shape = inputs[0].shape
    if len(shape) != 2 or shape[1] != metadata.observation_dim:
        raise ModelMismatch(
            f"the graph reads {found}; with observation_dim {metadata.observation_dim} it must "
            f"read {wanted}"
        )
    if shape[0] is not None:
        raise ModelMismatch(
            f"the graph reads {found}: its batch axis is fixed; export it with a dynamic one, "
            f"so that it reads {wanted}"
        )


def select_outputs(outputs: Sequence[TensorSpec], metadata: ModelMetadata) -> tuple[str, ...]:
    """Find the outputs that the decoder needs.

    A lone output is taken whatever it is called; among several, the one called as its role is,
    and of a classifier the one that is not the label.

    Args:
        outputs: of the graph.
        metadata: of the model.

    Returns:
        Names in the order of `OUTPUT_ROLES` of the kind.

    Raises:
        ModelMismatch: an output is missing, ambiguous, or has another shape than the kind has.
    """
    selected = tuple(
        _find(outputs, role, metadata.output) for role in OUTPUT_ROLES[metadata.output]
    )
    width = 1 if metadata.output.is_continuous else 3
    for spec in selected:
        _check_output(spec, width, metadata.output)
    return tuple(spec.name for spec in selected)


def label_output(outputs: Sequence[TensorSpec]) -> str | None:
    """The name of a classifier's label, a word or a whole number; None when there is none."""
    for spec in outputs:
        if spec.kind in _LABELS:
            return spec.name
    return None


def _find(outputs: Sequence[TensorSpec], role: str, kind: OutputKind) -> TensorSpec:
    named = [spec for spec in outputs if spec.name == role]
    usable = [spec for spec in outputs if spec.kind in _NUMBERS or spec.is_class_map]
    if named:
        return named[0]
    if len(usable) == 1 and len(OUTPUT_ROLES[kind]) == 1:
        return usable[0]
    found = "; ".join(str(spec) for spec in outputs) or "nothing"
    raise ModelMismatch(f"the graph gives {found}; output {kind.value!r} needs one named {role!r}")


def _check_output(spec: TensorSpec, width: int, kind: OutputKind) -> None:
    if spec.is_class_map:
        if kind.is_continuous:
            raise ModelMismatch(f"the graph gives {spec}; output {kind.value!r} is no dictionary")
        return
    if spec.kind not in _NUMBERS:
        raise ModelMismatch(f"the graph gives {spec}; it must be {' or '.join(_NUMBERS)}")
    if not spec.shape:
        return  # the graph does not say; evaluating it will
    lengths = spec.shape[1:] or (1,)
    if len(spec.shape) > 2 or lengths[0] not in (None, width):
        raise ModelMismatch(f"the graph gives {spec}; output {kind.value!r} must be (n, {width})")
    if spec.shape[0] is not None:
        raise ModelMismatch(
            f"the graph gives {spec}: its batch axis is fixed; export it with a dynamic one"
        )
