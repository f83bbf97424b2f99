"""What a classifier's answers say about its columns."""

import re
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Algorithm
from errors import ModelMismatch
from runners.classes import check_classes, labels_by_column
from runners.metadata import ModelMetadata, OutputKind
from runners.signal import ACTIONS, Signal

WORDS = ("flat", "long", "short")


def classifier(*actions: Signal, classes: tuple[str, ...] | None = None) -> ModelMetadata:
    return ModelMetadata(
        Algorithm.CLASSIFIER, OutputKind.PROBABILITIES, 4, actions or ACTIONS, classes=classes
    )


@given(st.permutations(WORDS), st.integers(0, 1000))
def test_the_order_is_found_although_one_label_in_five_is_not_the_largest(
    order: list[str], seed: int
) -> None:
    random = np.random.default_rng(seed)
    scores = random.dirichlet([1.0, 1.0, 1.0], size=300)
    answers = np.where(random.random(300) < 0.2, random.integers(0, 3, 300), scores.argmax(axis=1))
    assert labels_by_column([order[answer] for answer in answers], scores) == tuple(order)


def test_a_label_that_leans_to_rare_classes_does_not_hide_the_order() -> None:
    scores = np.array([[0.2, 0.5, 0.3]] * 100 + [[0.1, 0.2, 0.7]] * 10)
    labels = ["short"] * 60 + ["flat"] * 40 + ["short"] * 10
    assert labels_by_column(labels, scores)[1:] == ("flat", "short")


def test_columns_that_tie_tell_nothing() -> None:
    assert labels_by_column(["flat"] * 5, np.full((5, 3), 1 / 3)) == (None, None, None)


def test_more_labels_than_columns_are_refused() -> None:
    with pytest.raises(ModelMismatch, match=re.escape("4 labels (a,b,c,d) for three columns")):
        labels_by_column(["a", "b", "c", "d"], np.eye(4, 3))


@pytest.mark.parametrize("labels", list(permutations(["sell", "Hold", "BUY"])))
def test_words_must_be_the_declared_actions_whatever_their_case(labels: tuple[str, ...]) -> None:
    check_classes(classifier(*(Signal(label.upper()) for label in labels)), labels)
    if [label.upper() for label in labels] != list(ACTIONS):
        with pytest.raises(ModelMismatch, match="actions is 'SELL,HOLD,BUY', but its class in col"):
            check_classes(classifier(), labels)


@pytest.mark.parametrize("labels", [("0", "1", "2"), ("-1", "0", "1"), ("0", None, "2")])
def test_ascending_numbers_mean_what_actions_says(labels: tuple[str | None, ...]) -> None:
    check_classes(classifier(), labels)
    with pytest.raises(ModelMismatch, match="not ascending"):
        check_classes(classifier(), labels[::-1])


@pytest.mark.parametrize("labels", [("BUY", "HOLD", None), ("BUY", None, "SELL")])
def test_two_of_the_three_words_prove_the_third(labels: tuple[str | None, ...]) -> None:
    check_classes(classifier(*reversed(ACTIONS)), labels)


@pytest.mark.parametrize(
    "labels",
    [
        (None, "HOLD", None),
        (None, None, None),
        ("short", "flat", "long"),
        ("SELL", "neutral", "BUY"),
        ("0", "flat", "2"),
        ("1.0", "2.0", "3.0"),
    ],
)
def test_what_does_not_prove_the_order_must_be_declared(labels: tuple[str | None, ...]) -> None:
    with pytest.raises(ModelMismatch, match="say what the columns mean, column by column"):
        check_classes(classifier(), labels)
    declared = tuple(label or f"unknown{column}" for column, label in enumerate(labels))
    check_classes(classifier(classes=declared), labels)
    with pytest.raises(ModelMismatch, match="classes is 'a,b,c', but its classes in column order"):
        check_classes(classifier(classes=("a", "b", "c")), ("c", "b", "a"))


@pytest.mark.parametrize("labels", [("0",), ("0", "1"), ("0", "1", "2", "3")])
def test_a_classifier_of_other_than_three_classes_is_refused(labels: tuple[str, ...]) -> None:
    with pytest.raises(ModelMismatch, match=f"has {len(labels)} classes .* must have three"):
        check_classes(classifier(), labels)


def test_a_graph_without_labels_means_what_is_declared() -> None:
    check_classes(classifier(), ())
