from pathlib import Path

import pytest

from models.store import BentoModelStore


@pytest.fixture
def store(bentoml_home: Path) -> BentoModelStore:
    assert (bentoml_home / "models").is_dir()
    return BentoModelStore()
