"""Build the reference profile of the demonstration models: what they were trained on.

    .venv/bin/python examples/reference.py

simulates the market that `train.py` trains on and writes models/onnx/reference.json. It needs no
torch; `train.py` does the same after training.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
# Run as a script, Python looks for modules beside this file; those of the product lie above.
sys.path.insert(0, str(ROOT))

from examples.trading_data import training_profile  # noqa: E402  after the path is set

__all__ = ["write_profile"]


def main() -> None:
    """Read the arguments, build, write, say what was written."""
    parser = argparse.ArgumentParser(description="Build the demonstration models' reference.")
    parser.add_argument("--days", type=int, default=500, help="days trained on (default 500)")
    parser.add_argument("--held-out-days", type=int, default=120, help="days left out")
    parser.add_argument("--seed", type=int, default=7, help="of the market (default 7)")
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "onnx" / "reference.json")
    arguments = parser.parse_args()
    profile = training_profile(arguments.days, arguments.held_out_days, arguments.seed)
    write_profile(arguments.out, profile)
    print(f"{arguments.out}: {profile['rows']:,} vectors")


def write_profile(path: Path, profile: Mapping[str, Any]) -> None:
    """Write a reference profile as the service reads it."""
    text = json.dumps(profile, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
