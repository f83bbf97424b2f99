"""What runs: the release of this project, and what it runs on."""

from __future__ import annotations

import platform
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["bentoml_version", "project_version", "python_version"]

_PROJECT = Path(__file__).with_name("pyproject.toml")


def project_version() -> str:
    """Of a checkout or a Bento, which carry the project file, or of an installed package."""
    if _PROJECT.is_file():
        return str(tomllib.loads(_PROJECT.read_text())["project"]["version"])
    try:
        return version("usdcop-decisions")
    except PackageNotFoundError:
        return "unknown"


def python_version() -> str:
    """Of this interpreter."""
    return platform.python_version()


def bentoml_version() -> str:
    """Of what serves."""
    return version("bentoml")
