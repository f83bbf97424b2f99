"""The GET routes about drift; `state.drift` of the app is set when the worker is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from fastapi.responses import HTMLResponse

from api.drift_runs import DriftRuns
from errors import NotFound

__all__ = ["DRIFT_ROUTES"]

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)
"""The page brings all it needs: whatever a feature is called, a browser loads nothing else."""


async def _drift(request: Request) -> DriftRuns:
    drift: DriftRuns = request.app.state.drift
    return drift


Drift = Annotated[DriftRuns, Depends(_drift)]


def drift_latest(drift: Drift, history: Annotated[int, Query(ge=0, le=500)] = 0) -> dict[str, Any]:
    """The newest check, with its suspects; `history`: so many entries, newest first."""
    status = drift.status()
    entry = drift.records.latest()
    if entry is None:
        raise NotFound(_nothing_yet(status["next_run"]), code="no_drift_check", detail=status)
    told = {**entry, "next_run": status["next_run"], "checks_of_worker": status}
    return {**told, "history": drift.records.history(history)} if history else told


def drift_report(drift: Drift) -> Response:
    """The newest report as a page."""
    page = drift.records.report()
    if page is None:
        raise NotFound(_nothing_yet(drift.status()["next_run"]), code="no_drift_check")
    return HTMLResponse(page, headers={"content-security-policy": _POLICY})


def _nothing_yet(next_run: str | None) -> str:
    due = "none is scheduled" if next_run is None else f"the next one is due at {next_run}"
    return f"no drift check has been made yet; {due}, and POST /v1/drift/check makes one now"


DRIFT_ROUTES: Mapping[str, Callable[..., Any]] = {
    "/v1/drift/latest": drift_latest,
    "/v1/drift/report": drift_report,
}
