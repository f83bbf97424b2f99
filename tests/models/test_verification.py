import sys
from pathlib import Path

import numpy as np
import pytest

from config.settings import Algorithm
from errors import ModelError, ModelMismatch
from models.export import verify_export
from models.verification import compare, probe_observations

OBSERVATIONS = np.arange(6, dtype=np.float32).reshape(3, 2)
EXPECTED = {"q_values": np.array([[1, 2, 3], [4, 5, 60_000], [7, 8, 9]], dtype=np.float32)}


def test_equal_outputs_differ_by_nothing() -> None:
    report = compare(EXPECTED, EXPECTED, OBSERVATIONS)
    assert (report.passed, report.largest_difference, report.rows) == (True, 0.0, 3)


def test_the_largest_difference_is_found_where_it_is() -> None:
    found = {"q_values": EXPECTED["q_values"].copy()}
    found["q_values"][2, 1] += 0.4
    report = compare(EXPECTED, found, OBSERVATIONS)
    assert not report.passed
    assert (report.output, report.row) == ("q_values", 2)
    assert report.largest_difference == pytest.approx(0.05)
    assert "'q_values' at row 2" in str(report)
    assert "[4. 5.]" in str(report)


def test_a_difference_counts_relative_to_a_value_beyond_one() -> None:
    found = {"q_values": EXPECTED["q_values"].copy()}
    found["q_values"][1, 2] += 0.05
    assert compare(EXPECTED, found, OBSERVATIONS).passed


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_number_that_is_not_finite_never_passes(value: float) -> None:
    found = {"q_values": EXPECTED["q_values"].copy()}
    found["q_values"][0, 0] = value
    report = compare(EXPECTED, found, OBSERVATIONS)
    assert (report.passed, report.row) == (False, 0)


def test_another_shape_is_refused() -> None:
    with pytest.raises(ModelMismatch, match=r"shape \(3, 2\); the policy gives \(3, 3\)"):
        compare(EXPECTED, {"q_values": EXPECTED["q_values"][:, :2]}, OBSERVATIONS)


def test_probes_reach_every_edge() -> None:
    mean, scale = np.array([5.0, -2.0]), np.array([2.0, 0.5])
    probes = probe_observations(2, rows=1000, seed=0, mean=mean, scale=scale, limit=10.0)
    deviations = (probes - mean) / scale
    assert probes.shape == (1000, 2)
    assert probes.dtype == np.float32
    assert (probes == 0).all(axis=1).any()
    assert (probes < 0).all(axis=1).any()
    for limit in (-10.0, 10.0):
        assert (np.abs(deviations - limit) < 1e-5).any(axis=0).all()
    assert (deviations > 900).any(axis=0).all()
    assert (deviations < -900).any(axis=0).all()
    assert np.isfinite(probes).all()


def test_probes_are_the_same_for_the_same_seed() -> None:
    one, same, other = (probe_observations(3, rows=100, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_export_without_torch_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "models.policies", None)
    with pytest.raises(ModelError, match="make export-env"):
        verify_export(
            Path("a.zip"),
            Path("a.onnx"),
            algorithm=Algorithm.PPO,
            observation_dim=3,
            normalizer=None,
        )
