import multiprocessing
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bentoml
import pytest
from bentoml._internal.configuration.containers import BentoMLContainer

from config.settings import Settings
from errors import ModelError, ModelNotFound
from models.choice import choose_models
from models.store import BentoModelStore
from models.stored import model_version
from runners.loading import inspect_model
from runners.metadata import ModelMetadata
from tests.runners.graphs import linear_graph, metadata_of

FILE = linear_graph("probabilities")
METADATA = inspect_model(FILE, source="ppo.onnx")
OTHER_ORDER = ModelMetadata.from_mapping(metadata_of("probabilities", actions="HOLD,BUY,SELL"))


def test_a_registered_model_reads_back_whole(store: BentoModelStore) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    registered = store.register("ppo", FILE, METADATA)
    stored = store.get("ppo", registered.version)
    assert stored == registered
    assert stored.content() == FILE
    assert stored.metadata == METADATA
    assert stored.created_at > before
    assert stored.tag == f"ppo:{model_version(FILE, METADATA)}"
    assert stored.path.name == "model.onnx"


def test_registering_the_same_twice_changes_nothing(store: BentoModelStore) -> None:
    assert store.register("ppo", FILE, METADATA) == store.register("ppo", FILE, METADATA)
    assert len(store.versions("ppo")) == 1


def test_another_action_order_is_another_version(store: BentoModelStore) -> None:
    one = store.register("ppo", FILE, METADATA)
    other = store.register("ppo", FILE, OTHER_ORDER)
    assert one.version != other.version
    assert one.sha256 == other.sha256


def test_versions_come_newest_first(store: BentoModelStore) -> None:
    first = store.register("ppo", FILE, METADATA)
    second = store.register("ppo", FILE, OTHER_ORDER)
    store.register("a2c", FILE, METADATA)
    assert [stored.version for stored in store.versions("ppo")] == [second.version, first.version]
    assert [stored.name for stored in store.all()] == ["a2c", "ppo", "ppo"]
    assert store.versions("absent") == ()


def test_a_version_that_is_not_there_is_not_found(store: BentoModelStore) -> None:
    version = store.register("ppo", FILE, METADATA).version
    with pytest.raises(ModelNotFound, match="absent:1"):
        store.get("absent", "1")
    with pytest.raises(ModelNotFound, match=f"there is ppo:{version}"):
        store.get("ppo", version[:8])


def test_a_removed_version_is_gone(store: BentoModelStore) -> None:
    version = store.register("ppo", FILE, METADATA).version
    store.remove("ppo", version)
    assert store.all() == ()
    with pytest.raises(ModelNotFound):
        store.remove("ppo", version)


@pytest.mark.parametrize("damage", [b"", FILE[:-1], FILE + b"\0"])
def test_a_damaged_file_is_named_and_not_loaded(store: BentoModelStore, damage: bytes) -> None:
    stored = store.register("ppo", FILE, METADATA)
    stored.path.write_bytes(damage)
    with pytest.raises(ModelError, match=f"{stored.tag} is corrupt.*{stored.sha256}"):
        store.get("ppo", stored.version).content()


def test_a_lost_file_is_named(store: BentoModelStore) -> None:
    stored = store.register("ppo", FILE, METADATA)
    stored.path.unlink()
    with pytest.raises(ModelError, match=f"{stored.tag}.*cannot be read"):
        stored.content()


def test_registering_again_repairs_a_damaged_file(store: BentoModelStore) -> None:
    stored = store.register("ppo", FILE, METADATA)
    stored.path.write_bytes(b"half")
    assert store.register("ppo", FILE, METADATA).content() == FILE


def test_registering_again_completes_what_a_killed_registration_left(
    store: BentoModelStore, bentoml_home: Path
) -> None:
    version = model_version(FILE, METADATA)
    (bentoml_home / "models" / "ppo" / version).mkdir(parents=True)
    with pytest.raises(ModelError, match=f"ppo:{version} is damaged, see .*{version}: .*yaml"):
        store.get("ppo", version)
    assert store.register("ppo", FILE, METADATA).content() == FILE


def describe_by(content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "model.yaml").write_bytes(content)


