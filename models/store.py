"""Model versions in the BentoML model store.

A version lies there as a BentoML model: `model.onnx`, its sha256 and its metadata. Only the
framework-neutral `bentoml.models` is used; `bentoml.onnx` is deprecated.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bentoml
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models import ModelStore as BentoFolder
from bentoml.exceptions import BentoMLException

from errors import ModelError, ModelNotFound
from models.stored import REFERENCE_NAME, StoredModel, model_version, sha256_of
from runners.metadata import METADATA_KEYS, ModelMetadata

__all__ = ["BentoModelStore"]

_FILE_NAME = "model.onnx"
_REGISTERED_BY = "usdcop"
_LOCK_NAME = "usdcop-models.lock"
_DRAFTS_PREFIX = "usdcop-draft-"
_LATEST = "latest"  # BentoML's file beside the versions that names the newest


class _DamagedError(ModelError):
    """A version cannot be read."""


class BentoModelStore:
    """The BentoML model store of this BENTOML_HOME, or of the Bento that is running.

    BentoML copies files into place one by one and does not lock. Here a version is written
    beside the store and moved in whole, so that a killed process leaves no half of one; a file
    lock keeps processes that register at once apart. What came to harm all the same is left
    out of every list, named by `damaged`, and healed by registering the same file again.
    """

    def register(
        self, name: str, content: bytes, metadata: ModelMetadata, reference: bytes | None = None
    ) -> StoredModel:
        """Keep a version. Registering the same content and metadata again changes nothing.

        Args:
            name: lower case letters, digits, `_`, `-` and `.`, at most 63.
            content: the ONNX file.
            metadata: complete.
            reference: the reference profile that `metadata` has the SHA-256 of.

        Raises:
            ModelError: the name is not allowed, the reference is another one, or the store cannot
                be written.
        """
        if metadata.reference != (None if reference is None else sha256_of(reference)):
            raise ModelError(f"model {name}: its metadata names another reference than was given")
        version = model_version(content, metadata)
        tag = _tag(name, version)
        folder = _models() / tag.path()
        with _locked(fcntl.LOCK_EX):
            try:
                kept = _read(folder)
                kept.content()
                kept.reference()
            except ModelError:  # it is not there, or it came to harm
                self._create(tag, content, metadata, reference)
                return _read(folder)
            return kept

    def get(self, name: str, version: str) -> StoredModel:
        """One version.

        Raises:
            ModelNotFound: it is not in the store.
            ModelError: it was put there by something else, or is damaged; names its folder.
        """
        with _locked(fcntl.LOCK_SH):
            return _read(_models() / _tag(name, version).path())

    def versions(self, name: str) -> tuple[StoredModel, ...]:
        """Every version of a model, newest first, without those that cannot be read."""
        with _locked(fcntl.LOCK_SH):
            return _versions(_folders(name))

    def all(self) -> tuple[StoredModel, ...]:
        """Every readable version that was registered here, by name, newest first."""
        with _locked(fcntl.LOCK_SH):
            return _versions(_folders())

    def damaged(self) -> tuple[str, ...]:
        """One line for each version that cannot be read: its name, its folder and why.

        Whose it was is not known. `register` of the same file heals it, `remove` deletes it.
        """
        lines = []
        with _locked(fcntl.LOCK_SH):
            for folder in _folders():
                try:
                    _described(folder)
                except _DamagedError as error:
                    lines.append(str(error))
        return tuple(lines)

    def remove(self, name: str, version: str) -> None:
        """Forget a version, also one that cannot be read.

        Raises:
            ModelNotFound: it is not in the store.
            ModelError: it was put there by something else, or the store cannot be written.
        """
        folder = _models() / _tag(name, version).path()
        with _locked(fcntl.LOCK_EX):
            with suppress(_DamagedError):
                _read(folder)
            try:
                shutil.rmtree(folder)
                _name_latest(folder.parent)
            except OSError as error:
                raise ModelError(f"{folder} cannot be removed: {error.strerror}") from error

    def pins(self) -> dict[str, str]:
        """Model name to version for the models of the Bento that is running.

        A Bento lists its models with the versions found when it was built, by alias. From a
        checkout BentoML fills the same list with what bentofile.yaml says, where `latest`
        pins nothing.
        """
        pins: dict[str, str] = {}
        for alias, taglike in BentoMLContainer.model_aliases.get().items():
            tag = bentoml.Tag.from_taglike(taglike)
            if tag.version not in {None, "latest"}:
                pins[tag.name] = pins[alias] = str(tag.version)
        return pins

    def _create(
        self, tag: bentoml.Tag, content: bytes, metadata: ModelMetadata, reference: bytes | None
    ) -> None:
        # BentoML reports each saved model to its makers unless this is set.
        os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
        folder = _models() / tag.path()
        try:
            with _drafts() as drafts:
                with bentoml.models.create(
                    tag,
                    labels={"registered-by": _REGISTERED_BY, "algorithm": metadata.algorithm.value},
                    metadata={**metadata.to_mapping(), "sha256": sha256_of(content)},
                    _model_store=BentoFolder(drafts),
                ) as draft:
                    Path(draft.path_of(_FILE_NAME)).write_bytes(content)
                    if reference is not None:
                        Path(draft.path_of(REFERENCE_NAME)).write_bytes(reference)
                _move_whole(drafts / tag.path(), folder)
            _name_latest(folder.parent)
        except (BentoMLException, OSError) as error:
            raise ModelError(f"model {tag} cannot be stored: {error}") from error


def _models() -> Path:
    return Path(BentoMLContainer.model_store.get()._path)  # noqa: SLF001  it has no public one


def _folders(name: str | None = None) -> list[Path]:
    """The version folders of a model, or of every model."""
    folders = sorted(folder for folder in _models().glob("*/*") if folder.is_dir())
    return [folder for folder in folders if name in {None, folder.parent.name}]


def _versions(folders: Sequence[Path]) -> tuple[StoredModel, ...]:
    """Those that were registered here and can be read, by name and then newest first."""
    found = []
    for folder in folders:
        with suppress(_DamagedError):
            found.append(_described(folder))
    ours = [stored for stored in found if stored is not None]
    newest_first = sorted(ours, key=lambda stored: stored.created_at, reverse=True)
    return tuple(sorted(newest_first, key=lambda stored: stored.name))


def _read(folder: Path) -> StoredModel:
    """One version that was registered here, or ModelNotFound, or ModelError."""
    tag = f"{folder.parent.name}:{folder.name}"
    if not folder.is_dir():
        longer = [path.name for path in folder.parent.glob(f"{folder.name}*") if path.is_dir()]
        hint = f"; there is {', '.join(f'{folder.parent.name}:{v}' for v in longer)}"
        raise ModelNotFound(f"model {tag} is not in the model store{hint if longer else ''}")
    stored = _described(folder)
    if stored is None:
        raise ModelError(f"model {tag} was not registered by usdcop; use `usdcop models register`")
    return stored


def _described(folder: Path) -> StoredModel | None:
    """What a version folder holds; None for something else's, ModelError for a damaged one."""
    tag = f"{folder.parent.name}:{folder.name}"
    try:
        model = bentoml.Model.from_path(folder)
        if model.info.labels.get("registered-by") != _REGISTERED_BY:
            return None
        stored = _stored(model)
    except Exception as error:  # what half a description raises depends on where it ends
        reason = " ".join(str(error).split()) or type(error).__name__
        raise _DamagedError(f"model {tag} is damaged, see {folder}: {reason}") from error
    if stored.tag != tag:
        raise _DamagedError(f"model {tag} is damaged, see {folder}: it calls itself {stored.tag}")
    if not stored.path.is_file():
        raise _DamagedError(f"model {tag} is damaged, see {folder}: it has no {_FILE_NAME}")
    return stored


