"""Real small programs within limits."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import pytest

from monitoring.limited_process import Ended, LimitedProcess, Limits, run_limited

ROOT = Path(__file__).parents[2]
AMPLE = Limits(30, 1024)


def python(text: str) -> list[str]:
    return [sys.executable, "-uc", textwrap.dedent(text)]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def wait_until(condition: Callable[[], bool]) -> None:
    begun = monotonic()
    while not condition():
        assert monotonic() - begun < 20
        sleep(0.02)


async def collected(process: LimitedProcess) -> tuple[list[bytes], Ended]:
    lines = [line async for line in process.lines()]
    return lines, await process.wait()


class TestWaitedFor:
    def test_gives_what_it_wrote(self) -> None:
        ended = run_limited(python("print(input() * 2)"), AMPLE, given=b"ab\n")
        assert ended == Ended(0, b"abab\n", None)

    def test_runs_at_the_lowest_priority_on_one_thread(self) -> None:
        text = """
            import os
            print(os.nice(0), os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"])
            print(os.sched_getscheduler(0) == os.SCHED_IDLE if hasattr(os, "SCHED_IDLE") else True)
        """
        assert run_limited(python(text), AMPLE).output == b"19 1 1\nTrue\n"

    @pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="not on this system")
    def test_stays_on_one_processor(self) -> None:
        text = "import os; print(len(os.sched_getaffinity(0)))"
        assert run_limited(python(text), AMPLE).output == b"1\n"

    def test_is_ended_at_its_time_limit_with_all_it_started(self, tmp_path: Path) -> None:
        told = tmp_path / "pid"
        text = f"""
            import pathlib, subprocess, sys, time
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            pathlib.Path({str(told)!r}).write_text(str(child.pid))
            time.sleep(600)
        """
        ended = run_limited(python(text), Limits(3, 1024))
        assert ended.failure == "it was not done within 3 s and was ended"
        wait_until(lambda: not is_alive(int(told.read_text())))

    def test_gets_no_more_memory_than_its_limit(self) -> None:
        ended = run_limited(python("import numpy; numpy.ones(10**9)"), Limits(30, 256))
        assert ended.code == 1
        assert "Unable to allocate" in str(ended.failure)

    def test_can_use_numpy_and_pyarrow_within_its_limit(self) -> None:
        text = "import numpy, pyarrow; print(pyarrow.array(numpy.ones(10**6)).sum())"
        assert run_limited(python(text), Limits(30, 256)).output == b"1000000.0\n"

    def test_says_how_it_failed(self) -> None:
        assert run_limited(python("raise SystemExit(3)"), AMPLE).failure == (
            "it ended with exit code 3"
        )
        failed = run_limited(python("raise ValueError('of\\nno use')"), AMPLE)
        assert failed.failure == "it ended with exit code 1: no use"
        killed = run_limited(python("import os; os.kill(os.getpid(), 9)"), AMPLE)
        assert killed.failure == "it was killed by signal 9"
        missing = run_limited(["no-such-program"], AMPLE)
        assert "no-such-program cannot be run" in str(missing.failure)

    def test_finds_our_modules_from_any_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "errors.py").write_text("raise SystemExit('not this one')")
        monkeypatch.chdir(tmp_path)
        ended = run_limited([sys.executable, "-m", "errors"], AMPLE)
        assert ended.failure is None


@pytest.mark.asyncio
class TestBesideTheLoop:
    async def test_tells_its_lines_while_it_runs(self) -> None:
        process = await LimitedProcess.start(
            python("import time; print('first'); time.sleep(0.2); print('second')"), AMPLE
        )
        assert await collected(process) == ([b"first\n", b"second\n"], Ended(0, b"", None))

    async def test_is_not_ended_by_a_stop_not_even_in_its_first_instant(self) -> None:
        for pause in (0.0, 0.002, 0.01, 0.05):
            process = await LimitedProcess.start(python("print('all of it')"), AMPLE)
            await asyncio.sleep(pause)
            os.kill(process.pid, signal.SIGTERM)
            assert await collected(process) == ([b"all of it\n"], Ended(0, b"", None))

    async def test_is_ended_at_its_time_limit(self) -> None:
        process = await LimitedProcess.start(
            python("import time; print('first'); time.sleep(600)"), Limits(2, 1024)
        )
        lines, ended = await collected(process)
        assert lines == [b"first\n"]
        assert ended.failure == "it was not done within 2 s and was ended"

    async def test_does_not_outlive_its_limit_through_a_child_that_holds_its_output(self) -> None:
        text = """
            import subprocess, sys
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        """
        process = await LimitedProcess.start(python(text), Limits(2, 1024))
        _, ended = await collected(process)
        assert ended.failure is None

    async def test_can_be_ended_and_ended_again(self) -> None:
        process = await LimitedProcess.start(python("import time; time.sleep(600)"), AMPLE)
        process.kill()
        process.kill()
        assert (await collected(process))[1].failure == "it was killed by signal 9"
        process.kill()

    async def test_can_be_waited_for_again_by_whoever_broke_off_the_first_wait(self) -> None:
        process = await LimitedProcess.start(python("import time; time.sleep(600)"), AMPLE)
        waiting = asyncio.create_task(process.wait())
        await asyncio.sleep(0.05)
        waiting.cancel()
        process.kill()
        assert (await process.wait()).code == -signal.SIGKILL

    async def test_says_the_last_of_what_it_complained_of(self) -> None:
        text = """
            import sys
            sys.stderr.write("x" * 1_000_000 + "\\n")
            raise RuntimeError("out of order")
        """
        process = await LimitedProcess.start(python(text), AMPLE)
        _, ended = await collected(process)
        assert ended.failure == "it ended with exit code 1: RuntimeError: out of order"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends orphans at once")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_dies_with_the_process_that_started_it(number: signal.Signals) -> None:
    text = """
        import asyncio, sys
        from monitoring.limited_process import LimitedProcess, Limits

        async def main():
            words = [sys.executable, "-c", "import time; time.sleep(600)"]
            process = await LimitedProcess.start(words, Limits(600, 1024))
            print(process.pid)
            await process.wait()

        asyncio.run(main())
    """
    with subprocess.Popen(
        python(text), stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.send_signal(number)
        parent.wait(20)
        wait_until(lambda: not is_alive(pid))