def halve_description(folder: Path) -> None:
    description = folder / "model.yaml"
    description.write_bytes(description.read_bytes()[:200])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no description": lambda folder: (folder / "model.yaml").unlink(),
    "empty description": describe_by(b""),
    "half a description": halve_description,
    "description of another encoding": describe_by(b"\xff\xfe\x00"),
    "description that is no YAML": describe_by(b"a: [b"),
    "description that is a list": describe_by(b"- 1"),
    "no file": lambda folder: (folder / "model.onnx").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_version_is_named_and_left_out_and_healed_by_registering_again(
    damage: Callable[[Path], object], store: BentoModelStore
) -> None:
    whole = store.register("ppo", FILE, OTHER_ORDER)
    stored = store.register("ppo", FILE, METADATA)
    damage(stored.path.parent)
    with pytest.raises(ModelError) as error:
        store.get("ppo", stored.version)
    assert str(error.value).startswith(f"model {stored.tag} is damaged, see {stored.path.parent}: ")
    assert "\n" not in str(error.value)
    assert store.damaged() == (str(error.value),)
    assert store.versions("ppo") == store.all() == (whole,)
    healed = store.register("ppo", FILE, METADATA)
    assert healed.content() == FILE
    assert store.damaged() == ()
    assert store.versions("ppo") == (healed, whole)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_version_can_be_removed_beside_another_one(
    damage: Callable[[Path], object], store: BentoModelStore
) -> None:
    first, second = (store.register("ppo", FILE, m) for m in (METADATA, OTHER_ORDER))
    for stored in (first, second):
        damage(stored.path.parent)
    store.remove("ppo", first.version)
    assert len(store.damaged()) == 1
    store.remove("ppo", second.version)
    assert store.damaged() == ()
    with pytest.raises(ModelNotFound):
        store.remove("ppo", second.version)


def test_a_version_in_another_one_s_folder_is_damaged(store: BentoModelStore) -> None:
    stored = store.register("ppo", FILE, METADATA)
    shutil.copytree(stored.path.parent, stored.path.parent.with_name("1"))
    with pytest.raises(ModelError, match=f"ppo:1 is damaged.*calls itself {stored.tag}"):
        store.get("ppo", "1")


KILLED_WHILE_MOVING = """
    import os, shutil
    from pathlib import Path
    from models.store import BentoModelStore
    from tests.models.test_store import FILE, METADATA

    def killed(draft, folder):
        assert (draft / "model.onnx").read_bytes() == FILE
        assert not folder.exists()
        os._exit(9)

    shutil.move = killed
    BentoModelStore().register("ppo", FILE, METADATA)
"""


def test_a_killed_registration_leaves_no_version(
    store: BentoModelStore, bentoml_home: Path
) -> None:
    root = Path(__file__).parents[2]
    code = textwrap.dedent(KILLED_WHILE_MOVING)
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=False, timeout=120)
    assert done.returncode == 9
    assert len(list(bentoml_home.glob("usdcop-draft-*"))) == 1
    assert store.all() == ()
    assert store.damaged() == ()
    store.register("ppo", FILE, METADATA)
    assert list(bentoml_home.glob("usdcop-draft-*")) == []


def test_bentoml_knows_the_newest_version(store: BentoModelStore) -> None:
    old = store.register("ppo", FILE, METADATA)
    new = store.register("ppo", FILE, OTHER_ORDER)
    assert str(bentoml.models.get("ppo:latest").tag) == new.tag
    store.remove("ppo", new.version)
    assert str(bentoml.models.get("ppo:latest").tag) == old.tag


@pytest.mark.parametrize(
    "harm",
    [*DAMAGES.values(), lambda folder: (folder / "model.onnx").write_bytes(b"half")],
    ids=[*DAMAGES, "half a file"],
)
def test_a_shipped_model_that_came_to_harm_is_healed_at_start(
    harm: Callable[[Path], object], store: BentoModelStore, tmp_path: Path
) -> None:
    (tmp_path / "ppo.onnx").write_bytes(FILE)
    settings = Settings.model_validate(
        {"models": [{"name": "ppo", "tag": "ppo", "algorithm": "PPO", "observation_dim": 4}]}
    )
    (first,) = choose_models(settings, {}, store, tmp_path)
    harm(first.stored.path.parent)
    (second,) = choose_models(settings, {}, store, tmp_path)
    assert second.stored.content() == FILE
    assert second.stored.version == first.stored.version


