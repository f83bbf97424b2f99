"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["facts"]

_PACKAGES = ("bentoml", "onnxruntime", "uvicorn", "uvloop", "httptools", "fastapi", "pydantic",
             "redis", "numpy", "evidently")  # fmt: skip
_MODEL = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)


def facts(folder: Path) -> dict[str, str]:
    """About the machine, by name.

    Args:
        folder: where the ledgers are.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GB",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "filesystem of the ledgers": _filesystem(folder),
        "python": platform.python_version(),
        **{package: _version(package) for package in _PACKAGES},
        "sqlite": sqlite3.sqlite_version,
    }


def _processor() -> str:
    try:
        found = _MODEL.search(Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor() or "not known"


def _filesystem(folder: Path) -> str:
    """Its type: that of the longest mount point above the folder."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "not known"
    resolved = folder.resolve()
    above = [(len(point), kind) for _, point, kind, *_ in mounts if resolved.is_relative_to(point)]
    return max(above)[1] if above else "not known"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
