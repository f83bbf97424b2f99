from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import Conflict, InvalidRequest
from features.macro import MACRO_COLUMNS, DailySeries, MacroSeries
from features.macro_limits import MACRO_SERIES, MacroSpec
from features.macro_screen import Suspect, merged, require_believable, suspects
from tests.features.market import MONDAY

Pairs = list[tuple[int, float]]

FRIDAY = MONDAY - 3
SERIES = st.sampled_from(MACRO_SERIES)


def known(**values: Mapping[int, float]) -> MacroSeries:
    return MacroSeries({name: DailySeries.of(values.get(name, {})) for name in MACRO_COLUMNS})


def named(found: Sequence[Suspect]) -> list[tuple[str, int, float]]:
    return [(suspect.series, suspect.day, suspect.value) for suspect in found]


@st.composite
def walks(draw: st.DrawFn, spec: MacroSpec, least: int = 1) -> Pairs:
    """A plausible random walk: small steps between the limits, some days left out."""
    days = draw(st.lists(st.integers(0, 40), min_size=least, max_size=20, unique=True))
    share = draw(st.floats(0, 1))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    start = spec.low * (spec.high / spec.low) ** share
    steps = 0.02 if spec.positive else 0.02 * spec.largest_step / spec.high
    levels = start * np.exp(np.cumsum(rng.uniform(-steps, steps, 41)))
    return [
        (MONDAY + day, float(np.clip(levels[day], spec.low, spec.high))) for day in sorted(days)
    ]


@given(data=st.data(), spec=SERIES)
def test_a_plausible_walk_holds_no_suspect(data: st.DataObject, spec: MacroSpec) -> None:
    walk = data.draw(walks(spec))

    assert suspects({spec.name: walk}, None) == ()


@given(data=st.data(), spec=SERIES, wrong=st.sampled_from([100.0, 0.01]))
def test_two_digits_lost_or_gained_are_found_anywhere_and_no_other_value_is_named(
    data: st.DataObject, spec: MacroSpec, wrong: float
) -> None:
    walk = data.draw(walks(spec))
    at = data.draw(st.integers(0, len(walk) - 1))
    day, value = walk[at]
    walk[at] = (day, value * wrong)
    first_known = data.draw(st.integers(0, len(walk)))
    # What is known is trusted; the wrong value is always among the new ones.
    trusted = dict(pair for pair in walk[first_known:] if pair[0] != day)
    new = [pair for pair in walk if pair[0] not in trusted]

    found = suspects({spec.name: data.draw(st.permutations(new))}, known(**{spec.name: trusted}))

    assert named(found) == [(spec.name, day, value * wrong)]


@given(data=st.data(), spec=SERIES)
def test_merging_in_any_order_gives_the_same_series(data: st.DataObject, spec: MacroSpec) -> None:
    walk = data.draw(walks(spec))
    shuffled = data.draw(st.permutations(walk))
    cut = data.draw(st.integers(0, len(walk)))

    at_once = merged(None, {spec.name: walk}, confirm=False)
    first = merged(None, {spec.name: shuffled[:cut]}, confirm=False)
    second = merged(first.series, {spec.name: shuffled[cut:]}, confirm=False)

    assert second.series.to_json() == at_once.series.to_json()
    assert first.added + second.added == at_once.added == len(walk)


@given(data=st.data(), spec=SERIES)
def test_sending_the_same_values_again_changes_nothing(
    data: st.DataObject, spec: MacroSpec
) -> None:
    walk = data.draw(walks(spec))
    once = merged(None, {spec.name: walk}, confirm=False)

    again = merged(once.series, {spec.name: walk}, confirm=False)

    assert again.series.to_json() == once.series.to_json()
    assert (again.added, again.repeated, again.corrected) == (0, len(walk), 0)


def test_a_lost_decimal_point_is_told_with_what_it_was_before_and_what_is_true() -> None:
    (found,) = suspects({"usdmxn": [(MONDAY, 174650.0)]}, known(usdmxn={FRIDAY: 18.6}))

    assert found == Suspect(
        "usdmxn",
        MONDAY,
        174650.0,
        "usdmxn is 174650 on 2026-03-02, 9389.8 times the 18.6 of 2026-02-27; a true change is "
        "below 3 times: is a decimal point lost?",
    )


