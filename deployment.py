"""What one start of the service decided, so that every worker serves the same.

Settings and model versions are read and resolved once. A worker that is started again after a
crash must not pick up a file that was edited or a model that was registered in between: two
workers would then approve under different limits.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from config.settings import REVEAL_SECRETS, Settings

__all__ = ["DEPLOYMENT", "ChosenModel", "Deployment"]

DEPLOYMENT = "USDCOP_DEPLOYMENT"
"""Variable in which the arbiter hands its decisions to the workers, and they to their programs."""


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """The version of a model that this deployment serves.

    Attributes:
        name: of the model.
        version: in the model store.
        origin: why it is that one.
    """

    name: str
    version: str
    origin: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """Settings in force and the models chosen, in configured order."""

    settings: Settings
    models: Sequence[ChosenModel]

    def to_json(self) -> str:
        """Text for `from_json`. It holds the secrets of the settings: hand it to workers only."""
        return json.dumps(
            {
                "settings": self.settings.model_dump(mode="json", context=REVEAL_SECRETS),
                "models": [[model.name, model.version, model.origin] for model in self.models],
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Deployment:
        """What `to_json` wrote."""
        content = json.loads(text)
        return cls(
            settings=Settings.model_validate(content["settings"]),
            models=tuple(ChosenModel(*model) for model in content["models"]),
        )
