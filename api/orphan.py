"""A worker does not outlive the process that started it.

BentoML's workers are in process groups of their own: when their arbiter is killed they go on
serving its port, with its settings, under nobody's supervision.
"""

import asyncio
import logging
import os
from collections.abc import Callable

__all__ = ["stop_when_orphaned"]

_LOGGER = logging.getLogger("usdcop.api")
_SECONDS = 0.5


async def stop_when_orphaned(parent: int, stop: Callable[[], None]) -> None:
    """Stop this process, gracefully, once its parent is another one.

    Args:
        parent: process id of the arbiter.
        stop: asks this process to stop; at once, since a new arbiter may wait for the port.
    """
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing signals that a parent has died
        await asyncio.sleep(_SECONDS)
    _LOGGER.error("the arbiter %d is gone; this worker stops too", parent)
    stop()
