"""Environment variables as settings: the short names, `MLOPS_API_KEYS`, and `MLOPS__A__B`.

`MLOPS__RISK_LIMITS__MAX_DAILY_LOSS` is `risk_limits.max_daily_loss`, `MLOPS__MODELS__0__WEIGHT`
the weight of the first model; a list as a whole is JSON. An empty variable counts as not set,
except where a setting is optional text: there it means none.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from config.document import parse_text
from config.shape import KeyPath, Place, dotted, locate, suggestion
from errors import ConfigurationError

__all__ = ["API_KEYS", "CONFIG_PATH", "SHORT_NAMES", "Override", "overrides"]

CONFIG_PATH = "MLOPS_CONFIG_PATH"
API_KEYS = "MLOPS_API_KEYS"
PREFIX = "MLOPS__"

SHORT_NAMES: dict[str, KeyPath] = {
    "MLOPS_ENVIRONMENT": ("environment",),
    "REDIS_HOST": ("redis", "host"),
    "REDIS_PORT": ("redis", "port"),
    "REDIS_PASSWORD": ("redis", "password"),
    "MAX_DAILY_LOSS": ("risk_limits", "max_daily_loss"),
    "MAX_DRAWDOWN": ("risk_limits", "max_drawdown"),
    "MIN_CONFIDENCE": ("risk_limits", "min_confidence"),
    "MODEL_STORAGE_PATH": ("model_storage_path",),
}
"""Variables with a name of their own, and the setting that each one is."""


@dataclass(frozen=True)
class Override:
    """One setting that a variable gives.

    Attributes:
        path: keys and list indices that lead to the setting.
        value: what it is to be; not yet validated.
        variable: the variable's name.
    """

    path: KeyPath
    value: object
    variable: str


def overrides(environ: Mapping[str, str]) -> list[Override]:
    """Every setting that the environment gives, lists before their entries.

    Raises:
        ConfigurationError: a variable names no setting, cannot be read, or contradicts another.
    """
    found: dict[KeyPath, Override] = {}
    for variable, text in sorted(environ.items()):
        path = _path_of(variable)
        if path is None:
            continue
        override = _read(variable, path, text)
        if override is None:
            continue
        other = found.setdefault(path, override)
        if other is not override and other.value != override.value:
            raise ConfigurationError(
                f"{other.variable} and {variable} both set {dotted(path)}, to different values; "
                "set one of them"
            )
    return [found[path] for path in sorted(found, key=_outside_in)]


def _outside_in(path: KeyPath) -> tuple[tuple[int, str], ...]:
    return tuple((part, "") if isinstance(part, int) else (-1, part) for part in path)


def _path_of(variable: str) -> KeyPath | None:
    """The setting that a variable names; None for a variable that is not about settings."""
    if variable in SHORT_NAMES:
        return SHORT_NAMES[variable]
    if variable == API_KEYS:
        return ("access", "keys")
    if variable.upper().startswith(PREFIX):
        return _nested_path(variable)
    if variable.startswith("MLOPS_") and variable != CONFIG_PATH:
        known = [API_KEYS, CONFIG_PATH, *SHORT_NAMES]
        if close := difflib.get_close_matches(variable, known, n=1, cutoff=0.85):
            raise ConfigurationError(f"{variable} is not a setting; did you mean {close[0]}?")
    return None


def _nested_path(variable: str) -> KeyPath:
    path: KeyPath = ()
    for part in variable[len(PREFIX) :].lower().split("__"):
        above = locate(path)
        in_list = above is not None and above.entry is not None and part.isdecimal()
        path = (*path, int(part) if in_list else part)
        if locate(path) is None:
            raise ConfigurationError(
                f"{variable}: {dotted(path)} is not a setting; {_advice(path, above)}"
            )
    return path


def _advice(path: KeyPath, above: Place | None) -> str:
    if above is not None and above.entry is not None:
        return f"{dotted(path[:-1])} is a list: its entries are {dotted(path[:-1])}.0 and so on"
    return suggestion(path)


def _read(variable: str, path: KeyPath, text: str) -> Override | None:
    place = locate(path)
    if place is None:
        raise ConfigurationError(f"{variable} is not a setting")
    if variable == API_KEYS:
        return Override(path, _keys(text), variable) if text.strip() else None
    if text == "":
        return Override(path, None, variable) if place.optional else None
    if place.textual:
        return Override(path, text, variable)
    if place.section is not None and not isinstance(path[-1], int):
        first = next(iter(place.section.model_fields)).upper()
        raise ConfigurationError(
            f"{variable}: {dotted(path)} is a section; set its keys one by one, "
            f"for example {variable}__{first}"
        )
    try:
        return Override(path, parse_text(text), variable)
    except ConfigurationError as error:
        raise ConfigurationError(f"{variable}: {error}") from None


def _keys(text: str) -> list[dict[str, str]]:
    keys = []
    for number, entry in enumerate(text.split(","), start=1):
        parts = [part.strip() for part in entry.split(":")]
        if len(parts) != 3:
            # The entry itself may be a key that somebody pasted: it is not shown.
            raise ConfigurationError(
                f"{API_KEYS}: entry {number} must be name:role:sha256, "
                "as `usdcop keys new` prints it; entries are separated by commas"
            )
        keys.append(dict(zip(("name", "role", "sha256"), parts, strict=True)))
    return keys