def test_a_model_that_something_else_put_there_is_not_taken(store: BentoModelStore) -> None:
    with bentoml.models.create(bentoml.Tag("ppo", "1")) as draft:
        Path(draft.path_of("model.onnx")).write_bytes(FILE)
    with pytest.raises(ModelError, match="ppo:1 was not registered by usdcop"):
        store.get("ppo", "1")
    assert store.all() == ()


@pytest.mark.parametrize("name", ["PPO", "ppo usdcop", "-ppo", "a" * 64, "", "../ppo"])
def test_a_name_that_is_not_allowed_is_refused(store: BentoModelStore, name: str) -> None:
    with pytest.raises(ModelError):
        store.register(name, FILE, METADATA)


def register_in_a_process(start: object) -> str:
    return BentoModelStore().register("ppo", FILE, METADATA).version


def test_processes_that_register_at_once_end_with_one_whole_version(
    store: BentoModelStore,
) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        versions = pool.map(register_in_a_process, range(4), chunksize=1)
    assert set(versions) == {model_version(FILE, METADATA)}
    assert [stored.content() for stored in store.versions("ppo")] == [FILE]


def test_a_store_that_cannot_be_written_can_still_be_read(
    store: BentoModelStore, bentoml_home: Path
) -> None:
    stored = store.register("ppo", FILE, METADATA)
    lock = bentoml_home / "usdcop-models.lock"
    lock.unlink()
    lock.mkdir()  # root may write anywhere, but nobody opens a folder as a file
    assert store.get("ppo", stored.version).content() == FILE
    with pytest.raises(ModelError, match="cannot be written"):
        store.register("ppo", FILE, OTHER_ORDER)


def test_only_a_full_version_is_a_pin(store: BentoModelStore) -> None:
    aliases = {"ppo": "ppo:abc", "sac": "sac:latest", "a2c": "a2c"}
    with BentoMLContainer.model_aliases.patch(aliases):
        assert store.pins() == {"ppo": "abc"}


def test_an_alias_pins_the_model_that_it_stands_for(store: BentoModelStore) -> None:
    with BentoMLContainer.model_aliases.patch({"policy": "ppo:abc"}):
        assert store.pins() == {"policy": "abc", "ppo": "abc"}


SERVICE = """
    import bentoml

    @bentoml.service
    class Probe:
        @bentoml.api
        def ask(self) -> str:
            return ""
"""

BENTOFILE = """
    service: "probe:Probe"
    include: ["probe.py"]
    models: [{tag: "ppo:latest", alias: ppo}]
    python: {lock_packages: false}
"""

BUILD_AND_LOAD = """
    import bentoml
    from models.store import BentoModelStore
    from tests.models.test_store import FILE, OTHER_ORDER

    bentoml.load(".")
    print("checkout", BentoModelStore().pins())
    bento = bentoml.bentos.build_bentofile("bentofile.yaml", build_ctx=".")
    BentoModelStore().register("ppo", FILE, OTHER_ORDER)
    bentoml.load(str(bento.tag))
    print("bento", BentoModelStore().pins())
"""


def test_a_bento_pins_what_it_was_built_with_and_a_checkout_pins_nothing(
    store: BentoModelStore, tmp_path: Path
) -> None:
    version = store.register("ppo", FILE, METADATA).version
    project = tmp_path / "project"
    project.mkdir()
    (project / "probe.py").write_text(textwrap.dedent(SERVICE))
    (project / "bentofile.yaml").write_text(textwrap.dedent(BENTOFILE))
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BUILD_AND_LOAD)],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["checkout {}", f"bento {{'ppo': '{version}'}}"]


def test_the_store_folder_can_be_thrown_away(store: BentoModelStore, bentoml_home: Path) -> None:
    store.register("ppo", FILE, METADATA)
    shutil.rmtree(bentoml_home / "models")
    (bentoml_home / "models").mkdir()
    assert store.register("ppo", FILE, METADATA).content() == FILE