@pytest.mark.parametrize(
    ("series", "stored", "value", "said"),
    [
        ("vix", 20.0, 6.0, "vix is 6 on 2026-03-02, 1/3.3 of the 20 of 2026-02-27; a true"),
        ("vix", 20.0, 60.0, "3.0 times the 20 of 2026-02-27; a true change is below 3 times"),
        ("ust10y", 4.0, 4.75, "0.75 percentage points above the 4 of 2026-02-27; a true change is"),
        ("ust10y", 4.0, 0.4, "3.6 percentage points below the 4 of 2026-02-27; a true change is"),
        ("ust10y", 4.2, 420.0, "415.8 percentage points above the 4.2"),
        ("col10y", 10.0, 13.0, "a true change is below 3 percentage points"),
        ("ust10y", 0.21, 0.19, "true values lie between 0.2 and 15 %"),
        ("ust10y", 0.21, -0.1, "true values lie between 0.2 and 15 %"),
    ],
)
def test_a_step_as_large_as_no_true_one_is_suspect(
    series: str, stored: float, value: float, said: str
) -> None:
    (found,) = suspects({series: [(MONDAY, value)]}, known(**{series: {FRIDAY: stored}}))

    assert said in found.message


@pytest.mark.parametrize(
    ("series", "stored", "value"),
    [("vix", 20.0, 59.9), ("vix", 20.0, 6.7), ("ust10y", 4.0, 3.3), ("col10y", 10.0, 12.9)],
)
def test_a_step_below_the_largest_is_believed(series: str, stored: float, value: float) -> None:
    assert not suspects({series: [(MONDAY, value)]}, known(**{series: {FRIDAY: stored}}))


def test_a_value_without_neighbours_is_held_against_the_plausible_levels() -> None:
    (found,) = suspects({"brent": [(MONDAY, 7500.0)]}, None)

    assert found.message == (
        "brent is 7500 on 2026-03-02; true values lie between 5 and 300 USD per barrel: is a "
        "decimal point lost?"
    )


def test_values_more_than_a_week_apart_are_not_compared() -> None:
    before = {MONDAY - 8: 12.0}

    assert not suspects({"vix": [(MONDAY, 60.0)]}, known(vix=before))
    assert suspects({"vix": [(MONDAY - 1, 60.0)]}, known(vix=before))


def test_a_late_value_is_held_against_the_one_after_it() -> None:
    (found,) = suspects({"vix": [(FRIDAY, 70.0)]}, known(vix={MONDAY: 20.0}))

    assert "3.5 times the 20 of 2026-03-02" in found.message


@pytest.mark.parametrize("at", range(5))
def test_of_one_wrong_value_among_good_ones_the_wrong_one_is_named(at: int) -> None:
    values = [20.0, 21.0, 19.0, 20.5, 22.0]
    values[at] *= 5  # still a level that the VIX might have
    walk = [(MONDAY + day, value) for day, value in enumerate(values)]

    assert named(suspects({"vix": walk}, None)) == [("vix", MONDAY + at, values[at])]


def test_a_wrong_value_does_not_condemn_its_good_successor() -> None:
    found = suspects({"vix": [(MONDAY, 100.0), (MONDAY + 1, 20.0)]}, known(vix={FRIDAY: 20.0}))

    assert named(found) == [("vix", MONDAY, 100.0)]


def test_a_whole_run_in_another_unit_is_named_and_what_is_known_is_not() -> None:
    run = [(MONDAY + day, 1500.0) for day in range(10)]

    found = suspects({"embi_col": run}, known(embi_col={FRIDAY: 300.0}))

    assert named(found) == [("embi_col", *pair) for pair in run]
    assert all("the 300 of 2026-02-27" in suspect.message for suspect in found)


def test_values_beside_a_confirmed_one_beyond_the_levels_are_believed() -> None:
    confirmed = merged(None, {"ust10y": [(FRIDAY, -0.1)]}, confirm=True)

    assert confirmed.confirmed == (
        "ust10y is -0.1 on 2026-02-27; true values lie between 0.2 and 15 %: is a decimal point "
        "lost?",
    )
    assert not suspects({"ust10y": [(MONDAY, -0.2), (MONDAY + 1, 0.3)]}, confirmed.series)


def test_the_least_and_the_greatest_values_are_no_arithmetic_fault() -> None:
    tiny = merged(None, {"dxy": [(FRIDAY, 1e-6)]}, confirm=True).series

    assert suspects({"dxy": [(MONDAY, 100.0)]}, tiny)
    assert suspects({"dxy": [(MONDAY, 1e12)]}, tiny)
    assert suspects({"col10y": [(MONDAY, 1e12), (MONDAY + 1, -1e12)]}, None)


def test_many_values_that_contradict_one_another_are_judged_in_bounded_time() -> None:
    values = [(MONDAY + day, 10.0 if day % 2 else 40.0) for day in range(2000)]

    assert len(suspects({"vix": values}, None)) == 1000


