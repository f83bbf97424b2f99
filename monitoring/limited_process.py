"""A program in a process of its own, at the lowest priority, within a time and a memory limit.

It and all it started is killed at its time limit, by whoever gives it up, and by the end of the
process that started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

__all__ = ["Ended", "LimitedProcess", "Limits", "run_limited"]

_LAUNCHER: Final = Path(__file__).with_name("low_priority.py")
_ROOT: Final = Path(__file__).parent.parent
_MEBIBYTE: Final = 1024 * 1024
_LONGEST_LINE: Final = 16 * _MEBIBYTE
_LAST_LINES: Final = 20
_SHOWN: Final = 300
# One thread: a second one would take the other processor from a decision.
_ONE_THREAD: Final = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    ),
    "1",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a program may use.

    Attributes:
        seconds: of time, until it is killed.
        memory_mb: of data, in MiB; beyond it the program gets no more.
    """

    seconds: float
    memory_mb: int


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    Attributes:
        code: its exit code; negative: the signal that killed it.
        output: what it wrote to its standard output.
        failure: why it counts as failed, in one line; None when it does not.
    """

    code: int
    output: bytes
    failure: str | None


def run_limited(program: Sequence[str], limits: Limits, *, given: bytes = b"") -> Ended:
    """Run a program to its end; blocks until then.

    Args:
        program: and its arguments.
        limits: see there.
        given: what it reads on its standard input.
    """
    with _started(program, limits, subprocess.PIPE) as process:
        try:
            output, complaint = process.communicate(given, timeout=limits.seconds)
        except subprocess.TimeoutExpired:
            _kill_group(process.pid)
            process.communicate()
            return Ended(-signal.SIGKILL, b"", _overdue(limits))
        except BaseException:
            _kill_group(process.pid)
            raise
    return Ended(process.returncode, output, _failure(process.returncode, complaint))


class LimitedProcess:
    """A program that runs beside the event loop. Made by `start`, on the main thread."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        output: asyncio.StreamReader,
        complaint: asyncio.StreamReader,
        limits: Limits,
    ) -> None:
        self._process, self._output, self._limits = process, output, limits
        self._complaint: deque[bytes] = deque(maxlen=_LAST_LINES)
        self._listening = asyncio.create_task(self._listen(complaint))
        self._overdue = self._ended = False
        self._timer = asyncio.get_running_loop().call_later(limits.seconds, self._end_overdue)

    @classmethod
    async def start(cls, program: Sequence[str], limits: Limits) -> LimitedProcess:
        """Start it; its time begins now.

        Raises:
            OSError: this system can start no further process.
        """
        # Not the event loop's own way: uvloop forks, which copies the tables of all memory, and
        # 250 MB of it make every request wait for 10 ms. Python's shares them until it executes.
        with _deaf_to_stops():
            process = _started(program, limits, subprocess.DEVNULL)
        return cls(process, await _read(process.stdout), await _read(process.stderr), limits)

    @property
    def pid(self) -> int:
        """Its process id, which is that of its group too."""
        return self._process.pid

    async def lines(self) -> AsyncIterator[bytes]:
        """What it writes to its standard output, line by line, until it ends.

        A line of more than 16 MiB ends the program.
        """
        while True:
            try:
                line = await self._output.readline()
            except ValueError:
                self.kill()
                return
            if not line:
                return
            yield line

    async def wait(self) -> Ended:
        """How it ended; all it started is gone then too."""
        code = await asyncio.to_thread(self._process.wait)
        self._timer.cancel()
        self.kill()
        self._ended = True
        # Not awaited itself: whoever cancels this would cancel it too.
        await asyncio.wait([self._listening])
        failure = _failure(code, b"".join(self._complaint))
        return Ended(code, b"", _overdue(self._limits) if self._overdue else failure)

    def kill(self) -> None:
        """End it now, with all it started."""
        # Also when it has ended by itself: what it started may hold its output open.
        if not self._ended:
            _kill_group(self._process.pid)

    def _end_overdue(self) -> None:
        self._overdue = self._process.poll() is None
        self.kill()

    async def _listen(self, complaint: asyncio.StreamReader) -> None:
        while chunk := await complaint.read(4096):
            self._complaint.append(chunk)


@contextlib.contextmanager
def _deaf_to_stops() -> Iterator[None]:
    """What is started meanwhile never hears SIGTERM, from its first instant on.

    BentoML's arbiter asks the children of a worker to stop too: when, is the worker's to say.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


async def _read(pipe: IO[bytes] | None) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(_LONGEST_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


def _started(program: Sequence[str], limits: Limits, given: int) -> subprocess.Popen[bytes]:
    """Its process, in a session of its own; `given` is its standard input."""
    return subprocess.Popen(  # noqa: S603 - no shell, and no word comes from a caller
        _launched(program, limits),
        stdin=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(os.environ),
        start_new_session=True,
    )


def _launched(program: Sequence[str], limits: Limits) -> list[str]:
    return [
        sys.executable,
        "-I",
        "-S",
        str(_LAUNCHER),
        str(os.getpid()),
        str(limits.memory_mb * _MEBIBYTE),
        str(int(limits.seconds) + 1),
        *program,
    ]


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """That of this process, with our modules in reach from any folder, and one thread."""
    paths = [str(_ROOT), *filter(None, own.get("PYTHONPATH", "").split(os.pathsep))]
    return {**own, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}


def _kill_group(group: int) -> None:
    # Gone, or by now of another user: nothing of it is left to be killed.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _overdue(limits: Limits) -> str:
    return f"it was not done within {limits.seconds:g} s and was ended"


def _failure(code: int, complaint: bytes) -> str | None:
    if code == 0:
        return None
    lines = complaint.decode(errors="replace").strip().splitlines()
    why = f": {lines[-1].strip()[:_SHOWN]}" if lines else ""
    if code < 0:
        return f"it was killed by signal {-code}{why}"
    return f"it ended with exit code {code}{why}"
