"""Real policies, trained for a few steps, exported and held against stable-baselines3."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from config.settings import Algorithm, ModelSettings
from errors import ModelError, ModelMismatch, ModelNotFound, ServiceError
from models.export import export_policy, verify_export
from models.store import BentoModelStore
from runners.loading import inspect_model, load_runner
from runners.metadata import ModelMetadata, OutputKind
from runners.session import OnnxSession
from runners.signal import ACTIONS, Signal

REASON = "torch and stable-baselines3 are in the environment of `make export-env` only"
gymnasium = pytest.importorskip("gymnasium", reason=REASON, exc_type=ImportError)
sb3 = pytest.importorskip("stable_baselines3", reason=REASON, exc_type=ImportError)

from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize  # noqa: E402

from commands.export import export  # noqa: E402

DIMENSION = 6
ORDER = (Signal.HOLD, Signal.BUY, Signal.SELL)


Environment: Any = gymnasium.Env


class Market(Environment):  # type: ignore[misc]  # gymnasium is not there for mypy
    """Observations like prices and returns: offsets and scales that a normaliser must undo."""

    OFFSET = np.array([4000.0, 0.0, -30.0, 1.0, 0.001, 0.0])
    SCALE = np.array([1.0, 0.001, 10.0, 1.0, 0.0001, 5.0])

    def __init__(self, action_space: Any) -> None:
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (DIMENSION,), np.float32)
        self.action_space = action_space
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        reward = float(np.mean(action)) * float(self.np_random.normal())
        return self._observe(), reward, self.steps >= 16, False, {}

    def _observe(self) -> NDArray[np.float32]:
        noise: NDArray[np.float64] = self.np_random.normal(size=DIMENSION)
        return (self.OFFSET + self.SCALE * noise).astype(np.float32)


def discrete() -> Any:
    return gymnasium.spaces.Discrete(3)


def continuous(limit: float = 1.0, size: int = 1) -> Any:
    return gymnasium.spaces.Box(-limit, limit, (size,), np.float32)


def options_of(algorithm: Algorithm) -> dict[str, Any]:
    small = {"policy_kwargs": {"net_arch": [16, 16]}, "device": "cpu", "seed": 3}
    if algorithm is Algorithm.PPO:
        return {**small, "n_steps": 32, "batch_size": 32}
    if algorithm is Algorithm.A2C:
        return {**small, "n_steps": 32}
    return {**small, "learning_starts": 16, "buffer_size": 200}


def train(
    folder: Path, algorithm: Algorithm, space: Any, *, normalise: bool = False, **options: Any
) -> tuple[Path, Path | None]:
    environment: Any = DummyVecEnv([lambda: Market(space)])
    if normalise:
        environment = VecNormalize(environment, clip_obs=5.0, epsilon=1e-6)
    environment.seed(3)
    options = {**options_of(algorithm), **options}
    model = getattr(sb3, algorithm.value)("MlpPolicy", environment, **options)
    model.learn(64)
    path = folder / f"{algorithm.value.lower()}.zip"
    model.save(path)
    if not normalise:
        return path, None
    statistics = folder / "vecnormalize.pkl"
    environment.save(str(statistics))
    return path, statistics


def export_to(
    output: Path,
    trained: tuple[Path, Path | None],
    algorithm: Algorithm,
    actions: tuple[Signal, ...] | None = None,
    **options: Any,
) -> ModelMetadata:
    values: dict[str, Any] = {
        "observation_dim": DIMENSION,
        "feature_schema": None,
        "threshold": None,
        "temperature": None,
        **options,
    }
    return export_policy(
        trained[0], output, algorithm=algorithm, actions=actions, normalizer=trained[1], **values
    )


CASES = {
    "ppo": (Algorithm.PPO, discrete, False, OutputKind.PROBABILITIES),
    "ppo behind VecNormalize": (Algorithm.PPO, discrete, True, OutputKind.PROBABILITIES),
    "a2c behind VecNormalize": (Algorithm.A2C, discrete, True, OutputKind.PROBABILITIES),
    "ppo with one continuous action": (Algorithm.PPO, continuous, True, OutputKind.GAUSSIAN),
    "sac behind VecNormalize": (Algorithm.SAC, continuous, True, OutputKind.SQUASHED_GAUSSIAN),
    "td3": (Algorithm.TD3, continuous, False, OutputKind.CONTINUOUS),
    "dqn": (Algorithm.DQN, discrete, False, OutputKind.Q_VALUES),
}


@pytest.mark.parametrize("case", CASES)
def test_an_exported_policy_is_the_policy(
    case: str, tmp_path: Path, store: BentoModelStore
) -> None:
    algorithm, space, normalise, output = CASES[case]
    trained = train(tmp_path, algorithm, space(), normalise=normalise)
    file = tmp_path / "policy.onnx"
    metadata = export_to(file, trained, algorithm, None if output.is_continuous else ORDER)
    assert metadata.output is output

    report = verify_export(
        trained[0],
        file,
        algorithm=algorithm,
        observation_dim=DIMENSION,
        normalizer=trained[1],
    )
    assert report.passed, str(report)
    assert report.rows == 1000

    content = file.read_bytes()
    assert len(content) < 20_000
    assert str(tmp_path).encode() not in content
    assert b"site-packages" not in content
    assert b".py" not in content
    assert inspect_model(content, source="policy.onnx") == metadata

    settings = ModelSettings.model_validate(
        {
            "name": "policy",
            "tag": "policy",
            "algorithm": algorithm,
            "observation_dim": DIMENSION,
            "action_space_size": 1 if output.is_continuous else 3,
        }
    )
    stored = store.register("policy", content, metadata)
    probabilities = load_runner(settings, stored, feature_schema=None).probabilities(
        np.zeros((5, DIMENSION), dtype=np.float32)
    )
    assert probabilities.shape == (5, 3)


def test_the_action_order_of_training_is_the_one_that_is_served(
    tmp_path: Path, store: BentoModelStore
) -> None:
    trained = train(tmp_path, Algorithm.PPO, discrete())
    file = tmp_path / "ppo.onnx"
    metadata = export_to(file, trained, Algorithm.PPO, ORDER)
    stored = store.register("ppo", file.read_bytes(), metadata)
    settings = ModelSettings(
        name="ppo", tag="ppo", algorithm=Algorithm.PPO, observation_dim=DIMENSION
    )
    runner = load_runner(settings, stored, feature_schema=None)
    observations = np.random.default_rng(0).normal(size=(200, DIMENSION)).astype(np.float32)
    chosen, _ = sb3.PPO.load(trained[0], device="cpu").predict(observations, deterministic=True)
    served = runner.probabilities(observations).argmax(axis=1)
    assert [ACTIONS[index] for index in served] == [ORDER[action] for action in chosen]


def test_the_same_policy_exports_to_the_same_bytes(tmp_path: Path) -> None:
    trained = train(tmp_path, Algorithm.A2C, discrete())
    for name in ("one.onnx", "two.onnx"):
        export_to(tmp_path / name, trained, Algorithm.A2C, ACTIONS)
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


def test_a_forgotten_normalizer_does_not_verify(tmp_path: Path) -> None:
    trained = train(tmp_path, Algorithm.PPO, discrete(), normalise=True)
    file = tmp_path / "ppo.onnx"
    export_to(file, (trained[0], None), Algorithm.PPO, ACTIONS)
    report = verify_export(
        trained[0],
        file,
        algorithm=Algorithm.PPO,
        observation_dim=DIMENSION,
        normalizer=trained[1],
    )
    assert not report.passed


def test_a_tampered_file_does_not_verify(tmp_path: Path) -> None:
    trained = train(tmp_path, Algorithm.PPO, discrete())
    file = tmp_path / "ppo.onnx"
    export_to(file, trained, Algorithm.PPO, ACTIONS)
    model = onnx.load(str(file))
    weights = next(item for item in model.graph.initializer if len(item.dims) == 2)
    values = onnx.numpy_helper.to_array(weights).copy()
    values[0, 0] += 0.01
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    onnx.save(model, str(file))
    report = verify_export(
        trained[0], file, algorithm=Algorithm.PPO, observation_dim=DIMENSION, normalizer=None
    )
    assert not report.passed
    assert re.search(r"largest difference \S+ over 1000 .* at row \d+, observation \[", str(report))


def test_threshold_temperature_and_schema_go_into_the_file(tmp_path: Path) -> None:
    sac = train(tmp_path, Algorithm.SAC, continuous())
    export_to(tmp_path / "sac.onnx", sac, Algorithm.SAC, threshold=0.45, feature_schema="abc123")
    written = OnnxSession(tmp_path / "sac.onnx").custom_metadata
    assert (written["threshold"], written["feature_schema"]) == ("0.45", "abc123")
    dqn = train(tmp_path, Algorithm.DQN, discrete())
    export_to(tmp_path / "dqn.onnx", dqn, Algorithm.DQN, ORDER, temperature=0.5)
    written = OnnxSession(tmp_path / "dqn.onnx").custom_metadata
    assert (written["temperature"], written["actions"]) == ("0.5", "HOLD,BUY,SELL")


def test_what_cannot_be_exported_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    ppo = train(tmp_path, Algorithm.PPO, discrete())
    wide = (tmp_path / "wide" / "ppo.zip", None)
    wide[0].parent.mkdir()
    train(wide[0].parent, Algorithm.PPO, continuous(size=2))
    far = (tmp_path / "far" / "ppo.zip", None)
    far[0].parent.mkdir()
    train(far[0].parent, Algorithm.PPO, continuous(limit=2.0))
    noisy = (tmp_path / "noisy" / "ppo.zip", None)
    noisy[0].parent.mkdir()
    train(noisy[0].parent, Algorithm.PPO, continuous(), use_sde=True)
    text = tmp_path / "text.zip"
    text.write_text("no zip")
    output = tmp_path / "out" / "x.onnx"
    output.parent.mkdir()

    def refused(kind: type[ServiceError], message: str, *arguments: Any, **options: Any) -> None:
        with pytest.raises(kind, match=message):
            export_to(output, *arguments, **options)

    refused(ModelMismatch, "holds a policy trained with PPO, not A2C", ppo, Algorithm.A2C, ORDER)
    refused(ModelMismatch, "'actions' is missing.*never guessed", ppo, Algorithm.PPO)
    refused(ModelMismatch, "not a Box of 45", ppo, Algorithm.PPO, ORDER, observation_dim=45)
    refused(ModelMismatch, "must be Discrete", wide, Algorithm.PPO)
    refused(ModelMismatch, "must be Discrete", far, Algorithm.PPO)
    refused(ModelMismatch, "use_sde", noisy, Algorithm.PPO)
    refused(ModelNotFound, "does not exist", (tmp_path / "absent.zip", None), Algorithm.PPO, ORDER)
    refused(ModelError, "no stable-baselines3 zip", (text, None), Algorithm.PPO, ORDER)
    refused(ModelError, "cannot be loaded as a VecNormalize", (ppo[0], text), Algorithm.PPO, ORDER)
    refused(ModelMismatch, "must be one of PPO", ppo, Algorithm.CLASSIFIER, ORDER)
    assert list(output.parent.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error_of_one_line(tmp_path: Path) -> None:
    ppo = train(tmp_path, Algorithm.PPO, discrete())
    for output in (ppo[0] / "x.onnx", ppo[0] / "deeper" / "x.onnx", tmp_path):
        with pytest.raises(ModelError, match=f"^{re.escape(str(output))} cannot be written: .+$"):
            export_to(output, ppo, Algorithm.PPO, ORDER)
    assert list(tmp_path.iterdir()) == [ppo[0]]


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(export, [str(argument) for argument in arguments])
    if isinstance(result.exception, ServiceError):
        raise result.exception
    return result


def test_the_command_warns_about_pickles_exports_and_verifies(tmp_path: Path) -> None:
    zip_file, statistics = train(tmp_path, Algorithm.PPO, discrete(), normalise=True)
    output = tmp_path / "onnx" / "ppo.onnx"
    result = run(
        *("--model-path", zip_file, "--output-path", output, "--algorithm", "PPO"),
        *("--observation-dim", DIMENSION, "--normalizer", statistics),
        *("--actions", "HOLD,BUY,SELL", "--verify"),
    )
    assert result.exit_code == 0, result.output
    assert "runs Python code stored in it" in result.stderr
    assert "largest difference" in result.stdout
    assert "actions=HOLD,BUY,SELL" in result.stdout
    assert [path.name for path in output.parent.iterdir()] == ["ppo.onnx"]


def test_the_command_says_which_action_order_it_took_when_none_was_given(tmp_path: Path) -> None:
    zip_file, _ = train(tmp_path, Algorithm.PPO, discrete())
    output = tmp_path / "ppo.onnx"
    arguments = ("--model-path", zip_file, "--output-path", output, "--observation-dim", DIMENSION)
    result = run(*arguments, "--algorithm", "PPO", "--verify")
    assert "0 is taken as SELL, 1 as HOLD, 2 as BUY" in result.stderr
    assert "actions=SELL,HOLD,BUY" in result.stdout


def test_a_file_that_does_not_verify_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zip_file, _ = train(tmp_path, Algorithm.PPO, discrete())
    output = tmp_path / "onnx" / "ppo.onnx"
    output.parent.mkdir()
    output.write_bytes(b"the file of yesterday")
    monkeypatch.setattr("models.verification.VerificationReport.passed", property(lambda _: False))
    with pytest.raises(ModelMismatch, match=r"was not written.*largest difference"):
        run(
            *("--model-path", zip_file, "--output-path", output, "--algorithm", "PPO"),
            *("--observation-dim", DIMENSION, "--actions", "SELL,HOLD,BUY", "--verify"),
        )
    assert output.read_bytes() == b"the file of yesterday"
    assert [path.name for path in output.parent.iterdir()] == ["ppo.onnx"]
