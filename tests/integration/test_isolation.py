"""Running the tests leaves this machine's own model store alone, and tells nobody."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.utils.analytics.usage_stats import do_not_track

from models.store import BentoModelStore
from tests.integration.running import MODELS, Running

PROGRAM = """
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.utils.analytics.usage_stats import do_not_track
print(BentoMLContainer.bentoml_home.get(), do_not_track())
"""


def test_the_model_store_of_the_tests_is_a_temporary_one(service: Running) -> None:
    home = Path(BentoMLContainer.bentoml_home.get())
    assert home.is_relative_to(tempfile.gettempdir())
    assert home != Path.home() / "bentoml"
    assert {model.name for model in BentoModelStore().all()} >= set(MODELS)
    for runner in service.application.runners:
        stored = BentoModelStore().get(runner.name, runner.version)
        assert stored.path.resolve().is_relative_to(home.resolve())


def test_usage_is_not_tracked() -> None:
    assert do_not_track()
    assert os.environ["DO_NOT_TRACK"] == "1"


def test_a_process_that_a_test_starts_inherits_both() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    home, untracked = done.stdout.split()
    assert home == BentoMLContainer.bentoml_home.get()
    assert untracked == "True"
