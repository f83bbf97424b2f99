"""The uvicorn below BentoML, which hands it to nobody."""

from __future__ import annotations

import signal

import uvicorn

__all__ = ["running_server"]


def running_server() -> uvicorn.Server | None:
    """The uvicorn that serves in this process; None where another one does, as in a test.

    It is known by its handler of SIGTERM, so ask before that is taken over.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return server if isinstance(server, uvicorn.Server) else None
