"""Becomes another program, at the lowest priority and within limits.

`python low_priority.py PARENT MEMORY_BYTES CPU_SECONDS PROGRAM ARGUMENT...` is started by
`limited_process`, by the path of this file and without the site packages, which takes 20 ms. It
is a program and no function that runs between fork and exec, where a process with threads may
hang. On Linux the program is killed when its parent ends, however that ends; elsewhere an orphan
ends at its limit of processor time.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys

__all__ = ["main"]

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_LOWEST_PRIORITY = 19
_CANNOT_RUN = 127


def main(words: list[str]) -> None:
    """Take the limits, then become the program."""
    parent, memory_bytes, cpu_seconds, program = int(words[0]), words[1], words[2], words[3:]
    _die_with(parent)
    with contextlib.suppress(OSError):
        os.nice(_LOWEST_PRIORITY)
    if hasattr(os, "SCHED_IDLE"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    _stay_on_one_processor()
    # RLIMIT_AS would count what numpy and pyarrow reserve and never use.
    _limit(resource.RLIMIT_DATA, int(memory_bytes))
    _limit(resource.RLIMIT_CPU, int(cpu_seconds))
    _limit(resource.RLIMIT_CORE, 0)
    try:
        os.execvp(program[0], program)  # noqa: S606 - the words come from limited_process
    except OSError as error:
        sys.stderr.write(f"{program[0]} cannot be run: {error.strerror}\n")
        sys.exit(_CANNOT_RUN)


def _stay_on_one_processor() -> None:
    """Keep off the others: where it wanders, what it makes way for is moved about too."""
    if hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the process that started this one is gone")


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    # Where a system does not know this limit, the others hold.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    main(sys.argv[1:])