def test_a_suspect_is_refused_with_a_list_unless_confirmed() -> None:
    values = {"usdmxn": [(MONDAY, 174650.0)], "vix": [(MONDAY, 20.0)], "brent": [(MONDAY, 0.75)]}
    before = known(usdmxn={FRIDAY: 18.6})

    with pytest.raises(InvalidRequest) as caught:
        merged(before, values, confirm=False)
    meant = merged(before, values, confirm=True)

    assert caught.value.code == "suspect_macro_value"
    assert caught.value.message == (
        "usdmxn is 174650 on 2026-03-02, 9389.8 times the 18.6 of 2026-02-27; a true change is "
        "below 3 times: is a decimal point lost? 2 values are suspect. Send `confirm: true` if it "
        "is meant"
    )
    assert isinstance(caught.value.detail, list)
    assert [(one["series"], one["date"], one["value"]) for one in caught.value.detail] == [
        ("usdmxn", "2026-03-02", 174650.0),
        ("brent", "2026-03-02", 0.75),
    ]
    assert meant.added == 3
    assert meant.confirmed == tuple(one["message"] for one in caught.value.detail)
    assert meant.series.to_json()["usdmxn"] == [["2026-02-27", 18.6], ["2026-03-02", 174650.0]]


def test_another_value_for_a_known_date_is_a_conflict_unless_confirmed() -> None:
    before = known(vix={FRIDAY: 20.0, MONDAY: 21.0})

    with pytest.raises(Conflict) as caught:
        merged(before, {"vix": [(FRIDAY, 20.5), (MONDAY, 21.0)]}, confirm=False)
    corrected = merged(before, {"vix": [(FRIDAY, 20.5), (MONDAY, 21.0)]}, confirm=True)

    assert caught.value.message == (
        "vix of 2026-02-27 is known as 20.0, not 20.5; send `confirm: true` if this corrects it"
    )
    assert (corrected.added, corrected.repeated, corrected.corrected) == (0, 1, 1)
    assert corrected.confirmed == ("vix of 2026-02-27 is known as 20.0, not 20.5",)
    assert corrected.series.by_day("vix") == {FRIDAY: 20.5, MONDAY: 21.0}


def test_a_wrong_value_once_confirmed_can_be_corrected() -> None:
    wrong = merged(known(usdmxn={FRIDAY: 18.6}), {"usdmxn": [(MONDAY, 174650.0)]}, confirm=True)

    right = merged(wrong.series, {"usdmxn": [(MONDAY, 17.465)]}, confirm=True)

    assert right.confirmed == ("usdmxn of 2026-03-02 is known as 174650.0, not 17.465",)
    assert not suspects({"usdmxn": [(MONDAY + 1, 17.5)]}, right.series)


def test_what_was_known_is_left_as_it_was() -> None:
    before = known(vix={FRIDAY: 20.0})

    merged(before, {"vix": [(FRIDAY, 21.0), (MONDAY, 21.0)]}, confirm=True)

    assert before.by_day("vix") == {FRIDAY: 20.0}


def test_nothing_known_and_nothing_sent_are_seven_series_without_values() -> None:
    nothing = merged(None, {}, confirm=False)

    assert nothing.series.to_json() == {name: [] for name in MACRO_COLUMNS}
    assert (nothing.added, nothing.repeated, nothing.corrected) == (0, 0, 0)


@pytest.mark.parametrize("confirm", [False, True])
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"wti": [(MONDAY, 70.0)]}, "no macro series 'wti'; there are dxy, vix, embi_col, brent"),
        ({"vix": [(MONDAY, 0.0)]}, "vix is 0.0 on 2026-03-02; it must be positive and finite"),
        ({"vix": [(MONDAY, float("nan"))]}, "vix is nan on 2026-03-02; it must be positive and"),
        ({"dxy": [(MONDAY, 5e-324)]}, "dxy is 5e-324 on 2026-03-02; it must be positive and"),
        ({"embi_col": [(MONDAY, 1e308)]}, "embi_col is 1e+308 on 2026-03-02; it must be positive"),
        ({"ust10y": [(MONDAY, -1e308)]}, "ust10y is -1e+308 on 2026-03-02; it must be finite"),
        ({"ust10y": [(MONDAY, float("inf"))]}, "ust10y is inf on 2026-03-02; it must be finite"),
        ({"vix": [(10**9, 20.0)]}, "a date of vix is not in the years 1971 to 2199"),
        (
            {"vix": [(MONDAY, 20.0), (MONDAY, 21.0)]},
            "vix is there twice on 2026-03-02, with the values 20.0 and 21.0; keep the right one",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_even_when_confirmed(
    values: dict[str, Pairs], said: str, *, confirm: bool
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        merged(None, values, confirm=confirm)

    assert said in caught.value.message


def test_series_that_hold_no_suspect_are_believed() -> None:
    require_believable(known(vix={FRIDAY: 20.0, MONDAY: 21.0}), remedy="Correct it")

    with pytest.raises(InvalidRequest, match=r"vix is 2100 on .* Correct it$"):
        require_believable(known(vix={FRIDAY: 20.0, MONDAY: 2100.0}), remedy="Correct it")
