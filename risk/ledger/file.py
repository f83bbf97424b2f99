"""The file of an embedded ledger: that it is there, and that it stays the same one."""

from pathlib import Path

from errors import LedgerUnavailable

__all__ = ["identity_of", "open_file"]

Identity = tuple[int, int]


def identity_of(path: Path) -> Identity | None:
    """Device and inode of a file; None when there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def open_file(path: Path, *, create: bool) -> Identity:
    """The identity of a file that is there, or is made now.

    Raises:
        LedgerUnavailable: it is not there, or cannot be made.
    """
    if create:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError as error:
            raise LedgerUnavailable(f"{path} cannot be made: {error.strerror}") from None
    identity = identity_of(path)
    if identity is None:
        raise LedgerUnavailable(
            f"there is no ledger at {path}; start the service in the folder it belongs to, or "
            "set MLOPS__STATE_PATH to the file"
        )
    return identity
