"""The command-line program, run as a process of its own beside a service under test."""

import subprocess
import sys

from tests.live.server import ROOT, Server

__all__ = ["usdcop"]


def usdcop(server: Server, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `usdcop` where a service runs, and with what that service was configured with."""
    return subprocess.run(
        [sys.executable, "-m", "cli", *words],
        cwd=server.folder,
        env={**server.environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
