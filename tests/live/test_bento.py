"""A built Bento: its models are the ones it was built with, wherever it is served."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from api.access import OPEN, ROUTES
from tests.deploy.manifests import served_port, state_folder, urls_in
from tests.live.server import ALL_DAY, ROOT, Server, environment, post
from tests.live.test_routes import CONFIDENT, MODELS

pytestmark = pytest.mark.live


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**environment(folder), "MLOPS__STATE_PATH": str(folder / "state.db")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("built")
    tag = run(folder, "cli", "bundle").split()[1].rstrip(";")
    return folder, tag


def contents(folder: Path, tag: str) -> Path:
    return folder / "bentoml" / "bentos" / tag.replace(":", "/")


def test_a_bento_holds_the_service_and_nothing_of_the_workshop(built: tuple[Path, str]) -> None:
    bento = contents(*built)
    top = {path.name for path in (bento / "src").iterdir()}
    assert {"service.py", "pipeline.py", "risk", "runners", "config"} <= top
    assert top & {"tests", "examples", "benchmarks", "var", ".venv", ".venv-export"} == set()
    description = yaml.safe_load((bento / "bento.yaml").read_text())
    pinned = {model["alias"]: model["tag"] for model in description["models"]}
    assert set(pinned) == set(MODELS)
    assert all(len(tag.split(":")[1]) == 16 for tag in pinned.values())
    requirements = (bento / "env" / "python" / "requirements.txt").read_text()
    assert "--hash=sha256:" in requirements
    assert "index-url" not in requirements


def test_its_image_can_build_nothing_and_runs_as_a_user_who_can_change_nothing(
    built: tuple[Path, str],
) -> None:
    dockerfile = (contents(*built) / "env" / "docker" / "Dockerfile").read_text()
    *_, last_stage = dockerfile.split("\nFROM ")
    before, _, after = last_stage.partition("\nUSER bentoml\n")
    assert [tool for tool in ("apt-get", "build-essential", "pip install") if tool in before] == []
    assert "--chown" not in before
    assert "RUN" not in after
    assert [each for each in urls_in(dockerfile) if "127.0.0.1" not in each] == []


def test_its_image_tells_nobody_and_says_where_it_answers_and_what_it_keeps(
    built: tuple[Path, str],
) -> None:
    lines = (contents(*built) / "env" / "docker" / "Dockerfile").read_text().splitlines()
    for untold in ("BENTOML_DO_NOT_TRACK=true", "DO_NOT_TRACK=1", "ORT_DISABLE_TELEMETRY=1"):
        name, _, _ = untold.partition("=")
        assert {f"ARG {untold}", f"ENV {name}=${name}"} <= set(lines)
    assert [line for line in lines if line.startswith("EXPOSE")] == [f"EXPOSE {served_port()}"]
    assert [line for line in lines if line.startswith("VOLUME")] == [f"VOLUME {state_folder()}"]
    (asked,) = urls_in("\n".join(lines))
    assert asked.startswith(f"http://127.0.0.1:{served_port()}/")
    assert ROUTES[f"GET /{asked.rpartition('/')[2]}"] is OPEN


def test_a_bento_serves_the_models_that_it_was_built_with(built: tuple[Path, str]) -> None:
    folder, tag = built
    before = yaml.safe_load((contents(folder, tag) / "bento.yaml").read_text())
    # A newer version of one model in the same store, with other metadata, must not be served.
    newer = run(
        folder, "cli", "models", "register", str(ROOT / "models/onnx/a2c_macro_v1.onnx"),
        "--name", "ppo_usdcop_v3",
    )  # fmt: skip
    assert "ppo_usdcop_v3:" in newer
    with Server(folder, ALL_DAY, target=tag) as server, server.client() as client:
        told = client.get("/docs.json").json()["info"]["description"]
        assert "Act on `approved`" in told
        listed = client.get("/v1/models").json()["models"]
        assert {model["origin"] for model in listed} == {"bento"}
        assert {model["tag"] for model in listed} == {m["tag"] for m in before["models"]}
        assert post(client, "/v1/inference", observation=CONFIDENT).json()["approved"] is True
        for part in ("/dashboard", "/dashboard/main.js", "/dashboard/style.css"):
            assert client.get(part).status_code == 200


def test_an_exported_bento_serves_from_an_empty_store(
    built: tuple[Path, str], tmp_path: Path
) -> None:
    folder, tag = built
    file = tmp_path / "usdcop.bento"
    run(folder, "bentoml", "export", tag, str(file))
    run(tmp_path, "bentoml", "import", str(file))
    with Server(tmp_path, ALL_DAY, target=tag) as server, server.client() as client:
        answer = post(client, "/v1/inference", observation=CONFIDENT).json()
        assert [model["name"] for model in answer["models"]] == MODELS
        assert answer["approved"] is True
