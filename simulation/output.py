"""The folder of a run: it appears when it is complete, or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from errors import InvalidRequest

__all__ = ["new_folder", "refuse_existing", "write_json", "write_text"]


def refuse_existing(folder: Path) -> None:
    """Say early that a run would have nowhere to go.

    Raises:
        InvalidRequest: something is there already.
    """
    if folder.exists():
        raise InvalidRequest(f"{folder} is there already; name another folder, or remove it")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Where to write what is to become a folder. If that fails, nothing is left of it.

    Raises:
        InvalidRequest: something is there already, or it cannot be written.
    """
    refuse_existing(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    except OSError as error:
        raise InvalidRequest(f"{folder} cannot be made: {error.strerror or error}") from error
    try:
        yield unfinished
        refuse_existing(folder)
        unfinished.chmod(0o755)
        unfinished.rename(folder)
    except OSError as error:
        raise InvalidRequest(f"{folder} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON that a person can read, and a program can compare."""
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, content: str) -> None:
    """Write a page."""
    path.write_text(content)
