"""A real Prometheus in a process of its own, on the configuration of the project."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pytest
import yaml

from tests.deploy.queries import PROMETHEUS
from tests.redis_server import free_port

__all__ = ["PrometheusServer", "needs_prometheus"]

_MISSING = [name for name in ("prometheus", "promtool") if shutil.which(name) is None]

needs_prometheus = pytest.mark.skipif(
    bool(_MISSING) and os.environ.get("CI") != "true",
    reason=f"{' and '.join(_MISSING)} not on PATH",
)
"""Of tests that need the programs: in CI they run in any case, and fail without them."""


class PrometheusServer:
    """One Prometheus, started and stopped as a context.

    Args:
        folder: of its data and its configuration.
        target: host and port that is scraped in the place of the compose file's service.
    """

    def __init__(self, folder: Path, target: str) -> None:
        self._folder = folder
        self._url = f"http://127.0.0.1:{(port := free_port())}"
        self._words = [
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        settings = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
        settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        settings["rule_files"] = [str(PROMETHEUS / name) for name in settings["rule_files"]]
        settings["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))

    def __enter__(self) -> Self:
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(self._words, stdout=log, stderr=log)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(20)

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The series that a query returns now."""
        result: list[dict[str, Any]] = self._get("query", query=query)["result"]
        return result

    def rules(self) -> list[dict[str, Any]]:
        """The rules as Prometheus runs them."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def wait_for(self, query: str, seconds: float = 30) -> None:
        """Wait until a query returns something."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if self.ask(query):
                    return
            except httpx.HTTPError:  # not started yet: nobody listens, or it says so
                assert self._process.poll() is None, self._log()
            time.sleep(0.2)
        raise AssertionError(f"{query} returned nothing in {seconds} s:\n{self._log()}")

    def _get(self, path: str, **parameters: str) -> dict[str, Any]:
        found = httpx.get(f"{self._url}/api/v1/{path}", params=parameters, timeout=10)
        if found.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            found.raise_for_status()
        answer = found.json()
        assert answer["status"] == "success", (parameters, answer)
        data: dict[str, Any] = answer["data"]
        return data

    def _log(self) -> str:
        return (self._folder / "prometheus.log").read_text()
