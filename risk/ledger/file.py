"""The file of an embedded ledger: that it is there, and that it stays the same one."""

from pathlib import Path

from errors import StoreUnavailable
from stores.sqlite_connection import Identity, identity_of

__all__ = ["open_file"]


def open_file(path: Path, *, create: bool) -> Identity:
    """The identity of a file that is there, or is made now.

    Raises:
        StoreUnavailable: it is not there, or cannot be made.
    """
    if create:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError as error:
            raise StoreUnavailable(f"{path} cannot be made: {error.strerror}") from None
    identity = identity_of(path)
    if identity is None:
        raise StoreUnavailable(
            f"there is no ledger at {path}; start the service in the folder it belongs to, or "
            "set MLOPS__STATE_PATH to the file"
        )
    return identity
