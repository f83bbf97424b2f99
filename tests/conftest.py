"""What every test stands on: no test sees this machine's model store, and nobody is told of it."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says something about the host, not about what is tested.
settings.register_profile("any_host", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_host")

# BentoML reads these when it is first used, and keeps what it has read.
SESSION_HOME = Path(tempfile.mkdtemp(prefix="usdcop-tests-"))
atexit.register(shutil.rmtree, SESSION_HOME, ignore_errors=True)
os.environ["BENTOML_HOME"] = str(SESSION_HOME)
os.environ["BENTOML_DO_NOT_TRACK"] = "true"
os.environ["DO_NOT_TRACK"] = "1"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from bentoml._internal.configuration.containers import BentoMLContainer  # noqa: E402
from bentoml._internal.models import ModelStore as BentoFolder  # noqa: E402


@pytest.fixture
def bentoml_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A BENTOML_HOME of the test's own, also for processes that it starts."""
    home = tmp_path / "bentoml"
    (home / "models").mkdir(parents=True)
    monkeypatch.setenv("BENTOML_HOME", str(home))
    with (
        BentoMLContainer.bentoml_home.patch(str(home)),
        BentoMLContainer.model_store.patch(BentoFolder(home / "models")),
        BentoMLContainer.model_aliases.patch({}),
    ):
        yield home
