"""The files of `deploy/`, read as what an orchestrator would make of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from config.load import DEFAULT_FILE, LoadedSettings, load_settings
from service import DecisionService

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BASE = DEPLOY / "kubernetes" / "base"
PRODUCTION = DEPLOY / "kubernetes" / "overlays" / "production"

HOME = "/home/bentoml"
"""Where the image starts the service: relative paths of settings are below it."""

CONFIG_MOUNT = "/etc/usdcop/mlops.yaml"

GIVEN = {
    "MLOPS_API_KEYS": f"router:trader:{'0' * 64}",
    "REDIS_PASSWORD": "a-password",
    "GRAFANA_PASSWORD": "another",
    "MLOPS__ALERTS__URLS": '["json://alerts.example.com"]',
    "MLOPS__ALERTS__PAGE_URLS": "",
    "MLOPS__ALERTS__HEARTBEAT_URL": "https://heartbeat.example.com/desk",
}
"""What an operator fills in."""

Document = dict[str, Any]

CONFIG: Document = DecisionService.config  # type: ignore[attr-defined]  # the decorator adds it


def compose() -> Document:
    """The compose file, with its variables as they are written."""
    document: Document = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())
    return document


def compose_variables() -> set[str]:
    """Names that the compose file takes from its environment."""
    text = re.sub(r"\$\$\w+", "", (DEPLOY / "docker-compose.yml").read_text())
    return set(re.findall(r"\$\{(\w+)", text))


def substituted(text: str) -> str:
    """A value of the compose file with `GIVEN` put in."""
    return re.sub(r"\$\{(\w+)[^}]*\}", lambda found: GIVEN[found[1]], text)


def example_variables() -> dict[str, str]:
    """What `.env.example` names, with its defaults."""
    lines = (DEPLOY / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def base_manifests() -> list[Document]:
    """Every object of the base, as its files have it."""
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    return [
        document for name in listed for document in yaml.safe_load_all((BASE / name).read_text())
    ]


def only(manifests: list[Document], kind: str, name: str = "usdcop") -> Document:
    """The one object of a kind and a name."""
    (found,) = [
        each
        for each in manifests
        if each["kind"] == kind and each["metadata"]["name"].startswith(name)
    ]
    return found


def assembled() -> list[Document]:
    """Every object of the production overlay, as `kubectl` puts it together."""
    kubectl = shutil.which("kubectl")
    assert kubectl is not None
    done = subprocess.run(
        [kubectl, "kustomize", "--load-restrictor", "LoadRestrictionsNone", str(PRODUCTION)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def settings_of(environment: dict[str, str]) -> LoadedSettings:
    """What the service would make of its environment; the mounted file is the repository's."""
    assert environment.pop("MLOPS_CONFIG_PATH") == CONFIG_MOUNT
    return load_settings(environment, DEFAULT_FILE)


def state_folder() -> str:
    """Where the image keeps what must outlive it, by the defaults of the settings."""
    raw = yaml.safe_load(DEFAULT_FILE.read_text())
    (folder,) = {
        Path(raw[name]).parts[0] for name in ("state_path", "halt_file", "acknowledged_path")
    }
    return f"{HOME}/{folder}"


def served_port() -> int:
    """The port that the service listens on."""
    port: int = CONFIG["http"]["port"]
    return port


def request_seconds() -> int:
    """How long a request may take, and so how long a stop waits for one."""
    seconds: int = CONFIG["traffic"]["timeout"]
    return seconds


def urls_in(command: object) -> Iterator[str]:
    """Addresses in a health check."""
    yield from re.findall(r"http://[^'\"\s]+", json.dumps(command))


def mebibytes(quantity: str) -> int:
    """A quantity of memory in MiB.

    >>> mebibytes("3Gi"), mebibytes("256Mi")
    (3072, 256)
    """
    return int(quantity[:-2]) * {"Mi": 1, "Gi": 1024}[quantity[-2:]]
