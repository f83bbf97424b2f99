"""What only a running service knows of its document: how long vectors are, which models vote."""

from __future__ import annotations

from typing import Any

from application import Application
from features.schema import Schema

__all__ = ["fit"]

_WITH_A_MODEL = ("InferenceRequest", "BatchInferenceRequest", "MarketBarsRequest")


def fit(document: dict[str, Any], application: Application) -> None:
    """Put the length and the names of a vector, and the names of models, into a document."""
    schemas = document["components"]["schemas"]
    size = {"minItems": application.observation_dim, "maxItems": application.observation_dim}
    asked = schemas["InferenceRequest"]["properties"]
    vector, by_name = asked["observation"]["anyOf"][0], asked["features"]["anyOf"][0]
    vector |= size
    schemas["BatchInferenceRequest"]["properties"]["observations"]["items"]["anyOf"][0] |= size
    if application.schema is not None:
        _name_features(by_name, application.schema)
    voting = [runner.name for runner in application.runners if not runner.is_shadow]
    for message in _WITH_A_MODEL:
        schemas[message]["properties"]["model_name"]["anyOf"][0] = {"enum": voting}
    example = {"observation": _known_vector(application), "dry_run": True}
    schemas["InferenceRequest"]["examples"] = [example]
    schemas["BatchInferenceRequest"]["examples"] = [{"observations": [example["observation"]]}]


def _name_features(by_name: dict[str, Any], schema: Schema) -> None:
    value = by_name.pop("additionalProperties")
    by_name.pop("maxProperties")
    of_the_book = {schema.names[column] for column in schema.state_columns}
    by_name |= {
        "properties": dict.fromkeys(schema.names, value),
        "required": [name for name in schema.names if name not in of_the_book],
        "additionalProperties": False,
    }


def _known_vector(application: Application) -> list[float]:
    """The middle of what a model knows, or zeros where no model says what it knows."""
    for runner in application.runners:
        if runner.reference is not None and len(runner.reference.low):
            middle: list[float] = ((runner.reference.low + runner.reference.high) / 2).tolist()
            if len(middle) == application.observation_dim:
                return middle
    return [0.0] * application.observation_dim
