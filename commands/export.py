"""`usdcop export`: a stable-baselines3 policy becomes an ONNX file that can be served."""

from __future__ import annotations

from pathlib import Path

import click

from config.settings import Algorithm
from errors import ModelMismatch
from models.export import export_policy, verify_export
from runners.metadata import ModelMetadata, parse_actions
from runners.signal import ACTIONS

__all__ = ["export"]

_PICKLE_WARNING = "Loading a stable-baselines3 zip or a VecNormalize runs Python code stored in it."

_ASSUMED_ORDER = (
    "--actions was not given: 0 is taken as SELL, 1 as HOLD, 2 as BUY. If the training "
    "environment meant anything else, this model trades the wrong way."
)

_TRAINED = [algorithm.value for algorithm in Algorithm if algorithm is not Algorithm.CLASSIFIER]

_INPUT_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.option("--model-path", type=_INPUT_FILE, required=True, help="Zip of stable-baselines3.")
@click.option(
    "--output-path",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="ONNX file to write; an existing one is replaced.",
)
@click.option(
    "--algorithm",
    type=click.Choice(_TRAINED, case_sensitive=False),
    required=True,
    help="What the policy was trained with.",
)
@click.option(
    "--observation-dim", type=click.IntRange(min=1), required=True, help="Length of an observation."
)
@click.option("--normalizer", type=_INPUT_FILE, help="VecNormalize pickle of the training.")
@click.option(
    "--actions",
    help="What actions 0, 1 and 2 meant in training. SELL,HOLD,BUY when left out, which is then "
    "said: a wrong order trades the wrong way.",
)
@click.option("--threshold", type=float, help="Least size of a continuous action that trades.")
@click.option("--temperature", type=float, help="Divides Q-values (DQN) before the softmax.")
@click.option("--feature-schema", help="Hash of the feature schema of the training.")
@click.option("--verify", is_flag=True, help="Compare with the policy on 1,000 observations.")
def export(  # noqa: PLR0913  one argument per option
    *,
    model_path: Path,
    output_path: Path,
    algorithm: str,
    observation_dim: int,
    normalizer: Path | None,
    actions: str | None,
    threshold: float | None,
    temperature: float | None,
    feature_schema: str | None,
    verify: bool,
) -> None:
    """Export a trained stable-baselines3 policy to ONNX.

    Loading a zip or a VecNormalize pickle runs Python code that is stored in it: export your
    own files only, in the environment that `make export-env` makes.
    """
    click.echo(f"Warning: {_PICKLE_WARNING}", err=True)
    written = output_path.with_name(f".{output_path.name}.unverified") if verify else output_path
    metadata = export_policy(
        model_path,
        written,
        algorithm=Algorithm(algorithm),
        observation_dim=observation_dim,
        actions=None if actions is None else parse_actions(actions),
        normalizer=normalizer,
        feature_schema=feature_schema,
        threshold=threshold,
        temperature=temperature,
        assumed_actions=ACTIONS,
    )
    if actions is None and metadata.actions is not None:
        click.echo(f"Warning: {_ASSUMED_ORDER}", err=True)
    if verify:
        _verify_and_move(model_path, written, output_path, metadata, normalizer)
    described = ", ".join(f"{key}={value}" for key, value in metadata.to_mapping().items())
    click.echo(f"Wrote {output_path} ({output_path.stat().st_size:,} bytes): {described}")


def _verify_and_move(
    model_path: Path,
    written: Path,
    output_path: Path,
    metadata: ModelMetadata,
    normalizer: Path | None,
) -> None:
    """Put the file in its place only once it is proven: a wrong one never replaces a good one."""
    try:
        report = verify_export(
            model_path,
            written,
            algorithm=metadata.algorithm,
            observation_dim=metadata.observation_dim,
            normalizer=normalizer,
        )
        if not report.passed:
            raise ModelMismatch(
                f"{output_path} was not written: it would not say what {model_path} says, {report}"
            )
        written.replace(output_path)
    finally:
        written.unlink(missing_ok=True)
    click.echo(f"Verified against the policy: {report}")