def _stored(model: Any) -> StoredModel:
    declared = model.info.metadata
    created_at: datetime = model.info.creation_time
    return StoredModel(
        name=model.tag.name,
        version=str(model.tag.version),
        sha256=str(declared["sha256"]),
        metadata=ModelMetadata.from_mapping(
            {key: str(declared[key]) for key in METADATA_KEYS if key in declared}
        ),
        created_at=created_at if created_at.tzinfo else created_at.replace(tzinfo=UTC),
        path=Path(model.path_of(_FILE_NAME)),
    )


@contextmanager
def _drafts() -> Iterator[Path]:
    """A folder beside the store; those that killed registrations left are removed."""
    beside = _models().parent
    for left in beside.glob(f"{_DRAFTS_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_DRAFTS_PREFIX, dir=beside) as folder:
        yield Path(folder)


def _move_whole(draft: Path, folder: Path) -> None:
    """Move a version to its place, at once unless the store is a file system of its own."""
    for file in draft.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():  # damaged, or the same would not be written again
        shutil.rmtree(folder)
    shutil.move(draft, folder)


def _name_latest(model: Path) -> None:
    """Keep BentoML's own note of the newest version, which `bentofile.yaml` may refer to."""
    folders = _folders(model.name)
    versions = _versions(folders)
    if versions:
        note = model / f".{_LATEST}"
        note.write_text(versions[0].version)
        note.replace(model / _LATEST)
    elif folders:
        (model / _LATEST).unlink(missing_ok=True)  # BentoML makes it anew
    else:
        shutil.rmtree(model)


def _tag(name: str, version: str) -> bentoml.Tag:
    if name != name.lower():
        raise ModelError(f"model name {name!r} must be lower case, such as {name.lower()!r}")
    try:
        return bentoml.Tag(name, version)
    except ValueError as error:
        raise ModelError(f"model {name}:{version}: {error}") from None


@contextmanager
def _locked(operation: int) -> Iterator[None]:
    path = Path(BentoMLContainer.bentoml_home.get()) / _LOCK_NAME
    flags = os.O_RDWR | os.O_CREAT if operation == fcntl.LOCK_EX else os.O_RDONLY | os.O_CREAT
    try:
        descriptor = os.open(path, flags, 0o644)
    except OSError as error:
        if operation == fcntl.LOCK_SH:  # a store that nobody here can write needs no lock
            yield
            return
        raise ModelError(f"the model store cannot be written: {path}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, operation)
        yield
    finally:
        os.close(descriptor)
