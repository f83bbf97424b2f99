"""A model version as the store keeps it: what identifies it and what was declared about it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from errors import ModelError
from runners.metadata import ModelMetadata

__all__ = [
    "REFERENCE_NAME",
    "ModelStore",
    "StoredModel",
    "declared_reference",
    "model_version",
    "reference_beside",
    "sha256_of",
]

REFERENCE_NAME = "reference.json"
"""File of a reference profile beside a model's own."""


@dataclass(frozen=True, slots=True)
class StoredModel:
    """One version of one model.

    Args:
        name: in the store, in requests and on record.
        version: 16 hexadecimal digits, see `model_version`.
        sha256: of the ONNX file when it was registered.
        metadata: complete, as it was registered.
        created_at: when it was registered, with a zone.
        path: of the ONNX file in the store.
    """

    name: str
    version: str
    sha256: str
    metadata: ModelMetadata
    created_at: datetime
    path: Path

    @property
    def tag(self) -> str:
        """`name:version`."""
        return f"{self.name}:{self.version}"

    def content(self) -> bytes:
        """The ONNX file, proven to be the one that was registered.

        Raises:
            ModelError: it is gone, unreadable, or not what was registered.
        """
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise ModelError(
                f"model {self.tag}: {self.path} cannot be read: {error.strerror}"
            ) from error
        found = sha256_of(content)
        if found != self.sha256:
            raise ModelError(
                f"model {self.tag} is corrupt: {self.path} has sha256 {found}, registered was "
                f"{self.sha256}; remove it and register the file again"
            )
        return content

    def reference(self) -> bytes | None:
        """The reference profile that was registered with it, proven to be that one.

        Raises:
            ModelError: it is gone, unreadable, or not what was registered.
        """
        if self.metadata.reference is None:
            return None
        path = self.path.with_name(REFERENCE_NAME)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(
                f"model {self.tag}: {path} cannot be read: {error.strerror}"
            ) from error
        if sha256_of(content) != self.metadata.reference:
            raise ModelError(
                f"model {self.tag} is corrupt: {path} is not the reference that was registered; "
                "remove the model and register it again"
            )
        return content


def reference_beside(path: Path) -> bytes | None:
    """The reference profile that lies beside a model file.

    That is `NAME.reference.json` for `NAME.onnx`, or else `reference.json` for all of a folder.

    Raises:
        ModelError: it is there and cannot be read.
    """
    for name in (f"{path.stem}.{REFERENCE_NAME}", REFERENCE_NAME):
        beside = path.with_name(name)
        if beside.is_file():
            try:
                return beside.read_bytes()
            except OSError as error:
                raise ModelError(f"{beside} cannot be read: {error.strerror}") from error
    return None


def declared_reference(reference: bytes | None) -> dict[str, str]:
    """What a model's metadata says of its reference."""
    return {} if reference is None else {"reference": sha256_of(reference)}


class ModelStore(Protocol):
    """Where model versions are kept."""

    def register(
        self, name: str, content: bytes, metadata: ModelMetadata, reference: bytes | None = None
    ) -> StoredModel:
        """Keep a version; registering the same again changes nothing and returns it."""
        ...

    def get(self, name: str, version: str) -> StoredModel:
        """One version, or ModelNotFound."""
        ...

    def versions(self, name: str) -> tuple[StoredModel, ...]:
        """Every version of a model, newest first; empty when there is none."""
        ...

    def all(self) -> tuple[StoredModel, ...]:
        """Every version of every model, by name and then newest first."""
        ...

    def remove(self, name: str, version: str) -> None:
        """Forget a version, or ModelNotFound."""
        ...

    def pins(self) -> dict[str, str]:
        """Model name to the version that the running Bento was built with; else empty."""
        ...


def sha256_of(content: bytes) -> str:
    """SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def model_version(content: bytes, metadata: ModelMetadata) -> str:
    """The version that a file and its metadata have: 16 hexadecimal digits of their SHA-256.

    The same bytes with another action order, or another reference, are another model, so the
    metadata counts.
    """
    declared = json.dumps(metadata.to_mapping(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content + b"\0" + declared.encode()).hexdigest()[:16]
