"""One drift check as a process of its own, for as long as its lease is held.

The process tells how far it is on its standard output, one JSON object a line: first
`{"verdict": ENTRY}`, then `{"report": {"method": ..., "seconds": ...}}`; with exit code 0 it is
done.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Sequence
from typing import Any

from errors import StoreError
from monitoring.drift_desk import Process, Start
from stores.lease import Lease

__all__ = ["Check"]

_LOGGER = logging.getLogger("usdcop.drift")
_RENEWALS = 4  # within one length of the lease


class Check:
    """One run of the program, under a lease that this process holds.

    Args:
        tick: what is checked.
        lease: held for it.

    Attributes:
        tick: what is checked.
        verdict: done when there is one, or when the run has ended without one (None).
        report: what was told of the report; None so far.
    """

    def __init__(self, tick: str, lease: Lease) -> None:
        self.tick, self._lease = tick, lease
        self.verdict: asyncio.Future[dict[str, Any] | None] = (
            asyncio.get_running_loop().create_future()
        )
        self.report: dict[str, Any] | None = None
        self._lost = False

    @property
    def told(self) -> dict[str, Any]:
        """The verdict, or nothing when there is none."""
        return (self.verdict.result() or {}) if self.verdict.done() else {}

    async def run(self, start: Start, program: Sequence[str]) -> str | None:
        """Run it to its end; why it failed, in one line, or None.

        Whatever ends this, the process is gone afterwards.
        """
        try:
            process = await start(program)
        except OSError as error:
            return f"its process could not be started: {error.strerror}"
        keeping = asyncio.create_task(self._keep(process))
        try:
            async for line in process.lines():
                self._take(line)
            ended = await process.wait()
        except BaseException:
            process.kill()
            await asyncio.shield(process.wait())
            raise
        finally:
            keeping.cancel()
        if self._lost:
            return "its lease was lost: another process makes this check"
        if ended.failure is None and not self.told:
            return "it gave no verdict"
        return ended.failure

    def end(self) -> None:
        """Let nobody wait for a verdict that does not come."""
        if not self.verdict.done():
            self.verdict.set_result(None)

    def _take(self, line: bytes) -> None:
        with contextlib.suppress(ValueError):
            told = json.loads(line)
            if isinstance(told, dict):
                if isinstance(told.get("verdict"), dict) and not self.verdict.done():
                    self.verdict.set_result(told["verdict"])
                if isinstance(told.get("report"), dict):
                    self.report = told["report"]
                return
        _LOGGER.info("the drift check of %s says %r", self.tick, line[:200])

    async def _keep(self, process: Process) -> None:
        """Renew the lease; once it is lost somebody else may run the same, so this run ends."""
        while True:
            await asyncio.sleep(self._lease.seconds / _RENEWALS)
            try:
                kept = await asyncio.to_thread(self._lease.renew)
            except StoreError as error:
                kept = self._lease.seconds_left > 0
                _LOGGER.warning("the lease of %s was not renewed: %s", self.tick, error)
            if not kept:
                self._lost = True
                process.kill()
                return
