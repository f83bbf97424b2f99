"""A model store and a promotion record that live in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from config.settings import Settings
from errors import ModelNotFound
from models.promotions import Promotion
from models.stored import StoredModel, model_version, sha256_of
from runners.metadata import ModelMetadata

NOON = datetime(2025, 3, 3, 12, tzinfo=UTC)


class ModelsInMemory:
    """Keeps versions in a list, the newest last."""

    def __init__(self, pins: Mapping[str, str] | None = None) -> None:
        self.kept: list[StoredModel] = []
        self._pins = dict(pins or {})

    def register(
        self, name: str, content: bytes, metadata: ModelMetadata, reference: bytes | None = None
    ) -> StoredModel:
        del reference
        version = model_version(content, metadata)
        for stored in self.versions(name):
            if stored.version == version:
                return stored
        created_at = NOON + timedelta(minutes=len(self.kept))
        sha256 = sha256_of(content)
        path = Path("model.onnx")
        self.kept.append(StoredModel(name, version, sha256, metadata, created_at, path))
        return self.kept[-1]

    def get(self, name: str, version: str) -> StoredModel:
        for stored in self.versions(name):
            if stored.version == version:
                return stored
        raise ModelNotFound(f"model {name}:{version} is not in the model store")

    def versions(self, name: str) -> tuple[StoredModel, ...]:
        return tuple(stored for stored in reversed(self.kept) if stored.name == name)

    def all(self) -> tuple[StoredModel, ...]:
        return tuple(sorted(self.kept, key=lambda kept: (kept.name, -kept.created_at.timestamp())))

    def remove(self, name: str, version: str) -> None:
        self.kept.remove(self.get(name, version))

    def pins(self) -> dict[str, str]:
        return self._pins


@dataclass
class PromotionsInMemory:
    """Keeps promotions in a list, the oldest first."""

    absence: str | None = None
    acts: list[Promotion] = field(default_factory=list)
    named: set[tuple[str, str]] = field(default_factory=set)
    started: list[tuple[str, str]] = field(default_factory=list)

    def current(self) -> Mapping[str, str]:
        return {act.name: act.version for act in self.acts}

    def history(self, name: str) -> Sequence[Promotion]:
        return [act for act in self.acts if act.name == name]

    def served(self, name: str) -> Sequence[str]:
        return [version for served, version in self.started if served == name]

    def promote(self, name: str, version: str, reason: str, actor: str) -> None:
        at = NOON + timedelta(minutes=len(self.acts))
        self.acts.append(Promotion(name, version, reason, actor, at))

    def versions_on_record(self) -> set[tuple[str, str]]:
        return self.named | {(act.name, act.version) for act in self.acts}


@dataclass
class FixedContext:
    """What `usdcop` hands to its subcommands."""

    configured: Settings
    record: PromotionsInMemory = field(default_factory=PromotionsInMemory)

    def settings(self) -> Settings:
        return self.configured

    def promotions(self) -> PromotionsInMemory:
        return self.record
