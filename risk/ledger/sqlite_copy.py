"""Copies what is good of any ledger into a new SQLite file, byte for byte.

The head and the state of the copy come from the records themselves. The copy appears under its
name only when it is complete and on the disk; nothing that exists is overwritten.
"""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from errors import StoreUnavailable
from risk.ledger.protocol import EMPTY, Head
from risk.ledger.sqlite_schema import insert, prepare, write_head
from risk.verification import REMEDY, Examiner, Flaw, Progress, Readable, records_of
from stores.sqlite_connection import connect, faults, transaction

__all__ = ["Copied", "copy_good"]

_REPORTED = 1000
_BESIDE = ("-journal", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy holds.

    Attributes:
        head: of the copy; its sequence is the number of records.
        flaw: why it ends there; None when every record of the source was good.
    """

    head: Head
    flaw: Flaw | None


def copy_good(source: Readable, path: Path, *, progress: Progress | None = None) -> Copied:
    """Copy all records before the first flaw into a new file.

    Args:
        source: a ledger, or what is left of one. Its head is not asked.
        path: of the new file; its folder is made. Nothing may be there.
        progress: is called now and then with the number of records copied since the last call.

    Raises:
        StoreUnavailable: something is there, or it cannot be written.
    """
    _refuse_existing(path)
    partial = path.with_name(f"{path.name}.partial")
    _refuse_existing(partial)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch(exist_ok=False)
        copied = _fill(source, partial, progress)
        _put_in_place(partial, path)
    except FileExistsError:
        raise _existing(path) from None
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be written: {error.strerror}") from error
    finally:
        for name in ("", *_BESIDE):
            partial.with_name(partial.name + name).unlink(missing_ok=True)
    return copied


def _fill(source: Readable, partial: Path, progress: Progress | None) -> Copied:
    with faults(partial, REMEDY), closing(connect(partial, "mode=rw")) as connection:
        prepare(connection, partial)
        # The file counts only once it is complete: until then nothing need survive.
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("PRAGMA synchronous = OFF")
        with transaction(connection):
            copied = _copy(source, connection, progress)
            write_head(connection, copied.head)
        connection.execute("PRAGMA journal_mode = WAL")
    return copied


def _copy(source: Readable, connection: sqlite3.Connection, progress: Progress | None) -> Copied:
    examiner, head = Examiner(), EMPTY
    for record in examiner.passed(records_of(source)):
        try:
            insert(connection, [record])
        except sqlite3.IntegrityError:
            return Copied(head, Flaw(record.sequence, "its id or key is that of an earlier one"))
        head = examiner.head
        if progress is not None and record.sequence % _REPORTED == 0:
            progress(_REPORTED)
    if progress is not None:
        progress(head.sequence % _REPORTED)
    return Copied(head, examiner.flaw)


def _put_in_place(partial: Path, path: Path) -> None:
    """Give a complete file its name: first on the disk, then named, then the name on the disk."""
    _flush(partial)
    path.touch(exist_ok=False)  # takes the name, or finds it taken
    partial.replace(path)
    _flush(path.parent)


def _flush(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _refuse_existing(path: Path) -> None:
    for name in ("", *_BESIDE):
        beside = path.with_name(path.name + name)
        if beside.exists() or beside.is_symlink():
            raise _existing(beside)


def _existing(path: Path) -> StoreUnavailable:
    return StoreUnavailable(f"{path} exists; a copy overwrites nothing, name a new file")
