"""The page for people, and its files: markup, style and scripts without data.

The page asks for a key and sends it with the calls that it makes. A browser runs nothing here but
what this service serves, and sends nothing anywhere else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import HTTPException, Request, Response
from fastapi.staticfiles import StaticFiles

__all__ = ["dashboard", "page_file"]

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    # A browser asks each time whether it has the newest; the answer is mostly "you have".
    "cache-control": "no-cache",
}

_FOLDER: Final = Path(__file__).parent.parent / "dashboard"
_PAGE: Final = "page.html"
_SERVED: Final = frozenset(
    path.name for path in _FOLDER.iterdir() if path.suffix in {".css", ".js", ".svg"}
)
_FILES: Final = StaticFiles(directory=_FOLDER)


async def dashboard(request: Request) -> Response:
    """The page that a desk keeps open."""
    return await _served(_PAGE, request)


async def page_file(request: Request, file: str) -> Response:
    """A part of the page."""
    if file not in _SERVED:
        raise HTTPException(404, f"the page has no part {file[:64]!r}")
    return await _served(file, request)


async def _served(name: str, request: Request) -> Response:
    response = await _FILES.get_response(name, request.scope)
    response.headers.update(_HEADERS)
    return response
