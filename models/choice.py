"""Which version of each model a configuration serves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from config.settings import ModelSettings, Settings
from errors import ModelError
from models.resolution import ResolvedModel, resolve_model
from models.stored import ModelStore, StoredModel, declared_reference, reference_beside, sha256_of
from runners.loading import inspect_model

__all__ = ["choose_models"]


def choose_models(
    settings: Settings, live: Mapping[str, str], store: ModelStore, shipped: Path
) -> tuple[ResolvedModel, ...]:
    """The version of each enabled model, in configured order.

    A model named by `tag` that the store has no readable version of is registered from the
    file that the project ships for it, if it does; a damaged copy of that file is healed.

    Args:
        settings: name the models.
        live: model name to promoted version.
        store: of models; missing ones are registered here.
        shipped: folder of the files that the project ships.

    Raises:
        ModelError: a model is missing, damaged, or named twice with different versions.
    """
    for model in settings.enabled_models:
        _register_shipped(model, store, shipped / f"{model.name}.onnx")
    storage_path = Path(settings.model_storage_path)
    return tuple(
        resolve_model(
            model, store=store, live=live, storage_path=storage_path, inspect=inspect_model
        )
        for model in settings.enabled_models
    )


def _register_shipped(model: ModelSettings, store: ModelStore, file: Path) -> None:
    if model.tag != model.name or not file.is_file():
        return
    versions = store.versions(model.name)  # those that cannot be read are not among them
    content, reference = file.read_bytes(), reference_beside(file)
    declared = declared_reference(reference)
    same = [stored for stored in versions if stored.sha256 == sha256_of(content)]
    whole = [
        stored
        for stored in same
        if stored.metadata.reference == declared.get("reference") and _is_whole(stored)
    ]
    if not versions or (same and not whole):
        metadata = inspect_model(content, source=str(file), declared=declared)
        store.register(model.name, content, metadata, reference)


def _is_whole(stored: StoredModel) -> bool:
    try:
        stored.content()
        stored.reference()
    except ModelError:
        return False
    return True
