"""The same load by wrk, where it is installed: is the generator of this benchmark to be trusted?"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.serving.cases import Case, Work
from benchmarks.serving.servers import Running

__all__ = ["requests_per_second", "speed_told", "wrk_program"]

_SPEED = re.compile(r"^Requests/sec:\s+([0-9.]+)$", re.MULTILINE)
_FAILED = re.compile(r"^\s*(Non-2xx or 3xx responses: \d+|Socket errors: .*)$", re.MULTILINE)
_SCRIPT = """\
local bodies = {
%s
}
local number = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
  number = number %% #bodies + 1
  return wrk.format(nil, "%s", nil, bodies[number])
end
"""


def wrk_program() -> str | None:
    """Where it is; None when it is not installed."""
    return shutil.which("wrk")


def requests_per_second(
    program: str, server: Running, case: Case, work: Work, seconds: int, folder: Path
) -> float:
    """What wrk says.

    Args:
        program: wrk.
        server: to be asked.
        case: of single requests.
        work: the requests of this case; wrk does not look at the answers.
        seconds: whole ones.
        folder: for its script.
    """
    (path,) = {path for path, _ in work.bodies}
    script = folder / "load.lua"
    listed = ",\n".join(f"[=[{body}]=]" for _, body in work.bodies)
    script.write_text(_SCRIPT % (listed, path))
    words = [program, "--threads", "1", "--connections", str(case.clients)]
    words += ["--duration", f"{seconds}s", "--script", str(script)]
    words.append(f"http://127.0.0.1:{server.port}")
    return speed_told(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def speed_told(output: str) -> float:
    """Requests a second, as wrk printed them.

    Raises:
        RuntimeError: it printed something else, or that requests failed.
    """
    speed, failed = _SPEED.search(output), _FAILED.search(output)
    if speed is None or failed is not None:
        raise RuntimeError(f"wrk says: {failed[1] if failed else output[-1000:]}")
    return float(speed[1])
