"""A reference profile beside its model: registered with it, proven with it, part of its version."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.observations import known_vectors
from commands.models import models as command
from config.settings import Algorithm, EnsembleStrategy, ModelSettings
from errors import ModelError, ModelMismatch
from features.reference import Reference
from features.schema import USDCOP_M5
from models.choice import choose_models
from models.store import BentoModelStore
from models.stored import StoredModel, declared_reference, reference_beside
from runners.ensemble import Ensemble
from runners.loading import inspect_model, load_runner
from runners.runner import Runner
from tests.fakes import FixedVoter
from tests.integration.running import ROOT, running
from tests.runners.graphs import linear_graph

SHIPPED = ROOT / "models" / "onnx"
FILE = (SHIPPED / "ppo_usdcop_v3.onnx").read_bytes()
PROFILE = (SHIPPED / "reference.json").read_bytes()
SETTINGS = ModelSettings(name="ppo", algorithm=Algorithm.PPO, tag="ppo")

pytestmark = pytest.mark.usefixtures("bentoml_home")


def registered(profile: bytes | None) -> StoredModel:
    metadata = inspect_model(FILE, source="ppo.onnx", declared=declared_reference(profile))
    return BentoModelStore().register("ppo", FILE, metadata, profile)


def loaded(stored: StoredModel) -> Runner:
    return load_runner(SETTINGS, stored, feature_schema=USDCOP_M5.hash)


def changed(**values: Any) -> bytes:
    return json.dumps({**json.loads(PROFILE), **values}).encode()


def test_the_same_file_with_another_reference_is_another_version() -> None:
    versions = {registered(profile).version for profile in (None, PROFILE, changed(rows=9))}

    assert len(versions) == 3
    assert registered(PROFILE).version in versions


def test_a_runner_knows_what_was_registered_with_its_model() -> None:
    reference = loaded(registered(PROFILE)).reference

    assert reference is not None
    known = json.loads(PROFILE)
    del known["sample"]
    assert reference.to_json() == known
    assert loaded(registered(None)).reference is None


@pytest.mark.parametrize(
    ("profile", "complaint"),
    [
        (b"no json", "is no reference profile"),
        (b"{}", "is no reference profile"),
        (changed(schema="0" * 64), "is of feature schema 0000"),
        (changed(names=[*USDCOP_M5.names[1:], USDCOP_M5.names[0]]), "names other features"),
        (changed(low=[10**400] * 45), "is no reference profile"),
        (b"[" * 100_000, "is no reference profile"),
    ],
)
def test_what_does_not_fit_the_model_is_refused_by_name(profile: bytes, complaint: str) -> None:
    with pytest.raises(ModelMismatch, match=f"ppo:.*{complaint}"):
        loaded(registered(profile))


def test_a_reference_of_other_features_than_the_service_computes_is_refused() -> None:
    # Nobody said what features the model was trained on: nothing else would notice.
    metadata = {
        "algorithm": "PPO", "output": "probabilities", "observation_dim": "45",
        "actions": "SELL,HOLD,BUY",
    }  # fmt: skip
    file = linear_graph("probabilities", metadata=metadata, dimension=45)
    described = inspect_model(file, source="ppo.onnx", declared=declared_reference(PROFILE))
    stored = BentoModelStore().register("ppo", file, described, PROFILE)

    assert loaded(stored).reference is not None
    with pytest.raises(ModelMismatch, match=r"its reference is of .* but the service computes 00"):
        load_runner(SETTINGS, stored, feature_schema="0" * 64)


def test_a_reference_that_came_to_harm_is_named_and_healed() -> None:
    stored = registered(PROFILE)
    beside = stored.path.with_name("reference.json")
    beside.write_bytes(PROFILE + b" ")
    with pytest.raises(ModelError, match="is not the reference that was registered"):
        loaded(stored)
    beside.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        loaded(stored)

    assert loaded(registered(PROFILE)).reference is not None


def test_metadata_and_reference_must_be_of_each_other() -> None:
    metadata = inspect_model(FILE, source="ppo.onnx", declared=declared_reference(PROFILE))
    with pytest.raises(ModelError, match="names another reference"):
        BentoModelStore().register("ppo", FILE, metadata)


def test_a_files_own_reference_goes_before_that_of_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "ppo.onnx"
    assert reference_beside(file) is None
    (tmp_path / "reference.json").write_bytes(b"folder")
    assert reference_beside(file) == b"folder"
    (tmp_path / "ppo.reference.json").write_bytes(b"own")
    assert reference_beside(file) == b"own"
    assert reference_beside(tmp_path / "a2c.onnx") == b"folder"


def test_the_command_takes_the_reference_beside_a_file_along(tmp_path: Path) -> None:
    (tmp_path / "ppo.onnx").write_bytes(FILE)
    (tmp_path / "ppo.reference.json").write_bytes(PROFILE)
    (tmp_path / "other.json").write_bytes(changed(schema="0" * 64))

    told = CliRunner().invoke(command, ["register", str(tmp_path / "ppo.onnx")])
    other = ["register", str(tmp_path / "ppo.onnx"), "--reference", str(tmp_path / "other.json")]
    refused = CliRunner().invoke(command, other)

    assert told.exit_code == 0, told.output
    (stored,) = BentoModelStore().versions("ppo")
    assert stored.reference() == PROFILE
    assert isinstance(refused.exception, ModelMismatch)


def test_a_shipped_model_of_before_there_were_references_is_registered_anew() -> None:
    with running() as service:
        settings = service.application.settings
    store = BentoModelStore()
    for name in ("ppo_usdcop_v3", "sac_usdcop_v2", "a2c_macro_v1"):
        (version,) = store.versions(name)
        store.remove(name, version.version)
        content = (SHIPPED / f"{name}.onnx").read_bytes()
        store.register(name, content, inspect_model(content, source=name))

    chosen = choose_models(settings, {}, store, SHIPPED)

    assert all(model.stored.reference() == PROFILE for model in chosen)


def test_all_that_have_a_vote_must_know_a_vector_and_each_reference_is_asked_once() -> None:
    one, same, other = (
        Reference.from_json(json.loads(profile)) for profile in (PROFILE, PROFILE, changed(rows=9))
    )
    ensemble = Ensemble(
        [
            FixedVoter("a", reference=one),
            FixedVoter("b", reference=same),
            FixedVoter("shadow", weight=0, reference=other),
            FixedVoter("bare"),
        ],
        EnsembleStrategy.WEIGHTED_AVERAGE,
    )

    assert [reference.rows for reference in ensemble.references(None)] == [one.rows]
    assert [reference.rows for reference in ensemble.references("shadow")] == [9]
    assert ensemble.references("bare") == ()


def test_a_shipped_model_knows_its_own_market() -> None:
    with running() as service:
        answers = [service.decide(row.tolist(), dry_run=True) for row in known_vectors()[:200:10]]
    assert {answer["risk_status"] for answer in answers} & {"OUT_OF_DISTRIBUTION"} == set()
    assert np.isfinite([answer["confidence"] for answer in answers]).all()
