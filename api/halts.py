"""The halt file is looked for every second, also while nobody asks for a decision."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from errors import ServiceError

__all__ = ["watch_halt_file"]

_LOGGER = logging.getLogger("usdcop.api")
_SECONDS = 1.0


async def watch_halt_file(obey: Callable[[], Awaitable[None]]) -> None:
    """Obey the halt file for as long as the worker lives.

    A store that cannot be written now is tried again; every decision obeys the file as well.
    """
    while True:
        await asyncio.sleep(_SECONDS)
        try:
            await obey()
        except ServiceError as error:
            _LOGGER.warning("the halt file could not be obeyed yet: %s", error)
