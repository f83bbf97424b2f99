"""An ONNX session: one row through bound arrays says what the runtime says of it."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from benchmarks.observations import known_vectors
from errors import InferenceFault
from runners.session import OnnxSession

FOLDER = Path(__file__).parents[2] / "models" / "onnx"
NAMES = ["ppo_usdcop_v3", "sac_usdcop_v2", "a2c_macro_v1"]


def by_the_runtime(name: str, rows: NDArray[np.float32]) -> list[list[NDArray[np.float32]]]:
    session = onnxruntime.InferenceSession(FOLDER / f"{name}.onnx")
    return [session.run(None, {"observation": row[np.newaxis]}) for row in rows]


@pytest.mark.parametrize("name", NAMES)
def test_a_row_comes_out_as_the_runtime_has_it_to_the_bit(name: str) -> None:
    session, rows = OnnxSession(FOLDER / f"{name}.onnx"), known_vectors()[:50]
    outputs = [spec.name for spec in session.outputs]
    found = [session.run(outputs, row[np.newaxis]) for row in rows]
    for mine, theirs in zip(found, by_the_runtime(name, rows), strict=True):
        assert [array.tobytes() for array in mine] == [array.tobytes() for array in theirs]
        assert [array.shape for array in mine] == [array.shape for array in theirs]


def test_what_was_said_of_one_row_does_not_change_with_the_next() -> None:
    session, rows = OnnxSession(FOLDER / "ppo_usdcop_v3.onnx"), known_vectors()
    (first,) = session.run(["probabilities"], rows[:1])
    before = first.copy()
    session.run(["probabilities"], rows[500:501])
    assert np.array_equal(first, before)


def test_threads_that_ask_at_once_get_their_own_answers() -> None:
    session, rows = OnnxSession(FOLDER / "ppo_usdcop_v3.onnx"), known_vectors()[:400]
    alone = [session.run(["probabilities"], row[np.newaxis])[0].tobytes() for row in rows]
    with ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda row: session.run(["probabilities"], row[np.newaxis])[0], rows)
    assert [array.tobytes() for array in found] == alone


@pytest.mark.parametrize("width", [1, 44, 46])
def test_a_row_of_another_length_is_a_fault(width: int) -> None:
    session = OnnxSession(FOLDER / "ppo_usdcop_v3.onnx")
    with pytest.raises(InferenceFault, match="failed"):
        session.run(["probabilities"], np.zeros((1, width), np.float32))


def test_the_runtime_tells_its_maker_nothing(tmp_path: Path) -> None:
    model = FOLDER / "ppo_usdcop_v3.onnx"
    program = (
        "from pathlib import Path; from runners.session import OnnxSession; "
        f"OnnxSession(Path({str(model)!r}))"
    )
    kept = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=model.parents[2],
        env={**environment, "HOME": str(tmp_path)},
        check=True,
        timeout=60,
    )
    # It would keep there what it is about to send, and the name that it gave this machine.
    assert list(tmp_path.rglob("*")) == []
