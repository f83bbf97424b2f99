"""What a store acknowledged, in a small local file that the services of one host share.

Two slots of one disk sector each, a line of text in each, are written in turn: the older one is
overwritten, in one `pwrite`, and each carries a checksum, so that a write that was torn leaves
the other. An acknowledgement goes to the page cache and not to the disk: it outlives `kill -9`.
After a loss of power the file may be behind the store, which only makes it less strict. It may
also know of ordinary events that the store had not put on the disk: a person then accepts that
they are lost.
"""

import os
from fcntl import LOCK_EX, LOCK_SH, LOCK_UN, flock
from hashlib import sha256
from pathlib import Path
from threading import Lock

from errors import StoreCorrupt, StoreUnavailable
from risk.ledger.anchored import Acknowledged

__all__ = ["AnchorFile"]

_SLOT = 512
_BLANK = b" " * (_SLOT - 1) + b"\n"
_MAGIC = "usdcop-anchor-1"
_NONE = "-"
_DIGEST = 32

_Slots = tuple[Acknowledged | None, ...]


class AnchorFile:
    """Remembers the newest acknowledgement of one store.

    Args:
        folder: where such files are; made when the first acknowledgement comes.
        store: names the store and the book wholly, e.g. `sqlite:/srv/desk/state.db` or
            `redis://host:6379/0 usdcop`. Another store in the same folder has another file.
    """

    def __init__(self, folder: Path, store: str) -> None:
        self._store = sha256(store.encode()).hexdigest()[:_DIGEST]
        self.path = folder / f"{self._store}.anchor"
        self._lock = Lock()
        self._opened: int | None = None
        # What the file held when it was last looked at, so that it is decoded once.
        self._image = b""
        self._slots: _Slots = (None, None)

    def read(self) -> Acknowledged | None:
        """What is remembered; None when there is no file, or an empty one.

        Raises:
            StoreCorrupt: both slots are damaged, or it is the file of another store.
            StoreUnavailable: it cannot be read.
        """
        with self._lock:
            try:
                return self._read()
            except OSError as error:
                raise self._fault(error, "read") from error

    def write(self, acknowledged: Acknowledged) -> None:
        """Remember it, unless something of a higher order is remembered.

        Raises:
            StoreCorrupt: both slots are damaged, or it is the file of another store.
            StoreUnavailable: it cannot be written.
        """
        with self._lock:
            try:
                self._write(acknowledged)
            except OSError as error:
                raise self._fault(error, "written") from error

    def close(self) -> None:
        """Close the file; it is opened again when it is needed. Closing twice is harmless."""
        with self._lock:
            self._forget()

    def _read(self) -> Acknowledged | None:
        try:
            opened = self._open(os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            return _newest(self._look(opened))
        except StoreCorrupt:
            # Two writes may have passed while it was read. While it is locked, none does.
            flock(opened, LOCK_SH)
            try:
                return _newest(self._look(opened))
            finally:
                flock(opened, LOCK_UN)

    def _write(self, acknowledged: Acknowledged) -> None:
        opened = self._open_to_write()
        flock(opened, LOCK_EX)  # threads of this process are kept out by a lock of theirs
        try:
            slots = self._look(opened)
            newest = _newest(slots)
            if newest is None:
                self._begin(opened, acknowledged)
            elif acknowledged.order > newest.order:
                self._replace(opened, 1 - slots.index(newest), acknowledged)
        finally:
            flock(opened, LOCK_UN)

    def _open(self, flags: int) -> int:
        if self._opened is None:
            self._opened = os.open(self.path, flags | os.O_CLOEXEC, 0o666)
        return self._opened

    def _open_to_write(self) -> int:
        if self._opened is not None and os.fstat(self._opened).st_nlink == 0:
            self._forget()  # somebody has deleted it; what is written now must outlive us
        try:
            return self._open(os.O_RDWR | os.O_CREAT)
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return self._open(os.O_RDWR | os.O_CREAT)

    def _forget(self) -> None:
        if self._opened is not None:
            os.close(self._opened)
            self._opened = None

    def _look(self, opened: int) -> _Slots:
        image = os.pread(opened, 2 * _SLOT, 0)
        if image != self._image:
            slots = (self._decoded(image[:_SLOT]), self._decoded(image[_SLOT:]))
            if image and slots == (None, None):
                raise StoreCorrupt(
                    f"{self.path} is damaged: what the ledger acknowledged is not known any "
                    "more. Run `usdcop ledger verify`; once a person is sure that the ledger "
                    "lost nothing, delete this file, and what it holds now is remembered"
                )
            self._image, self._slots = image, slots
        return self._slots

    def _begin(self, opened: int, acknowledged: Acknowledged) -> None:
        """Write a new file through to the disk: from then on it never changes its size."""
        _put(opened, self._encoded(acknowledged) + _BLANK, 0)
        os.fsync(opened)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _replace(self, opened: int, slot: int, acknowledged: Acknowledged) -> None:
        line = self._encoded(acknowledged)
        _put(opened, line, slot * _SLOT)
        lines, slots = [self._image[:_SLOT], self._image[_SLOT:]], list(self._slots)
        lines[slot], slots[slot] = line, acknowledged
        self._image, self._slots = b"".join(lines), tuple(slots)

    def _encoded(self, acknowledged: Acknowledged) -> bytes:
        losses, sequence = acknowledged.losses, acknowledged.sequence
        reconciled = acknowledged.reconciled or _NONE
        text = f"{_MAGIC} {self._store} {losses} {sequence} {acknowledged.hash} {reconciled}"
        line = f"{text} {_checksum(text.encode())}"
        return line.encode().ljust(_SLOT - 1) + b"\n"

    def _decoded(self, slot: bytes) -> Acknowledged | None:
        """What a slot holds; None when it is blank or damaged."""
        text, _, checksum = slot.rstrip().rpartition(b" ")
        if checksum.decode("ascii", "replace") != _checksum(text):
            return None
        words = text.decode().split(" ")
        if words[:2] != [_MAGIC, self._store]:
            raise StoreCorrupt(
                f"{self.path} belongs to another store, or to another version of this program; "
                "move it away"
            )
        losses, sequence, digest, reconciled = words[2:]
        known = "" if reconciled == _NONE else reconciled
        return Acknowledged(int(sequence), digest, int(losses), known)

    def _fault(self, error: OSError, what: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"{self.path}, which remembers what the ledger acknowledged, cannot be {what}: "
            f"{error.strerror}"
        )


def _put(opened: int, content: bytes, offset: int) -> None:
    if os.pwrite(opened, content, offset) != len(content):
        raise OSError(None, "only a part fits on the disk")


def _newest(slots: _Slots) -> Acknowledged | None:
    one, other = slots
    if one is None or other is None:
        return one or other
    return other if other.order > one.order else one


def _checksum(text: bytes) -> str:
    return sha256(text).hexdigest()[:16]
