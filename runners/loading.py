"""From stored bytes to a runner, refusing by name whatever does not fit."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from config.settings import Algorithm, ModelSettings
from errors import InferenceFault, ModelMismatch, RequestError
from features.reference import Reference
from features.schema import USDCOP_M5
from runners.algorithms import DECODERS
from runners.classes import check_classes, labels_by_column
from runners.declaration import reconcile
from runners.layout import check_input, label_output, select_outputs
from runners.metadata import ModelMetadata
from runners.runner import ModelIdentity, Runner
from runners.session import OnnxSession

__all__ = ["ModelSource", "inspect_model", "load_runner", "read_reference"]


class ModelSource(Protocol):
    """A model version as the model store keeps it."""

    @property
    def name(self) -> str:
        """Name in the store."""
        ...

    @property
    def version(self) -> str:
        """Version in the store."""
        ...

    @property
    def sha256(self) -> str:
        """Of the ONNX file."""
        ...

    @property
    def metadata(self) -> ModelMetadata:
        """What was stored when it was registered."""
        ...

    def content(self) -> bytes:
        """The ONNX file, proven to have that sha256; ModelError when it has not."""
        ...

    def reference(self) -> bytes | None:
        """Its reference profile, proven to be that of the metadata; None when it has none."""
        ...


def load_runner(
    settings: ModelSettings,
    source: ModelSource,
    *,
    feature_schema: str | None,
    timer: Callable[[], int] = time.perf_counter_ns,
) -> Runner:
    """Load, check and warm up one model.

    Args:
        settings: what the configuration says about it.
        source: the version to load.
        feature_schema: hash of the schema that the service computes; None skips the comparison.
        timer: a monotonic clock in nanoseconds, for the latencies.

    Raises:
        ModelMismatch: configuration, store, file and graph do not agree; one line that names
            the model and the first disagreement.
        ModelError: the file is corrupt, or no ONNX graph.
    """
    tag = f"{source.name}:{source.version}"
    try:
        _check_settings(settings, source.metadata, feature_schema)
        session = OnnxSession(source.content(), source=f"model {tag}")
        metadata = reconcile(
            session.custom_metadata, source.metadata.to_mapping(), declared_by="the model store"
        )
        runner = _build(
            ModelIdentity(settings.name, source.version, source.sha256, settings.weight),
            metadata,
            session,
            timer,
        )
        profile = source.reference()
        if profile is not None:
            runner.reference = _served_reference(profile, metadata, feature_schema)
    except ModelMismatch as mismatch:
        raise ModelMismatch(f"model {tag}: {mismatch}") from mismatch
    return runner


def read_reference(content: bytes, metadata: ModelMetadata, *, source: str) -> Reference:
    """Read what a model knows.

    Args:
        content: of a reference profile, as `usdcop reference build` writes it.
        metadata: of the model.
        source: what to call the profile in errors.

    Raises:
        ModelMismatch: it is none, or of another feature schema than the model.
    """
    try:
        reference = Reference.from_json(json.loads(content))
    except (ValueError, RecursionError, RequestError) as error:
        raise ModelMismatch(f"{source} is no reference profile: {error}") from error
    if metadata.feature_schema not in {None, reference.schema}:
        raise ModelMismatch(
            f"{source} is of feature schema {reference.schema}, but the model was trained on "
            f"{metadata.feature_schema}"
        )
    if reference.schema == USDCOP_M5.hash and reference.names != USDCOP_M5.names:
        raise ModelMismatch(f"{source} names other features than schema {USDCOP_M5.version} has")
    if len(reference.names) != metadata.observation_dim:
        raise ModelMismatch(
            f"{source} describes {len(reference.names)} features, but the model reads "
            f"{metadata.observation_dim}"
        )
    return reference


def _served_reference(
    profile: bytes, metadata: ModelMetadata, feature_schema: str | None
) -> Reference:
    """The reference of a model that is served: of the very vectors that it is given."""
    reference = read_reference(profile, metadata, source="its reference")
    if feature_schema not in {None, reference.schema}:
        raise ModelMismatch(
            f"its reference is of feature schema {reference.schema}, but the service computes "
            f"{feature_schema}"
        )
    return reference


def inspect_model(
    content: bytes, *, source: str, declared: Mapping[str, str] | None = None
) -> ModelMetadata:
    """Find out what a file is, and that it could be served, before it is registered.

    Args:
        content: bytes of an ONNX file.
        source: what to call it in errors, e.g. its path.
        declared: metadata for a file that has none, or not all of it.

    Returns:
        Its complete metadata.

    Raises:
        ModelMismatch: metadata is missing or does not fit the graph.
        ModelError: it is no ONNX graph.
    """
    session = OnnxSession(content, source=source)
    try:
        metadata = reconcile(
            session.custom_metadata, declared or {}, declared_by="what was declared"
        )
        identity = ModelIdentity(source, "unregistered", "", 1.0)
        _build(identity, metadata, session, time.perf_counter_ns)
    except ModelMismatch as mismatch:
        raise ModelMismatch(f"{source}: {mismatch}") from mismatch
    return metadata


def _check_settings(
    settings: ModelSettings, metadata: ModelMetadata, feature_schema: str | None
) -> None:
    if settings.algorithm is not metadata.algorithm:
        raise ModelMismatch(
            f"algorithm is {metadata.algorithm} in its metadata and {settings.algorithm} in the "
            "configuration"
        )
    if settings.observation_dim != metadata.observation_dim:
        raise ModelMismatch(
            f"observation_dim is {metadata.observation_dim} in its metadata and "
            f"{settings.observation_dim} in the configuration"
        )
    size = 1 if metadata.output.is_continuous else 3
    if settings.action_space_size != size:
        raise ModelMismatch(
            f"output {metadata.output.value!r} has action_space_size {size}, but the "
            f"configuration says {settings.action_space_size}"
        )
    if None not in {feature_schema, metadata.feature_schema} and (
        feature_schema != metadata.feature_schema
    ):
        raise ModelMismatch(
            f"it was trained on feature schema {metadata.feature_schema}, but the service "
            f"computes {feature_schema}"
        )


def _build(
    identity: ModelIdentity,
    metadata: ModelMetadata,
    session: OnnxSession,
    timer: Callable[[], int],
) -> Runner:
    decoder = DECODERS[metadata.algorithm]
    if metadata.output not in decoder.kinds:
        raise ModelMismatch(
            f"output {metadata.output.value!r} is not one that {metadata.algorithm} has; it must "
            f"be one of {', '.join(sorted(decoder.kinds))}"
        )
    check_input(session.inputs, metadata)
    names = select_outputs(session.outputs, metadata)
    runner = Runner(
        identity, metadata, graph=session, output_names=names, decoder=decoder, timer=timer
    )
    try:
        if metadata.algorithm is Algorithm.CLASSIFIER:
            check_classes(metadata, _column_labels(session, names[0], metadata.observation_dim))
        runner.warm_up()
    except InferenceFault as fault:
        raise ModelMismatch(f"it cannot be evaluated: {fault}") from fault
    return runner


def _column_labels(session: OnnxSession, name: str, observation_dim: int) -> tuple[str | None, ...]:
    """The classifier's label of each column, None where unknown; empty without any labels."""
    probes = _probes(observation_dim)
    mapped = session.class_labels(name, probes[:1])
    if mapped:
        return tuple(map(_text, mapped))
    label_name = label_output(session.outputs)
    if label_name is None:
        return ()
    labels, scores = session.run((label_name, name), probes)
    if labels.size != len(probes) or scores.shape != (len(probes), 3):
        raise ModelMismatch(
            f"it gives labels of shape {labels.shape} and scores of shape {scores.shape} for "
            f"{len(probes)} rows; they must be one label and three scores for each"
        )
    return labels_by_column([_text(label) for label in labels.ravel().tolist()], scores)


def _text(label: object) -> str:
    return str(label).strip()


def _probes(observation_dim: int) -> NDArray[np.float32]:
    """Observations that differ enough for a classifier to name more than one class.

    Features may be returns or prices, so random rows come in sizes from 0.001 to 10,000.
    """
    level = np.linspace(-3.0, 3.0, 31)[:, None] * np.ones((1, observation_dim))
    single = 3.0 * np.eye(observation_dim)
    sizes = np.repeat(10.0 ** np.arange(-3, 5), 128)[:, None]
    random = np.random.default_rng(0).normal(size=(len(sizes), observation_dim)) * sizes
    return np.vstack([level, single, -single, random]).astype(np.float32)
