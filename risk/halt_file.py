"""The halt file: the way in when the API is gone."""

import errno
from pathlib import Path

__all__ = ["HaltFile"]

_ABSENT = {errno.ENOENT, errno.ENOTDIR}


class HaltFile:
    """A file whose existence asks for a halt.

    Args:
        path: of the file; its content is nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> bool:
        """Whether it is there. What cannot be told counts as there."""
        try:
            self._path.lstat()
        except OSError as error:
            return error.errno not in _ABSENT
        return True
