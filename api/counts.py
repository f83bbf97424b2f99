"""What a worker counted is written every second, for the scrapes that other workers answer."""

import asyncio
import logging

from application import Application

__all__ = ["keep_counts_written"]

_LOGGER = logging.getLogger("usdcop.api")
_SECONDS = 1.0


async def keep_counts_written(application: Application) -> None:
    """Write for as long as the worker lives, on its event loop: it takes some 0.04 ms."""
    while True:
        try:
            application.traffic.write(application.standing.worker())
        except Exception:
            _LOGGER.exception("the metrics of this worker could not be written; they will be")
        await asyncio.sleep(_SECONDS)
