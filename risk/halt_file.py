"""The halt file: the way in when the API is gone."""

import errno
import os
from pathlib import Path

__all__ = ["HaltFile"]

_ABSENT = {errno.ENOENT, errno.ENOTDIR}


class HaltFile:
    """A file whose existence asks for a halt.

    Args:
        path: of the file; its content is nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def __call__(self) -> bool:
        """Whether it is there. What cannot be told counts as there."""
        try:
            os.lstat(self._path)  # Path.lstat costs twice as much, and every decision asks
        except OSError as error:
            return error.errno not in _ABSENT
        return True
