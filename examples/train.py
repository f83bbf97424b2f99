"""Train, export and measure the three demonstration models, from nothing but a seed.

    .venv-export/bin/python examples/train.py

simulates a market, builds its features as `usdcop features build` does, trains a PPO, a SAC and an
A2C policy on the first days, exports them to models/onnx, measures them on the last days, and
writes the figures into examples/README.md and one request body into examples/observation.json.
It needs the environment of `make export-env`. The same seed on the same machine gives the same
models.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
# Run as a script, Python looks for modules beside this file; those of the product lie above.
sys.path.insert(0, str(ROOT))

import stable_baselines3  # noqa: E402  after the path is set
import torch  # noqa: E402
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize  # noqa: E402

from config.settings import Algorithm  # noqa: E402
from examples.environment import TradingEnvironment  # noqa: E402
from examples.evaluate import (  # noqa: E402
    figures_of,
    load_exported,
    table,
    typical_buy,
    write_observation,
)
from examples.reference import write_profile  # noqa: E402
from examples.trading_data import TradingData, prepare, training_profile  # noqa: E402
from features.schema import USDCOP_M5  # noqa: E402
from models.export import export_policy, verify_export  # noqa: E402
from runners.signal import ACTIONS  # noqa: E402

LARGEST_SCORE: Final = 5.0
"""Normalised features are cut off at so many standard deviations."""
FRESH_SEED: Final = 1234
"""Of a market that played no part in training or in choosing the settings above."""
FRESH_WARM_UP_DAYS: Final = 10
BEGIN, END = "<!-- figures: written by train.py -->", "<!-- end of figures -->"


@dataclass(frozen=True)
class Recipe:
    """How one model is trained.

    Attributes:
        name: of the model and its file.
        algorithm: of stable-baselines3.
        steps: decisions to train on.
        environments: walked through at once.
        options: of the algorithm, beside those that all share.
    """

    name: str
    algorithm: Algorithm
    steps: int
    environments: int
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_continuous(self) -> bool:
        """One action in [-1, 1] instead of SELL, HOLD and BUY."""
        return self.algorithm is Algorithm.SAC


# The entropy coefficients keep the policies from becoming certain of what is not.
RECIPES: Final = (
    Recipe(
        "ppo_usdcop_v3",
        Algorithm.PPO,
        steps=500_000,
        environments=8,
        options={"n_steps": 512, "batch_size": 512, "n_epochs": 5, "ent_coef": 0.08},
    ),
    Recipe(
        "sac_usdcop_v2",
        Algorithm.SAC,
        steps=120_000,
        environments=4,
        options={
            "train_freq": 8,
            "gradient_steps": 4,
            "batch_size": 256,
            "buffer_size": 100_000,
            "learning_starts": 2_000,
            "learning_rate": 5e-4,
            "ent_coef": 0.02,
        },
    ),
    Recipe(
        "a2c_macro_v1",
        Algorithm.A2C,
        steps=500_000,
        environments=8,
        options={"n_steps": 32, "ent_coef": 0.08},
    ),
)


def main() -> None:
    """Read the arguments and do everything in order."""
    parser = argparse.ArgumentParser(description="Train the demonstration models.")
    parser.add_argument("--days", type=int, default=500, help="days to train on (default 500)")
    parser.add_argument("--held-out-days", type=int, default=120, help="days to measure on")
    parser.add_argument("--seed", type=int, default=7, help="of everything (default 7)")
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "onnx", help="folder")
    parser.add_argument("--examples", type=Path, default=ROOT / "examples", help="folder")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    training, held_out = prepare(arguments.days, arguments.held_out_days, arguments.seed)
    for recipe in RECIPES:
        report = train_and_export(recipe, training, arguments.out, arguments.seed)
        print(f"{recipe.name}: {report} ({time.monotonic() - began:.0f} s)", flush=True)
    write_profile(
        arguments.out / "reference.json",
        training_profile(arguments.days, arguments.held_out_days, arguments.seed),
    )
    runners = [load_exported(arguments.out / f"{recipe.name}.onnx") for recipe in RECIPES]
    write_observation(arguments.examples / "observation.json", typical_buy(runners, held_out))
    _, elsewhere = prepare(FRESH_WARM_UP_DAYS, arguments.held_out_days, FRESH_SEED)
    figures = both_tables(
        table(figures_of(runners, held_out)), table(figures_of(runners, elsewhere))
    )
    print(figures)
    replace_figures(arguments.examples / "README.md", figures)


def both_tables(held_out: str, elsewhere: str) -> str:
    """Put a word before each of the two tables."""
    return (
        f"The last days of the simulation that was trained on:\n\n{held_out}\n\n"
        f"As many days of another simulation (seed {FRESH_SEED}):\n\n{elsewhere}"
    )


def train_and_export(recipe: Recipe, data: TradingData, out: Path, seed: int) -> str:
    """Train one policy and write its ONNX file, once it is proven to be what was trained.

    Returns:
        What the comparison of the file with the policy found.

    Raises:
        SystemExit: the file does not say what the policy says.
    """
    features = data.observations.shape[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        zipped, normalizer = folder / "policy.zip", folder / "normalizer.pkl"
        exported = folder / "policy.onnx"
        _train(recipe, data, seed, zipped, normalizer)
        export_policy(
            zipped,
            exported,
            algorithm=recipe.algorithm,
            observation_dim=features,
            actions=None if recipe.is_continuous else ACTIONS,
            normalizer=normalizer,
            feature_schema=USDCOP_M5.hash,
            threshold=None,
            temperature=None,
        )
        report = verify_export(
            zipped,
            exported,
            algorithm=recipe.algorithm,
            observation_dim=features,
            normalizer=normalizer,
        )
        if not report.passed:
            raise SystemExit(f"{recipe.name}: the file is not what was trained: {report}")
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{recipe.name}.onnx").write_bytes(exported.read_bytes())
    return f"exported, largest difference {report.largest_difference:.1e} on {report.rows} rows"


def _train(recipe: Recipe, data: TradingData, seed: int, zipped: Path, normalizer: Path) -> None:
    def environment() -> TradingEnvironment:
        return TradingEnvironment(data, continuous=recipe.is_continuous)

    makers: list[Callable[[], TradingEnvironment]] = [environment] * recipe.environments
    environments = VecNormalize(DummyVecEnv(makers), norm_reward=False, clip_obs=LARGEST_SCORE)
    trainer = getattr(stable_baselines3, recipe.algorithm.value)(
        "MlpPolicy",
        environments,
        # A decision moves neither the market nor a later reward: there is nothing to discount.
        gamma=0.0,
        policy_kwargs={"net_arch": [64, 64]},
        seed=seed,
        device="cpu",
        **recipe.options,
    )
    trainer.learn(recipe.steps)
    trainer.save(zipped)
    environments.save(str(normalizer))


def replace_figures(readme: Path, figures: str) -> None:
    """Put the table between its two marks.

    Raises:
        ValueError: the file lacks a mark.
    """
    before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{readme} lacks the marks {BEGIN!r} and {END!r}")
    readme.write_text(f"{before}{BEGIN}\n{figures}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
