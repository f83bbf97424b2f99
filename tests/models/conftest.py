import importlib
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models import ModelStore as BentoFolder

from models.store import BentoModelStore

with warnings.catch_warnings():
    # BentoML imports this on first use, and calls a name of pathspec that is on its way out.
    warnings.filterwarnings("ignore", "GitWildMatchPattern", DeprecationWarning)
    importlib.import_module("bentoml.models")


@pytest.fixture
def bentoml_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A BENTOML_HOME of the test's own, also for processes that it starts."""
    home = tmp_path / "bentoml"
    (home / "models").mkdir(parents=True)
    monkeypatch.setenv("BENTOML_HOME", str(home))
    monkeypatch.setenv("BENTOML_DO_NOT_TRACK", "True")
    with (
        BentoMLContainer.bentoml_home.patch(str(home)),
        BentoMLContainer.model_store.patch(BentoFolder(home / "models")),
        BentoMLContainer.model_aliases.patch({}),
    ):
        yield home


@pytest.fixture
def store(bentoml_home: Path) -> BentoModelStore:
    assert (bentoml_home / "models").is_dir()
    return BentoModelStore()
