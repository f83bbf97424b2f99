"""Exports of a live service from files of JSON documents."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TextIO

from errors import InvalidRequest
from features.schema import Schema
from simulation.exports import Export, export_of

__all__ = ["read_export"]

_REMEDY: Final = (
    "an export is pages of GET /v1/decisions?full=true, or what "
    "`usdcop ledger export --format jsonl` writes"
)


def read_export(paths: Sequence[Path], *, observation_dim: int, schema: Schema | None) -> Export:
    """Read files of JSON documents, one after another, on lines of their own or not.

    Args:
        paths: of one book, at least one, in any order.
        observation_dim: numbers in a vector that the models read.
        schema: of these vectors; None when nobody has named their numbers.

    Raises:
        InvalidRequest: a file is none of these, see `export_of`; the message names file and line.
    """
    documents = (document for path in paths for document in _documents(path))
    name = ", ".join(map(str, paths))
    return export_of(documents, name=name, observation_dim=observation_dim, schema=schema)


def _documents(path: Path) -> Iterator[tuple[str, object]]:
    if path.is_dir():
        raise InvalidRequest(f"{path} is a directory; name the files in it")
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from _in_lines(path, file)
    except FileNotFoundError:
        raise InvalidRequest(f"{path} does not exist") from None
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InvalidRequest(f"{path} is not text: {_REMEDY}") from None


def _in_lines(path: Path, file: TextIO) -> Iterator[tuple[str, object]]:
    """Read a line at a time: an export of years would not fit into memory."""
    decoder = json.JSONDecoder()
    for number, line in enumerate(file, start=1):
        text, position, begun = line, _beyond_space(line, 0), number
        while position < len(text):
            try:
                document, end = decoder.raw_decode(text, position)
            except (ValueError, RecursionError) as error:
                # A document may go over several lines; then the rest of the file is read at once.
                if not (rest := file.read()):
                    raise _no_json(path, begun, error) from None
                text += rest
                continue
            yield f"{path}, line {begun}", document
            position, before = _beyond_space(text, end), position
            begun += text.count("\n", before, position)


def _beyond_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _no_json(path: Path, line: int, error: Exception) -> InvalidRequest:
    reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    return InvalidRequest(
        f"{path}: what begins on line {line} is no whole JSON document ({reason}): {_REMEDY}"
    )
