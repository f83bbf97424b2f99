from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Algorithm
from errors import ModelMismatch
from runners.declaration import reconcile
from runners.metadata import DEFAULT_THRESHOLD, METADATA_KEYS, ModelMetadata, OutputKind
from runners.signal import ACTIONS, Signal

DISCRETE = sorted(kind for kind in OutputKind if not kind.is_continuous)
PPO = {
    "algorithm": "PPO",
    "output": "probabilities",
    "observation_dim": "45",
    "actions": "SELL,HOLD,BUY",
}
SAC = {"algorithm": "SAC", "output": "squashed_gaussian", "observation_dim": "45"}


@st.composite
def metadatas(draw: st.DrawFn) -> ModelMetadata:
    output = draw(st.sampled_from(OutputKind))
    continuous = output.is_continuous
    algorithm = draw(st.sampled_from(Algorithm))
    has_classes = algorithm is Algorithm.CLASSIFIER and not continuous and draw(st.booleans())
    return ModelMetadata(
        algorithm=algorithm,
        classes=("short", "-1", "up or down") if has_classes else None,
        output=output,
        observation_dim=draw(st.integers(1, 999)),
        actions=None if continuous else draw(st.permutations(ACTIONS).map(tuple)),
        threshold=draw(st.none() | st.floats(1e-6, 0.999)) if continuous else None,
        temperature=draw(st.none() | st.floats(1e-6, 1e6))
        if output is OutputKind.Q_VALUES
        else None,
        feature_schema=draw(st.none() | st.text("0123456789abcdef", min_size=1, max_size=16)),
    )


@given(metadatas())
def test_metadata_reads_back_as_it_was_written(metadata: ModelMetadata) -> None:
    written = metadata.to_mapping()
    assert ModelMetadata.from_mapping(written) == metadata
    assert set(written) <= set(METADATA_KEYS)


CLASSIFIER = {**PPO, "algorithm": "CLASSIFIER"}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({**PPO, "classes": "short,flat,long"}, "for classifiers only and algorithm is PPO"),
        ({**CLASSIFIER, "classes": "short,flat"}, "the three labels .* once each"),
        ({**CLASSIFIER, "classes": "a,b,b"}, "the three labels .* once each"),
        ({**CLASSIFIER, "classes": "a,,b"}, "the three labels .* once each"),
        ({**CLASSIFIER, "classes": "Buy,flat,Sell"}, "disagree: .* Buy would be SELL"),
    ],
)
def test_classes_that_say_nothing_or_contradict_the_actions_are_refused(
    metadata: dict[str, str], message: str
) -> None:
    with pytest.raises(ModelMismatch, match=message):
        ModelMetadata.from_mapping(metadata)


@pytest.mark.parametrize("order", list(permutations(ACTIONS)))
def test_columns_say_where_each_action_lies(order: tuple[Signal, ...]) -> None:
    metadata = ModelMetadata.from_mapping({**PPO, "actions": ",".join(order)})
    assert [order[column] for column in metadata.columns] == list(ACTIONS)


@pytest.mark.parametrize("output", DISCRETE)
def test_a_discrete_model_without_actions_is_refused(output: OutputKind) -> None:
    with pytest.raises(ModelMismatch, match=r"'actions' is missing.*never guessed"):
        ModelMetadata(algorithm=Algorithm.PPO, output=output, observation_dim=45)


@pytest.mark.parametrize(
    "actions", ["", "SELL,HOLD", "SELL,HOLD,HOLD", "SELL,HOLD,BUY,BUY", "sell,hold,buy", "0,1,2"]
)
def test_actions_must_name_each_action_once(actions: str) -> None:
    with pytest.raises(ModelMismatch, match=r"'actions' is .*SELL, HOLD and BUY once each"):
        ModelMetadata.from_mapping({**PPO, "actions": actions})


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("algorithm", "ppo", "one of PPO, A2C"),
        ("output", "softmax", "one of probabilities, logits"),
        ("observation_dim", "0", "at least 1"),
        ("observation_dim", "-45", "a whole number above 0"),
        ("observation_dim", "45.0", "a whole number above 0"),
        ("observation_dim", "9" * 5000, "a whole number above 0"),
        ("temperature", "1", "Q-values only"),
        ("threshold", "0.3", "continuous outputs only"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_what_is(
    key: str, value: str, allowed: str
) -> None:
    with pytest.raises(ModelMismatch) as refusal:
        ModelMetadata.from_mapping({**PPO, key: value})
    message = str(refusal.value)
    assert repr(key) in message
    assert value in message
    assert allowed in message


@pytest.mark.parametrize("threshold", ["0", "1", "-0.3", "nan", "inf", "much"])
def test_a_threshold_outside_its_range_is_refused(threshold: str) -> None:
    with pytest.raises(ModelMismatch, match="'threshold' is"):
        ModelMetadata.from_mapping({**SAC, "threshold": threshold})


@pytest.mark.parametrize("temperature", ["0", "-1", "nan", "inf", "warm"])
def test_a_temperature_outside_its_range_is_refused(temperature: str) -> None:
    dqn = {**PPO, "algorithm": "DQN", "output": "q_values"}
    with pytest.raises(ModelMismatch, match="'temperature' is"):
        ModelMetadata.from_mapping({**dqn, "temperature": temperature})


@pytest.mark.parametrize("key", ["algorithm", "output", "observation_dim"])
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(ModelMismatch, match=f"'{key}' is missing"):
        ModelMetadata.from_mapping({k: v for k, v in PPO.items() if k != key})


def test_a_misspelt_key_is_refused_instead_of_ignored() -> None:
    with pytest.raises(ModelMismatch, match=r"'treshold'.*did you mean 'threshold'"):
        ModelMetadata.from_mapping({**SAC, "treshold": "0.5"})


def test_keys_of_other_producers_are_ignored() -> None:
    assert ModelMetadata.from_mapping({**PPO, "lightgbm.objective": "multiclass"}).columns


def test_a_continuous_model_with_an_action_order_is_refused() -> None:
    with pytest.raises(ModelMismatch, match="leave 'actions' out"):
        ModelMetadata.from_mapping({**SAC, "actions": "SELL,HOLD,BUY"})


def test_a_continuous_model_has_a_threshold_even_when_it_names_none() -> None:
    assert ModelMetadata.from_mapping(SAC).threshold == DEFAULT_THRESHOLD


def test_a_declaration_completes_a_file() -> None:
    without = {key: value for key, value in PPO.items() if key != "actions"}
    metadata = reconcile(without, {"actions": "HOLD,BUY,SELL"}, declared_by="--actions")
    assert metadata.actions == (Signal.HOLD, Signal.BUY, Signal.SELL)


def test_a_declaration_that_contradicts_a_file_is_refused_with_both_values() -> None:
    with pytest.raises(ModelMismatch, match="'SELL,HOLD,BUY' in the file and 'HOLD,BUY,SELL' in"):
        reconcile(PPO, {"actions": "HOLD,BUY,SELL"}, declared_by="what was declared")


def test_another_spelling_of_the_same_value_is_no_contradiction() -> None:
    metadata = reconcile(
        {**SAC, "threshold": "0.30"}, {"threshold": "0.3"}, declared_by="the model store"
    )
    assert metadata.threshold == 0.3
