"""Trained stable-baselines3 policies as torch modules that give what a decision needs.

This file imports torch and stable-baselines3, which the service never installs: only
`models.export` imports it, at the moment of an export.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.vec_env import VecNormalize

from config.settings import Algorithm
from errors import ModelError, ModelMismatch, ModelNotFound
from runners.metadata import OutputKind

__all__ = ["Actor", "TrainedPolicy", "load_policy"]

_TRAINERS = {
    Algorithm.PPO: PPO,
    Algorithm.A2C: A2C,
    Algorithm.SAC: SAC,
    Algorithm.TD3: TD3,
    Algorithm.DQN: DQN,
}

# A zip does not name its algorithm; each has a setting that no other one saves.
_TELLTALE_SETTINGS = {
    "clip_range": Algorithm.PPO,
    "target_entropy": Algorithm.SAC,
    "policy_delay": Algorithm.TD3,
    "exploration_fraction": Algorithm.DQN,
    "gae_lambda": Algorithm.A2C,  # PPO saves it as well, and is recognised before
}


@dataclass(frozen=True, slots=True)
class TrainedPolicy:
    """A loaded policy and the observation statistics that it was trained behind.

    Args:
        algorithm: how it was trained.
        output: what its actor gives.
        policy: the stable-baselines3 policy, on the CPU, in evaluation mode.
        normalizer: the `VecNormalize` of the training, None when there was none.
    """

    algorithm: Algorithm
    output: OutputKind
    policy: Any
    normalizer: Any

    def reference(self, observations: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        """What stable-baselines3 itself computes, by its own methods.

        Args:
            observations: (n, observation_dim), as they are before normalisation.

        Returns:
            Output name to array (n, 3) or (n, 1).
        """
        seen = observations
        if self.normalizer is not None:
            seen = self.normalizer.normalize_obs(observations)
        with torch.no_grad():
            outputs = self._own_outputs(torch.as_tensor(seen))
        return {name: output.numpy() for name, output in outputs.items()}

    def _own_outputs(self, seen: torch.Tensor) -> dict[str, torch.Tensor]:
        if self.output is OutputKind.PROBABILITIES:
            return {"probabilities": self.policy.get_distribution(seen).distribution.probs}
        if self.output is OutputKind.GAUSSIAN:
            normal = self.policy.get_distribution(seen).distribution
            return {"mean": normal.mean, "deviation": normal.stddev}
        if self.output is OutputKind.SQUASHED_GAUSSIAN:
            mean, log_deviation, _ = self.policy.actor.get_action_dist_params(seen)
            return {"mean": mean, "deviation": log_deviation.exp()}
        if self.output is OutputKind.Q_VALUES:
            return {"q_values": self.policy.q_net(seen)}
        return {"action": self.policy.actor(seen)}


class Actor(torch.nn.Module):  # type: ignore[misc]  # torch ships no types here
    """The part of a policy that decides, with the normalisation in front of it.

    Value networks, critics and target networks are left behind, since nothing here calls them.
    The normalisation is computed in float64, as `VecNormalize` does: a price of 4,000 with a
    spread of 1 loses the fourth digit in float32.
    """

    def __init__(self, trained: TrainedPolicy) -> None:
        super().__init__()
        self.output = trained.output
        self.policy = trained.policy
        self.normalizes = trained.normalizer is not None
        if self.normalizes:
            statistics = trained.normalizer.obs_rms
            scale = np.sqrt(statistics.var + trained.normalizer.epsilon)
            mean = torch.as_tensor(statistics.mean, dtype=torch.float64)
            # Buffers name tensors of the graph, where "mean" may be an output already.
            self.register_buffer("observation_mean", mean)
            self.register_buffer("observation_scale", torch.as_tensor(scale, dtype=torch.float64))
            self.limit = float(trained.normalizer.clip_obs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the graph's outputs, in the order of `forward`."""
        if self.output in {OutputKind.GAUSSIAN, OutputKind.SQUASHED_GAUSSIAN}:
            return ("mean", "deviation")
        if self.output is OutputKind.CONTINUOUS:
            return ("action",)
        return (self.output.value,)

    def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(n, observation_dim) float32 to the outputs of `output_names`."""
        seen = observation
        if self.normalizes:
            centred = (seen.to(torch.float64) - self.observation_mean) / self.observation_scale
            seen = torch.clamp(centred, -self.limit, self.limit).to(torch.float32)
        if self.output in {OutputKind.PROBABILITIES, OutputKind.GAUSSIAN}:
            return self._on_policy(seen)
        if self.output is OutputKind.SQUASHED_GAUSSIAN:
            mean, log_deviation, _ = self.policy.actor.get_action_dist_params(seen)
            return mean, torch.exp(log_deviation)
        if self.output is OutputKind.Q_VALUES:
            return (self.policy.q_net(seen),)
        return (self.policy.actor(seen),)

    def _on_policy(self, seen: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features = self.policy.extract_features(seen, self.policy.pi_features_extractor)
        action = self.policy.action_net(self.policy.mlp_extractor.forward_actor(features))
        if self.output is OutputKind.PROBABILITIES:
            return (torch.softmax(action, dim=1),)
        deviation = torch.exp(self.policy.log_std)
        return action, torch.ones_like(action) * deviation


def load_policy(
    path: Path, *, algorithm: Algorithm, observation_dim: int, normalizer: Path | None
) -> TrainedPolicy:
    """Load a stable-baselines3 zip. This runs code that is pickled in it.

    Raises:
        ModelNotFound: a file is missing.
        ModelError: a file is not what it should be.
        ModelMismatch: algorithm, observation or action space are not the ones expected.
    """
    if algorithm not in _TRAINERS:
        raise ModelMismatch(
            f"{algorithm} is not trained by stable-baselines3; it must be one of "
            f"{', '.join(_TRAINERS)}"
        )
    saved = _saved_algorithm(path)
    if saved is not algorithm:
        raise ModelMismatch(f"{path} holds a policy trained with {saved}, not {algorithm}")
    try:
        model = _TRAINERS[algorithm].load(path, device="cpu")
    except Exception as error:  # unpickling runs the file's code, which may raise anything
        raise ModelError(f"{path} cannot be loaded as {algorithm}: {error}") from error
    _check_observation_space(path, model.observation_space, observation_dim)
    if getattr(model, "use_sde", False):
        raise ModelMismatch(
            f"{path} was trained with use_sde=True: the deviation depends on a noise matrix that "
            "is no part of the policy; train with use_sde=False"
        )
    model.policy.set_training_mode(False)
    return TrainedPolicy(
        algorithm=algorithm,
        output=_output_kind(path, algorithm, model.action_space),
        policy=model.policy,
        normalizer=_load_normalizer(normalizer, observation_dim),
    )


def _saved_algorithm(path: Path) -> Algorithm:
    try:
        with zipfile.ZipFile(path) as archive:
            saved = json.loads(archive.read("data"))
    except FileNotFoundError:
        raise ModelNotFound(f"model file {path} does not exist") from None
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise ModelError(f"{path} is no stable-baselines3 zip: {error}") from error
    for setting, algorithm in _TELLTALE_SETTINGS.items():
        if setting in saved:
            return algorithm
    raise ModelError(f"{path} was saved by none of {', '.join(_TRAINERS)}")


def _check_observation_space(path: Path, space: Any, observation_dim: int) -> None:
    if not isinstance(space, gymnasium.spaces.Box) or space.shape != (observation_dim,):
        raise ModelMismatch(
            f"{path} observes {space}, not a Box of {observation_dim} numbers; "
            "check --observation-dim"
        )


def _output_kind(path: Path, algorithm: Algorithm, space: Any) -> OutputKind:
    if isinstance(space, gymnasium.spaces.Discrete) and space.n == 3:
        return OutputKind.Q_VALUES if algorithm is Algorithm.DQN else OutputKind.PROBABILITIES
    if (
        isinstance(space, gymnasium.spaces.Box)
        and space.shape == (1,)
        and (space.low[0], space.high[0]) == (-1.0, 1.0)
    ):
        if algorithm is Algorithm.SAC:
            return OutputKind.SQUASHED_GAUSSIAN
        return OutputKind.CONTINUOUS if algorithm is Algorithm.TD3 else OutputKind.GAUSSIAN
    raise ModelMismatch(
        f"{path} acts in {space}; it must be Discrete(3), or Box(-1, 1) with one number"
    )


def _load_normalizer(path: Path | None, observation_dim: int) -> Any:
    if path is None:
        return None
    try:
        normalizer = pickle.loads(path.read_bytes())  # noqa: S301  the command warns about it
    except FileNotFoundError:
        raise ModelNotFound(f"normalizer file {path} does not exist") from None
    except Exception as error:  # unpickling runs the file's code, which may raise anything
        raise ModelError(f"{path} cannot be loaded as a VecNormalize: {error}") from error
    if not isinstance(normalizer, VecNormalize):
        raise ModelMismatch(f"{path} holds a {type(normalizer).__name__}, not a VecNormalize")
    if not normalizer.norm_obs:
        return None
    shape = getattr(getattr(normalizer.obs_rms, "mean", None), "shape", None)
    if shape != (observation_dim,):
        raise ModelMismatch(
            f"{path} has statistics of shape {shape}; the policy observes ({observation_dim},)"
        )
    return normalizer
