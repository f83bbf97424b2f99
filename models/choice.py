"""Which version of each model a configuration serves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from config.settings import ModelSettings, Settings
from models.resolution import ResolvedModel, resolve_model
from models.stored import ModelStore
from runners.loading import inspect_model

__all__ = ["choose_models"]


def choose_models(
    settings: Settings, live: Mapping[str, str], store: ModelStore, shipped: Path
) -> tuple[ResolvedModel, ...]:
    """The version of each enabled model, in configured order.

    A model named by `tag` that the store has no version of is registered from the file that
    the project ships for it, if it does.

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
    if model.tag == model.name and file.is_file() and not store.versions(model.name):
        content = file.read_bytes()
        store.register(model.name, content, inspect_model(content, source=str(file)))
