"""A schema of one's own: what a file may name, and what becomes of the features of the book."""

from typing import Any

import pytest

from errors import InvalidRequest, NotReady
from features.compute import WINDOW, compute_series, compute_vector
from features.own_schema import schema_from_document
from features.schema import USDCOP_M5
from features.state_features import BookValues, filled, without_state
from tests.features.market import random_bars, random_macro, same_bits

DOCUMENT: dict[str, Any] = {
    "version": "desk-1",
    "features": ["rsi_14", "position", "log_return_5m", "minutes_left", "dxy_z"],
}
OWN_NUMBER = {"name": "order_flow", "formula": "signed volume over its average", "unit": "ratio"}


def test_features_of_the_market_have_the_values_of_the_built_in_schema() -> None:
    schema, bars, macro = schema_from_document(DOCUMENT), random_bars(WINDOW + 50), random_macro()

    own = compute_series(bars, macro, schema=schema).matrix
    built_in = compute_series(bars, macro).matrix

    for column, name in enumerate(schema.names):
        if name in USDCOP_M5.names:
            assert same_bits(own[:, column], built_in[:, USDCOP_M5.names.index(name)])
    one = compute_vector(bars.closes, bars.starts, macro, schema=schema)
    assert same_bits(one, own[-1])


def test_features_of_the_book_are_filled_in_and_taken_out_again() -> None:
    schema = schema_from_document(DOCUMENT)
    vector = compute_vector(
        random_bars(WINDOW).closes, random_bars(WINDOW).starts, random_macro(), schema=schema
    )

    whole = filled(vector, schema, BookValues(0.08, -0.01, 42.5))

    assert whole[[1, 3]].tolist() == pytest.approx([0.08, 42.5])
    assert same_bits(without_state(whole, schema), vector)
    assert vector[[1, 3]].tolist() == [0.0, 0.0]
    assert "position" not in schema.named(whole)


def test_the_hash_depends_on_names_and_their_order() -> None:
    names = DOCUMENT["features"]
    hashes = {
        schema_from_document({"version": version, "features": features}).hash
        for version, features in (
            ("desk-1", names), ("desk-2", names), ("desk-1", names[::-1]), ("desk-1", names[:-1]),
        )
    }  # fmt: skip
    assert len(hashes) == 4


def test_a_vector_with_a_number_of_the_callers_own_is_never_computed() -> None:
    schema = schema_from_document({"version": "desk-1", "features": ["rsi_14", OWN_NUMBER]})

    with pytest.raises(NotReady, match=r"only callers know: order_flow"):
        compute_series(random_bars(WINDOW), random_macro(), schema=schema)
    ordered = schema.order({"order_flow": 2.0, "rsi_14": 50.0})
    assert ordered.tolist() == [50.0, 2.0]


def test_names_of_the_book_may_be_left_out_all_or_none() -> None:
    schema = schema_from_document(DOCUMENT)
    market = {"rsi_14": 50.0, "log_return_5m": 0.1, "dxy_z": 1.0}

    assert schema.order(market).tolist() == pytest.approx([50.0, 0.0, 0.1, 0.0, 1.0])
    given = schema.order({**market, "position": 0.5, "minutes_left": 3.0})
    assert given.tolist() == pytest.approx([50.0, 0.5, 0.1, 3.0, 1.0])
    with pytest.raises(InvalidRequest, match="missing: minutes_left"):
        schema.order({**market, "position": 0.5})


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        (["rsi_14"], "keys `version` and `features`"),
        ({"version": "a", "features": [], "more": 1}, "keys `version` and `features`"),
        ({"version": "", "features": ["rsi_14"]}, "a name of your own"),
        ({"version": USDCOP_M5.version, "features": ["rsi_14"]}, "a name of your own"),
        ({"version": "a", "features": []}, "at least one entry"),
        ({"version": "a", "features": "rsi_14"}, "at least one entry"),
        ({"version": "a", "features": ["rsi14"]}, "did you mean 'rsi_14'"),
        ({"version": "a", "features": ["rsi_14", "rsi_14"]}, "names 'rsi_14' twice"),
        ({"version": "a", "features": [3]}, "feature 1 must be the name"),
        ({"version": "a", "features": [{"name": "x"}]}, "name, formula and unit"),
        ({"version": "a", "features": [{**OWN_NUMBER, "unit": ""}]}, "unit must be text"),
        ({"version": "a", "features": [{**OWN_NUMBER, "name": "rsi_14"}]}, "is built in"),
    ],
)
def test_what_is_no_schema_is_refused_by_its_place(document: Any, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        schema_from_document(document)
