"""From a stable-baselines3 zip to a small ONNX file, and the proof that both say the same."""

from __future__ import annotations

import importlib
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from config.settings import Algorithm
from errors import ModelError
from models.verification import VerificationReport, compare, probe_observations
from runners.loading import inspect_model
from runners.metadata import ModelMetadata
from runners.session import OnnxSession
from runners.signal import Signal

if TYPE_CHECKING:
    from models.policies import TrainedPolicy

__all__ = ["export_policy", "verify_export"]

_OPSET = 20
_MACHINE_FIELDS = frozenset({"doc_string", "metadata_props"})


def export_policy(  # noqa: PLR0913  one argument per option of the command
    model_path: Path,
    output_path: Path,
    *,
    algorithm: Algorithm,
    observation_dim: int,
    actions: Sequence[Signal] | None,
    normalizer: Path | None,
    feature_schema: str | None,
    threshold: float | None,
    temperature: float | None,
    assumed_actions: Sequence[Signal] | None = None,
) -> ModelMetadata:
    """Write the deciding part of a policy as ONNX. Loading the zip runs code pickled in it.

    The file has the normalisation in it, takes any number of rows, and carries its metadata.
    It is written whole or not at all.

    Args:
        model_path: zip that stable-baselines3 saved.
        output_path: ONNX file to write; an existing one is replaced.
        algorithm: PPO, A2C, SAC, TD3 or DQN; must be the one of the zip.
        observation_dim: length of the observation that the policy was trained on.
        actions: what the training environment's actions 0, 1 and 2 meant; None for a policy
            with one continuous action.
        normalizer: pickled `VecNormalize` of the training, None when there was none.
        feature_schema: hash of the feature schema, if the policy was trained on one.
        threshold: least size of a continuous action that trades; None means the default.
        temperature: divisor of Q-values; None means the default.
        assumed_actions: what to take for `actions` when it is None and the policy has three.

    Returns:
        The metadata that was written.

    Raises:
        ModelNotFound: a file is missing.
        ModelMismatch: the zip is not what the arguments say, or the metadata is incomplete.
        ModelError: a file is unreadable, or torch is not installed.
    """
    policies = _torch_side()
    trained = policies.load_policy(
        model_path, algorithm=algorithm, observation_dim=observation_dim, normalizer=normalizer
    )
    if actions is None and not trained.output.is_continuous:
        actions = assumed_actions
    metadata = ModelMetadata(
        algorithm=algorithm,
        output=trained.output,
        observation_dim=observation_dim,
        actions=None if actions is None else tuple(actions),
        threshold=threshold,
        temperature=temperature,
        feature_schema=feature_schema,
    )
    content = _to_onnx(policies.Actor(trained).eval(), metadata)
    inspect_model(content, source=str(output_path))  # what could not be served is not written
    _write_atomically(output_path, content)
    return metadata


def verify_export(
    model_path: Path,
    onnx_path: Path,
    *,
    algorithm: Algorithm,
    observation_dim: int,
    normalizer: Path | None,
    rows: int = 1000,
    seed: int = 0,
) -> VerificationReport:
    """Compare an ONNX file with the policy in stable-baselines3 itself, edges included.

    Args:
        model_path: the zip.
        onnx_path: the file made of it.
        algorithm: as in `export_policy`.
        observation_dim: as in `export_policy`.
        normalizer: as in `export_policy`.
        rows: observations to compare, edges included.
        seed: of the random observations among them.

    Raises:
        ModelError: as in `export_policy`, or the ONNX file cannot be loaded.
        InferenceFault: the ONNX file cannot be evaluated.
    """
    trained = _torch_side().load_policy(
        model_path, algorithm=algorithm, observation_dim=observation_dim, normalizer=normalizer
    )
    observations = _probes_for(trained, observation_dim, rows=rows, seed=seed)
    expected = trained.reference(observations)
    session = OnnxSession(onnx_path)
    missing = expected.keys() - {spec.name for spec in session.outputs}
    if missing:
        raise ModelError(f"{onnx_path} has no output {sorted(missing)[0]!r}")
    found = dict(zip(expected, session.run(tuple(expected), observations), strict=True))
    return compare(expected, found, observations)


def _probes_for(
    trained: TrainedPolicy, observation_dim: int, *, rows: int, seed: int
) -> NDArray[np.float32]:
    normalizer = trained.normalizer
    if normalizer is None:
        return probe_observations(observation_dim, rows=rows, seed=seed)
    return probe_observations(
        observation_dim,
        rows=rows,
        seed=seed,
        mean=normalizer.obs_rms.mean,
        scale=np.sqrt(normalizer.obs_rms.var + normalizer.epsilon),
        limit=float(normalizer.clip_obs),
    )


def _torch_side() -> ModuleType:
    try:
        return importlib.import_module("models.policies")
    except ModuleNotFoundError as error:
        raise ModelError(
            f"export needs torch and stable-baselines3 ({error.name!r} is missing), which the "
            "service does not install; run `make export-env` and use .venv-export/bin/usdcop"
        ) from error


def _to_onnx(actor: Any, metadata: ModelMetadata) -> bytes:
    torch = importlib.import_module("torch")
    example = torch.zeros((2, metadata.observation_dim), dtype=torch.float32)
    with _quiet_torch():
        program = torch.onnx.export(
            actor,
            (example,),
            dynamo=True,
            opset_version=_OPSET,
            input_names=["observation"],
            output_names=list(actor.output_names),
            dynamic_shapes={"observation": {0: torch.export.Dim("batch")}},
            verbose=False,
        )
    model = program.model_proto
    _strip_machine(model)
    for key, value in metadata.to_mapping().items():
        model.metadata_props.add(key=key, value=value)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _strip_machine(message: Any) -> None:
    """Remove what torch notes about this machine: stack traces with paths, node by node."""
    for field, value in message.ListFields():
        if field.name in _MACHINE_FIELDS:
            message.ClearField(field.name)
        elif field.type == field.TYPE_MESSAGE:
            for part in value if field.is_repeated else (value,):
                _strip_machine(part)


@contextmanager
def _quiet_torch() -> Iterator[None]:
    """Keep torch's notes to itself: they are about its own internals, not about the policy."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def _write_atomically(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise ModelError(f"{path} cannot be written: {error.strerror}") from error
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        unfinished.chmod(0o644)
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise ModelError(f"{path} cannot be written: {error.strerror}") from error
