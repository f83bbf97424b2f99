"""Which feature schema the settings name: a part of `bootstrap` that needs no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from config.document import read_document
from config.settings import Settings
from errors import ConfigurationError, InvalidRequest
from features.own_schema import schema_from_document
from features.schema import USDCOP_M5, Schema

__all__ = ["feature_schema", "own_schema_document"]


def feature_schema(settings: Settings) -> Schema | None:
    """The feature schema that the settings name; None when nobody names the numbers.

    Raises:
        ConfigurationError: the file cannot be read, or its schema has another length.
    """
    builtin = USDCOP_M5 if settings.observation_dim == len(USDCOP_M5.names) else None
    document = own_schema_document(settings)
    if document is None:
        return builtin
    try:
        schema = schema_from_document(document)
    except InvalidRequest as error:
        raise ConfigurationError(f"{settings.feature_schema}: {error.message}") from error
    if len(schema.names) != settings.observation_dim:
        raise ConfigurationError(
            f"{settings.feature_schema} names {len(schema.names)} features, but the models read "
            f"{settings.observation_dim}"
        )
    return schema


def own_schema_document(settings: Settings) -> dict[str, Any] | None:
    """What the schema file of the settings holds; None when they name none."""
    if settings.feature_schema is None:
        return None
    path = Path(settings.model_storage_path) / settings.feature_schema
    return dict(read_document(path, settings.feature_schema))
