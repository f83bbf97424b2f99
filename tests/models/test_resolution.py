from collections.abc import Mapping
from pathlib import Path

import pytest

from config.settings import ModelSettings
from errors import Conflict, ModelMismatch, ModelNotFound
from models.promotions import version_before
from models.resolution import Origin, ResolvedModel, model_file, resolve_model
from runners.loading import inspect_model
from tests.models.fakes import ModelsInMemory, PromotionsInMemory
from tests.runners.graphs import linear_graph, metadata_of

OLD, NEW = (
    linear_graph("probabilities", metadata=metadata_of("probabilities", actions=actions))
    for actions in ("SELL,HOLD,BUY", "HOLD,BUY,SELL")
)


@pytest.fixture
def store() -> ModelsInMemory:
    return ModelsInMemory()


def put(store: ModelsInMemory, content: bytes) -> str:
    return store.register("ppo", content, inspect_model(content, source="x.onnx")).version


def resolve(
    store: ModelsInMemory,
    *,
    live: Mapping[str, str] | None = None,
    storage_path: Path = Path(),
    **source: str,
) -> ResolvedModel:
    settings = ModelSettings.model_validate({"name": "ppo", "algorithm": "PPO", **source})
    return resolve_model(
        settings, store=store, live=live or {}, storage_path=storage_path, inspect=inspect_model
    )


def found(resolved: ResolvedModel) -> tuple[str, Origin]:
    return resolved.stored.version, resolved.origin


def test_a_bare_name_is_the_newest_before_any_promotion(store: ModelsInMemory) -> None:
    put(store, OLD)
    newest = put(store, NEW)
    assert found(resolve(store, tag="ppo")) == (newest, Origin.NEWEST)


def test_a_bare_name_is_the_promoted_version_after_one(store: ModelsInMemory) -> None:
    old = put(store, OLD)
    put(store, NEW)
    assert found(resolve(store, live={"ppo": old}, tag="ppo")) == (old, Origin.PROMOTED)


def test_a_full_tag_is_that_version(store: ModelsInMemory) -> None:
    old = put(store, OLD)
    put(store, NEW)
    assert found(resolve(store, tag=f"ppo:{old}")) == (old, Origin.PINNED)


def test_a_pin_of_the_bento_wins_over_a_promotion() -> None:
    store = ModelsInMemory()
    old, new = put(store, OLD), put(store, NEW)
    store = ModelsInMemory(pins={"ppo": old})
    put(store, OLD)
    assert found(resolve(store, live={"ppo": new}, tag="ppo")) == (old, Origin.BENTO)


def test_a_full_tag_and_a_promotion_that_disagree_stop_the_start(store: ModelsInMemory) -> None:
    old, new = put(store, OLD), put(store, NEW)
    with pytest.raises(ModelMismatch, match=f"{old}.*{new}"):
        resolve(store, live={"ppo": new}, tag=f"ppo:{old}")


def test_a_full_tag_and_a_pin_that_disagree_stop_the_start() -> None:
    with pytest.raises(ModelMismatch, match=r"pins version abc, but the Bento .* version def"):
        resolve(ModelsInMemory(pins={"ppo": "def"}), tag="ppo:abc")


def test_latest_is_no_version(store: ModelsInMemory) -> None:
    put(store, OLD)
    with pytest.raises(ModelMismatch, match="write 'ppo' for its live version"):
        resolve(store, tag="ppo:latest")


def test_a_model_that_is_nowhere_is_not_found_and_says_how_to_register_it(
    store: ModelsInMemory,
) -> None:
    with pytest.raises(ModelNotFound, match="usdcop models register FILE --name ppo"):
        resolve(store, tag="ppo")
    with pytest.raises(ModelNotFound, match="ppo:gone"):
        resolve(store, live={"ppo": "gone"}, tag="ppo")


