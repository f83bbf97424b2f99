"""Classifiers as their own libraries write them, read by the runner."""

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
from numpy.typing import NDArray
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType as LightgbmFloat
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from config.settings import ModelSettings
from errors import ModelMismatch
from models.store import BentoModelStore
from runners.loading import inspect_model, load_runner
from runners.metadata import parse_actions
from runners.signal import ACTIONS

FEATURES = 6
NUMBERS = np.array([-1, 0, 1])
WORDS = np.array(["SELL", "HOLD", "BUY"])


def training_data(labels: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Three classes, SELL to BUY, along the first feature."""
    random = np.random.default_rng(5)
    observations = random.normal(size=(400, FEATURES)).astype(np.float32)
    index = np.digitize(observations[:, 0] + 0.1 * random.normal(size=400), [-0.4, 0.4])
    return observations, labels[index]


def scikit_learn_file(model: Any, *, zipmap: bool) -> bytes:
    example = np.zeros((1, FEATURES), dtype=np.float32)
    converted = to_onnx(model, example, options={id(model): {"zipmap": zipmap}}, target_opset=15)
    content: bytes = converted.SerializeToString()
    return content


def lightgbm_file(model: Any, *, zipmap: bool) -> bytes:
    converted = convert_lightgbm(
        model,
        initial_types=[("observation", LightgbmFloat([None, FEATURES]))],
        zipmap=zipmap,
        target_opset=15,
    )
    content: bytes = converted.SerializeToString()
    return content


def trained(kind: str, labels: NDArray[Any], *, zipmap: bool) -> tuple[Any, bytes]:
    observations, target = training_data(labels)
    if kind == "lightgbm":
        model: Any = lightgbm.LGBMClassifier(n_estimators=8, num_leaves=7, verbose=-1)
        model.fit(observations, target)
        return model, lightgbm_file(model, zipmap=zipmap)
    if kind == "forest":
        model = RandomForestClassifier(n_estimators=8, max_depth=4, random_state=1)
    elif kind == "vector":  # its labels are not always those of the largest probability
        model = SVC(probability=True, random_state=1)
    else:
        model = LogisticRegression()
    model.fit(observations, target)
    return model, scikit_learn_file(model, zipmap=zipmap)


def declared(actions: str) -> dict[str, str]:
    return {
        "algorithm": "CLASSIFIER",
        "output": "label_and_probabilities",
        "observation_dim": str(FEATURES),
        "actions": actions,
    }


SETTINGS = ModelSettings.model_validate(
    {"name": "tree", "tag": "tree", "algorithm": "CLASSIFIER", "observation_dim": FEATURES}
)


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize(
    ("labels", "actions"),
    [(NUMBERS, "SELL,HOLD,BUY"), (np.array([2, 0, 1]), "HOLD,BUY,SELL"), (WORDS, "BUY,HOLD,SELL")],
    ids=["signs", "numbers", "words"],
)
@pytest.mark.parametrize("kind", ["logistic", "forest", "lightgbm"])
def test_a_classifier_says_what_its_library_says(
    kind: str, labels: NDArray[Any], actions: str, zipmap: bool, store: BentoModelStore
) -> None:
    model, content = trained(kind, labels, zipmap=zipmap)
    metadata = inspect_model(content, source="tree.onnx", declared=declared(actions))
    runner = load_runner(SETTINGS, store.register("tree", content, metadata), feature_schema=None)
    observations = np.random.default_rng(6).normal(size=(50, FEATURES)).astype(np.float32)
    own_columns = [parse_actions(actions).index(action) for action in ACTIONS]
    if kind == "lightgbm":
        expected = model.booster_.predict(observations.astype(np.float64))[:, own_columns]
    else:
        expected = model.predict_proba(observations)[:, own_columns]
    found = runner.probabilities(observations)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    np.testing.assert_allclose(runner.probabilities(observations[:1]), found[:1], atol=1e-6)
    extremes = np.zeros((2, FEATURES), dtype=np.float32)
    extremes[:, 0] = [-3.0, 3.0]
    likeliest = runner.probabilities(extremes).argmax(axis=1)
    assert [ACTIONS[index] for index in likeliest] == ["SELL", "BUY"]


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("kind", ["logistic", "lightgbm"])
def test_labels_that_are_words_disprove_a_wrong_action_order(kind: str, zipmap: bool) -> None:
    _, content = trained(kind, WORDS, zipmap=zipmap)
    with pytest.raises(ModelMismatch, match=r"tree\.onnx: actions is 'SELL,HOLD,BUY', but it"):
        inspect_model(content, source="tree.onnx", declared=declared("SELL,HOLD,BUY"))


OUTPUTS = ["probabilities", "label_and_probabilities"]
CASED = np.array(["Sell", "Hold", "Buy"])
OTHER_WORDS = np.array(["short", "flat", "long"])


@pytest.mark.filterwarnings("ignore:.*prob:FutureWarning")
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("kind", ["logistic", "forest", "lightgbm", "vector"])
def test_labels_in_another_case_prove_the_order_whatever_the_output_is_called(
    kind: str, zipmap: bool, output: str
) -> None:
    _, content = trained(kind, CASED, zipmap=zipmap)
    right = {**declared("BUY,HOLD,SELL"), "output": output}
    assert inspect_model(content, source="tree.onnx", declared=right).columns == (2, 1, 0)
    for order in ("SELL,HOLD,BUY", "HOLD,BUY,SELL", "BUY,SELL,HOLD"):
        with pytest.raises(ModelMismatch, match=f"actions is '{order}', but its class in column"):
            inspect_model(content, source="tree.onnx", declared={**right, "actions": order})


@pytest.mark.filterwarnings("ignore:.*prob:FutureWarning")
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("kind", ["logistic", "forest", "lightgbm", "vector"])
def test_other_words_are_served_only_with_their_meaning_column_by_column(
    kind: str, zipmap: bool, output: str
) -> None:
    _, content = trained(kind, OTHER_WORDS, zipmap=zipmap)
    bare = {**declared("HOLD,BUY,SELL"), "output": output}
    with pytest.raises(ModelMismatch, match="flat,long,short; say what the columns mean"):
        inspect_model(content, source="tree.onnx", declared=bare)
    right = {**bare, "classes": "flat,long,short"}
    metadata = inspect_model(content, source="tree.onnx", declared=right)
    assert metadata.classes == ("flat", "long", "short")
    wrong = {**bare, "actions": "SELL,HOLD,BUY", "classes": "short,flat,long"}
    with pytest.raises(ModelMismatch, match="classes is 'short,flat,long', but its classes in col"):
        inspect_model(content, source="tree.onnx", declared=wrong)


@pytest.mark.parametrize("zipmap", [True, False])
def test_a_classifier_of_four_classes_is_refused(zipmap: bool) -> None:
    observations, _ = training_data(NUMBERS)
    target = np.digitize(observations[:, 0], [-0.5, 0.0, 0.5])
    content = scikit_learn_file(LogisticRegression().fit(observations, target), zipmap=zipmap)
    with pytest.raises(ModelMismatch, match=r"must be \(n, 3\)|4 classes \(0,1,2,3\); it must"):
        inspect_model(content, source="four.onnx", declared=declared("SELL,HOLD,BUY"))


def test_a_classifier_that_always_answers_the_same_needs_its_classes_declared() -> None:
    observations, target = training_data(WORDS)
    model = DecisionTreeClassifier(min_samples_leaf=len(target)).fit(observations, target)
    content = scikit_learn_file(model, zipmap=False)
    with pytest.raises(ModelMismatch, match="prove no column order"):
        inspect_model(content, source="tree.onnx", declared=declared("BUY,HOLD,SELL"))
    told = {**declared("BUY,HOLD,SELL"), "classes": "BUY,HOLD,SELL"}
    assert inspect_model(content, source="tree.onnx", declared=told).columns == (2, 1, 0)


@pytest.mark.parametrize("zipmap", [True, False])
def test_a_classifier_of_two_classes_is_refused(zipmap: bool) -> None:
    observations, target = training_data(NUMBERS)
    model = LogisticRegression().fit(observations, target > 0)
    content = scikit_learn_file(model, zipmap=zipmap)
    with pytest.raises(ModelMismatch, match=r"must be \(n, 3\)|2 classes \(0,1\); it must have"):
        inspect_model(content, source="two.onnx", declared=declared("SELL,HOLD,BUY"))


def test_a_file_alone_never_says_what_its_classes_mean(tmp_path: Path) -> None:
    _, content = trained("logistic", NUMBERS, zipmap=True)
    (tmp_path / "tree.onnx").write_bytes(content)
    with pytest.raises(ModelMismatch, match="'actions' is missing"):
        inspect_model(
            content,
            source=str(tmp_path / "tree.onnx"),
            declared={k: v for k, v in declared("").items() if k != "actions"},
        )
