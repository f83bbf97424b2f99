"""Model versions in the BentoML model store.

A version lies there as a BentoML model: `model.onnx`, its sha256 and its metadata. Only the
framework-neutral `bentoml.models` is used; `bentoml.onnx` is deprecated.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bentoml
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml.exceptions import BentoMLException, NotFound

from errors import ModelError, ModelNotFound
from models.stored import StoredModel, model_version, sha256_of
from runners.metadata import METADATA_KEYS, ModelMetadata

__all__ = ["BentoModelStore"]

_FILE_NAME = "model.onnx"
_REGISTERED_BY = "usdcop"
_LOCK_NAME = "usdcop-models.lock"


class BentoModelStore:
    """The BentoML model store of this BENTOML_HOME, or of the Bento that is running.

    BentoML copies files into place one by one and does not lock: a file lock here keeps two
    processes that register at once from writing, or reading, half a model.
    """

    def register(self, name: str, content: bytes, metadata: ModelMetadata) -> StoredModel:
        """Keep a version. Registering the same content and metadata again changes nothing.

        Args:
            name: lower case letters, digits, `_`, `-` and `.`, at most 63.
            content: the ONNX file.
            metadata: complete.

        Raises:
            ModelError: the name is not allowed, or the store cannot be written.
        """
        version = model_version(content, metadata)
        tag = _tag(name, version)
        with _locked(fcntl.LOCK_EX):
            kept = self._intact(tag)
            if kept is not None:
                return kept
            self._create(tag, content, metadata)
            return self._get(tag)

    def get(self, name: str, version: str) -> StoredModel:
        """One version.

        Raises:
            ModelNotFound: it is not in the store.
            ModelError: it was put there by something else, or is incomplete.
        """
        with _locked(fcntl.LOCK_SH):
            return self._get(_tag(name, version))

    def versions(self, name: str) -> tuple[StoredModel, ...]:
        """Every version of a model, newest first."""
        with _locked(fcntl.LOCK_SH):
            return self._list(name)

    def all(self) -> tuple[StoredModel, ...]:
        """Every version of every model that was registered here, by name, newest first."""
        with _locked(fcntl.LOCK_SH):
            return self._list(None)

    def remove(self, name: str, version: str) -> None:
        """Forget a version.

        Raises:
            ModelNotFound: it is not in the store.
        """
        tag = _tag(name, version)
        with _locked(fcntl.LOCK_EX):
            self._get(tag)
            bentoml.models.delete(tag)

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

    def _create(self, tag: bentoml.Tag, content: bytes, metadata: ModelMetadata) -> None:
        # BentoML reports each saved model to its makers unless this is set.
        os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
        sha256 = sha256_of(content)
        try:
            with bentoml.models.create(
                tag,
                labels={"registered-by": _REGISTERED_BY, "algorithm": metadata.algorithm.value},
                metadata={**metadata.to_mapping(), "sha256": sha256},
            ) as draft:
                Path(draft.path_of(_FILE_NAME)).write_bytes(content)
        except (BentoMLException, OSError) as error:
            raise ModelError(f"model {tag} cannot be stored: {error}") from error

    def _intact(self, tag: bentoml.Tag) -> StoredModel | None:
        """The version if it is there and whole; what a killed registration left is removed."""
        try:
            kept = self._get(tag)
            kept.content()
        except ModelNotFound:
            return None
        except ModelError:
            bentoml.models.delete(tag)
            return None
        return kept

    def _get(self, tag: bentoml.Tag) -> StoredModel:
        try:
            model = bentoml.models.get(tag)
        except NotFound:
            raise ModelNotFound(f"model {tag} is not in the model store") from None
        except BentoMLException as error:
            raise ModelError(f"model {tag} is incomplete in the model store: {error}") from error
        if model.tag.version != tag.version:  # BentoML completes the beginning of a version
            raise ModelNotFound(f"model {tag} is not in the model store; there is {model.tag}")
        return _stored(model)

    def _list(self, name: str | None) -> tuple[StoredModel, ...]:
        try:
            models = bentoml.models.list(name)
        except NotFound:
            return ()
        except BentoMLException as error:
            raise ModelError(
                f"the model store has an incomplete version, left by a registration that was "
                f"killed; remove the folder without a model.yaml: {error}"
            ) from error
        ours = [m for m in models if m.info.labels.get("registered-by") == _REGISTERED_BY]
        stored = sorted(map(_stored, ours), key=lambda model: model.created_at, reverse=True)
        return tuple(sorted(stored, key=lambda model: model.name))


def _stored(model: Any) -> StoredModel:
    declared = model.info.metadata
    if model.info.labels.get("registered-by") != _REGISTERED_BY or "sha256" not in declared:
        raise ModelError(
            f"model {model.tag} was not registered by usdcop; use `usdcop models register`"
        )
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