def test_a_file_is_registered_once_and_served(store: ModelsInMemory, tmp_path: Path) -> None:
    (tmp_path / "ppo.onnx").write_bytes(OLD)
    first = resolve(store, storage_path=tmp_path, onnx_path="ppo.onnx")
    again = resolve(store, storage_path=tmp_path, onnx_path="ppo.onnx")
    assert found(first) == found(again) == (store.kept[0].version, Origin.FILE)
    assert len(store.kept) == 1


def test_a_file_and_a_promotion_that_disagree_stop_the_start_and_register_nothing(
    store: ModelsInMemory, tmp_path: Path
) -> None:
    promoted = put(store, NEW)
    (tmp_path / "ppo.onnx").write_bytes(OLD)
    with pytest.raises(
        ModelMismatch, match=f"file .* is version .* promoted is version {promoted}"
    ):
        resolve(store, live={"ppo": promoted}, storage_path=tmp_path, onnx_path="ppo.onnx")
    assert len(store.kept) == 1


def test_a_file_that_is_the_promoted_version_is_served(
    store: ModelsInMemory, tmp_path: Path
) -> None:
    version = put(store, OLD)
    (tmp_path / "ppo.onnx").write_bytes(OLD)
    resolved = resolve(store, live={"ppo": version}, storage_path=tmp_path, onnx_path="ppo.onnx")
    assert found(resolved) == (version, Origin.FILE)


def test_inside_a_bento_a_file_may_be_absent_but_must_not_differ(tmp_path: Path) -> None:
    version = put(ModelsInMemory(), OLD)
    store = ModelsInMemory(pins={"ppo": version})
    put(store, OLD)
    absent = resolve(store, storage_path=tmp_path, onnx_path="ppo.onnx")
    assert found(absent) == (version, Origin.BENTO)
    (tmp_path / "ppo.onnx").write_bytes(NEW)
    with pytest.raises(ModelMismatch, match=f"the Bento was built with version {version}"):
        resolve(store, storage_path=tmp_path, onnx_path="ppo.onnx")
    (tmp_path / "ppo.onnx").write_bytes(OLD)
    same = resolve(store, storage_path=tmp_path, onnx_path="ppo.onnx")
    assert found(same) == (version, Origin.BENTO)


def test_a_missing_file_is_named(store: ModelsInMemory, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"'ppo'.*absent\.onnx does not exist"):
        resolve(store, storage_path=tmp_path, onnx_path="absent.onnx")


@pytest.mark.parametrize(
    ("storage_path", "onnx_path", "expected"),
    [
        ("/models/onnx", "models/onnx/x.onnx", "/models/onnx/x.onnx"),
        ("/models/onnx", "onnx/x.onnx", "/models/onnx/x.onnx"),
        ("/models", "models/onnx/x.onnx", "/models/onnx/x.onnx"),
        ("/", "models/onnx/x.onnx", "/models/onnx/x.onnx"),
        (".", "models/onnx/x.onnx", "models/onnx/x.onnx"),
        ("/srv/x.onnx", "x.onnx", "/srv/x.onnx/x.onnx"),
        ("/models/onnx", "/elsewhere/x.onnx", "/elsewhere/x.onnx"),
    ],
)
def test_a_leading_part_that_the_storage_path_ends_with_is_not_repeated(
    storage_path: str, onnx_path: str, expected: str
) -> None:
    assert model_file(Path(storage_path), onnx_path) == Path(expected)


def test_a_roll_back_goes_to_what_was_live_before() -> None:
    record = PromotionsInMemory()
    for version in ("a", "b", "b"):
        record.promote("ppo", version, "because", "me")
    assert version_before(record.history("ppo")) == "a"


@pytest.mark.parametrize("versions", [[], ["a"], ["a", "a"]])
def test_without_an_earlier_version_there_is_nothing_to_roll_back_to(versions: list[str]) -> None:
    record = PromotionsInMemory()
    for version in versions:
        record.promote("ppo", version, "because", "me")
    with pytest.raises(Conflict, match="nothing to roll back to"):
        version_before(record.history("ppo"))
