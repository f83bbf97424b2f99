"""When the models' actions have collapsed onto one, or their mix has changed."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.drift.actions import ACTIONS, ActionMix, action_mix


def mix(signals: list[int] | np.ndarray) -> ActionMix:
    return action_mix(np.array(signals, dtype=np.int8), most_of_one=0.8, least_entropy=0.5)


def drawn(shares: tuple[float, float, float], count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).choice(3, size=count, p=shares)


def test_three_equally_frequent_actions_have_the_entropy_of_three() -> None:
    found = mix([0, 1, 2] * 100)

    assert found.entropy == pytest.approx(math.log(3), abs=1e-4)
    assert not found.collapsed


def test_one_action_alone_is_a_collapse() -> None:
    found = mix([1] * ACTIONS)

    assert found.entropy == 0.0
    assert found.shares == {"SELL": 0.0, "HOLD": 1.0, "BUY": 0.0}
    assert len(found.reasons) == 2


@pytest.mark.parametrize(("holds", "collapsed"), [(160, False), (161, True)])
def test_more_than_four_fifths_of_one_action_is_a_collapse(holds: int, collapsed: bool) -> None:
    others = ACTIONS - holds
    found = mix([1] * holds + [0] * (others // 2) + [2] * (others - others // 2))

    assert found.collapsed is collapsed


def test_fewer_decisions_than_are_looked_at_are_not_judged() -> None:
    assert not mix([1] * (ACTIONS - 1)).collapsed
    assert not mix([]).collapsed
    assert not mix([-1] * 500).collapsed


def test_only_the_newest_decisions_count() -> None:
    assert not mix([1] * 500 + [0, 1, 2] * 67).collapsed


def test_a_mix_that_varies_as_it_always_did_has_not_changed() -> None:
    changed = [mix(drawn((0.3, 0.4, 0.3), 2000, seed)).collapsed for seed in range(30)]

    assert sum(changed) == 0


def test_a_mix_that_is_another_one_has_changed() -> None:
    before = drawn((0.1, 0.7, 0.2), 1500)
    now = drawn((0.6, 0.2, 0.2), ACTIONS)

    found = mix(np.concatenate([before, now]))

    assert found.change is not None
    assert "other actions than before" in found.reasons[0]


@given(st.lists(st.integers(-1, 2), max_size=600))
def test_shares_and_entropy_stay_within_what_they_can_be(signals: list[int]) -> None:
    found = mix(signals)

    assert sum(found.shares.values()) in (pytest.approx(1.0), 0.0)
    assert 0.0 <= found.entropy <= math.log(3) + 1e-9
    assert found.decisions <= ACTIONS
