"""From a model's entry in the configuration to the one version that is served.

============================  ==================================================  ===========
the entry                     the version                                         origin
============================  ==================================================  ===========
any, inside a built Bento     the one that the Bento was built with               `bento`
``tag: name:version``         that one                                            `pinned`
``tag: name``                 the one promoted last, where one was                `promoted`
``tag: name``                 else the newest in the store                        `newest`
``onnx_path: file.onnx``      the file's own, registered if it is not yet there   `file`
============================  ==================================================  ===========

A Bento's pin wins over a promotion: an image is what it was built as. Every other pair that
disagrees (entry and pin, file and promotion, pinned tag and promotion) stops start-up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePath
from typing import Protocol

from config.settings import ModelSettings
from errors import ModelError, ModelMismatch, ModelNotFound
from models.stored import (
    ModelStore,
    StoredModel,
    declared_reference,
    model_version,
    reference_beside,
)
from runners.metadata import ModelMetadata

__all__ = ["Inspector", "Origin", "ResolvedModel", "model_file", "resolve_model"]


class Origin(StrEnum):
    """Where a served version came from."""

    BENTO = "bento"
    PINNED = "pinned"
    PROMOTED = "promoted"
    NEWEST = "newest"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """The version to serve, and why it is that one."""

    stored: StoredModel
    origin: Origin


class Inspector(Protocol):
    """Finds out what a file is; `runners.loading.inspect_model` does."""

    def __call__(
        self, content: bytes, *, source: str, declared: Mapping[str, str] | None = None
    ) -> ModelMetadata:
        """The file's complete metadata, or ModelError."""
        ...


def resolve_model(
    settings: ModelSettings,
    *,
    store: ModelStore,
    live: Mapping[str, str],
    storage_path: Path,
    inspect: Inspector,
) -> ResolvedModel:
    """Find the version that an entry means.

    Args:
        settings: the entry.
        store: where versions are kept; a file's is registered here.
        live: model name to promoted version.
        storage_path: folder that `onnx_path` is relative to.
        inspect: reads a file's metadata.

    Raises:
        ModelNotFound: neither store nor file system has it.
        ModelMismatch: two sources name different versions.
        ModelError: the file is no ONNX model.
    """
    pin = store.pins().get(settings.name)
    if settings.onnx_path is not None:
        path = model_file(storage_path, settings.onnx_path)
        return _resolve_file(settings.name, path, store, pin, live.get(settings.name), inspect)
    _, _, wanted = (settings.tag or settings.name).partition(":")
    return _resolve_tag(settings.name, wanted, store, pin, live.get(settings.name))


def model_file(storage_path: Path, onnx_path: str) -> Path:
    """The file that an entry means: under the storage path, as it is written.

    Where there is none, without repeating what the storage path already ends with.

    >>> model_file(Path("/models/onnx"), "models/onnx/x.onnx").as_posix()
    '/models/onnx/x.onnx'
    >>> model_file(Path("/srv"), "models/onnx/x.onnx").as_posix()
    '/srv/models/onnx/x.onnx'
    >>> model_file(Path("/models/onnx"), "x.onnx").as_posix()
    '/models/onnx/x.onnx'
    """
    if (storage_path / onnx_path).is_file():
        return storage_path / onnx_path
    relative = PurePath(onnx_path).parts
    ending = storage_path.parts
    for count in range(min(len(relative) - 1, len(ending)), 0, -1):
        if ending[-count:] == relative[:count]:
            return storage_path.joinpath(*relative[count:])
    return storage_path / onnx_path


def _resolve_tag(
    name: str, wanted: str, store: ModelStore, pin: str | None, promoted: str | None
) -> ResolvedModel:
    if wanted == "latest":
        raise ModelMismatch(
            f"model {name!r} has tag '{name}:latest', which is no version; write '{name}' for "
            "its live version"
        )
    if pin is not None:
        if wanted and wanted != pin:
            raise _disagree(name, "the configuration pins", wanted, "the Bento was built with", pin)
        return ResolvedModel(store.get(name, pin), Origin.BENTO)
    if wanted:
        if promoted not in {None, wanted}:
            raise _disagree(name, "the configuration pins", wanted, "promoted is", str(promoted))
        return ResolvedModel(store.get(name, wanted), Origin.PINNED)
    if promoted is not None:
        return ResolvedModel(store.get(name, promoted), Origin.PROMOTED)
    versions = store.versions(name)
    if not versions:
        raise ModelNotFound(
            f"model {name!r} is not in the model store; register it with "
            f"`usdcop models register FILE --name {name}`"
        )
    return ResolvedModel(versions[0], Origin.NEWEST)


def _resolve_file(
    name: str,
    path: Path,
    store: ModelStore,
    pin: str | None,
    promoted: str | None,
    inspect: Inspector,
) -> ResolvedModel:
    content = _read(name, path, optional=pin is not None)
    if content is None:
        return ResolvedModel(store.get(name, str(pin)), Origin.BENTO)
    reference = reference_beside(path)
    metadata = inspect(content, source=str(path), declared=declared_reference(reference))
    version = model_version(content, metadata)
    if pin is not None:
        if pin != version:
            raise _disagree(name, f"file {path} is", version, "the Bento was built with", pin)
        return ResolvedModel(store.get(name, pin), Origin.BENTO)
    if promoted not in {None, version}:
        raise _disagree(name, f"file {path} is", version, "promoted is", str(promoted))
    return ResolvedModel(store.register(name, content, metadata, reference), Origin.FILE)


def _read(name: str, path: Path, *, optional: bool) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        if optional:
            return None
        raise ModelNotFound(f"model {name!r}: file {path} does not exist") from None
    except OSError as error:
        raise ModelError(f"model {name!r}: file {path} cannot be read: {error.strerror}") from error


def _disagree(name: str, one: str, version: str, other: str, other_version: str) -> ModelMismatch:
    return ModelMismatch(
        f"model {name!r}: {one} version {version}, but {other} version {other_version}; make "
        "them agree, or name the model by `tag` alone to serve its live version"
    )
