"""A real service in processes of its own: `bentoml serve` on a free port of loopback."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

ROOT = Path(__file__).parents[2]

ALL_DAY = {
    "MLOPS__TRADING_HOURS__START_HOUR": "0",
    "MLOPS__TRADING_HOURS__END_HOUR": "23",
    "MLOPS__TRADING_HOURS__END_MINUTE": "59",
    "MLOPS__TRADING_HOURS__END_SECOND": "59",
    "MLOPS__TRADING_HOURS__TRADING_DAYS": "[0, 1, 2, 3, 4, 5, 6]",
    "MLOPS__CALENDAR__COUNTRIES": "[]",
}
"""A market that never closes, so that tests do not depend on the hour they run at."""

START_SECONDS = 60


class Server:
    """One `bentoml serve`, started and stopped as a context.

    Args:
        folder: working directory; the ledger and the model store lie here.
        variables: environment beside what every test needs.
        target: what is served: the checkout, or a Bento.
        options: of `bentoml serve`, beside host and port.
    """

    def __init__(
        self,
        folder: Path,
        variables: Mapping[str, str] | None = None,
        target: str = str(ROOT),
        options: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = environment(folder, variables)
        self.log = folder / "server.log"
        self._target = target
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.launch()
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        self.kill()
        raise AssertionError(f"the service did not get ready:\n{self.log.read_text()}")

    def launch(self) -> None:
        """Start it without waiting."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "bentoml", "serve", self._target),
                    *("--host", "127.0.0.1", "--port", str(self.port)),
                    *self._options,
                ],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The arbiter."""
        assert self._process is not None
        return self._process

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes()
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            if int(parent) == self.process.pid and b"_bentoml_impl.worker.service" in command:
                found.append(int(entry.name))
        return found

    def stop(self) -> None:
        """Ask it to stop, and wait until it has."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End every process of it at once, as a loss of power would."""
        for process in [*self.workers(), self.process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.process.wait(20)

    def client(self, **headers: str) -> httpx.Client:
        """A client with this server's address."""
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)


def environment(folder: Path, variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a service under test: none of this machine's settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(
            ("MLOPS", "BENTOML", "REDIS_", "PROMETHEUS", "MAX_", "MIN_", "MODEL_")
        )
    }
    return {
        **kept,
        "BENTOML_HOME": str(folder / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "true",
        "DO_NOT_TRACK": "1",
        "MLOPS_ENVIRONMENT": "development",
        # A look before the session goes on record: tests count what is there.
        "MLOPS__DESK__PREFLIGHT_MINUTES": "0",
        "MLOPS__DESK__CLOSE_REPORT_MINUTES": "0",
        "MLOPS__DRAIN_SECONDS": "0",
        "MLOPS__REDIS__START_WAIT_SECONDS": "10",
        **(variables or {}),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def post(client: httpx.Client, path: str, **body: Any) -> httpx.Response:
    """POST a JSON body."""
    return client.post(path, json=body)


def told(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    """What is answered to a JSON body that is accepted."""
    answer = post(client, path, **body)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content
