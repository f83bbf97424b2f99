"""Environment variables as settings: the short names, `MLOPS_API_KEYS`, and `MLOPS__A__B`.

`MLOPS__RISK_LIMITS__MAX_DAILY_LOSS` is `risk_limits.max_daily_loss`, `MLOPS__MODELS__0__WEIGHT`
the weight of the first model; a list as a whole is JSON. An empty variable counts as not set,
except where a setting is optional text: there it means none.

Every variable that begins with `MLOPS_` must be one of these: one that is silently ignored may be
a limit that somebody set and that is not in force.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from config.document import parse_text
from config.shape import KeyPath, Place, dotted, locate, setting_keys, suggestion
from errors import ConfigurationError

__all__ = [
    "API_KEYS",
    "API_KEYS_PATH",
    "CONFIG_PATH",
    "PREFIX",
    "SHORT_NAMES",
    "Override",
    "overrides",
]

CONFIG_PATH = "MLOPS_CONFIG_PATH"
API_KEYS = "MLOPS_API_KEYS"
OURS = "MLOPS_"
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

API_KEYS_PATH: KeyPath = ("access", "keys")
EXAMPLE = "MLOPS__RISK_LIMITS__MAX_DAILY_LOSS"
KUBERNETES = re.compile(
    r"^MLOPS_(?!REDIS_PORT$)(\w+_)?(SERVICE_(HOST|PORT)|PORT(_\d+_(TCP|UDP|SCTP))?)(_|$)"
)
"""What Kubernetes sets for a Service called mlops or mlops-something."""


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
        return API_KEYS_PATH
    if variable.upper().startswith(PREFIX):
        return _nested_path(variable)
    if variable.upper().startswith(OURS) and variable != CONFIG_PATH:
        raise ConfigurationError(f"{variable} is not a setting; {_right_names(variable)}")
    return None


def _right_names(variable: str) -> str:
    """What was probably meant by a variable that begins like ours; never its value."""
    if KUBERNETES.search(variable):
        return (
            "if Kubernetes sets it, for a Service whose name begins with mlops, "
            "put `enableServiceLinks: false` into the pod"
        )
    known = _names_by_tail()
    if close := difflib.get_close_matches(_tail(variable), known, n=1, cutoff=0.8):
        return f"did you mean {' or '.join(known[close[0]])}?"
    return f"other variables must not begin with {OURS}, and settings are named like {EXAMPLE}"


@cache
def _names_by_tail() -> dict[str, tuple[str, ...]]:
    """The names of every setting, by the tails that a wrong name for it may have."""
    short_names = {path: name for name, path in SHORT_NAMES.items()} | {API_KEYS_PATH: API_KEYS}
    names: dict[str, tuple[str, ...]] = {_tail(CONFIG_PATH): (CONFIG_PATH,)}
    for key in setting_keys():
        path: KeyPath = tuple(key.split("."))
        nested = PREFIX + key.upper().replace(".", "__")
        short = short_names.get(path)
        right = (short, nested) if short else (nested,)
        names |= dict.fromkeys(map(_tail, (*right, str(path[-1]))), right)
    return names


def _tail(variable: str) -> str:
    """A name without what is easily got wrong: prefix, case, number of underscores.

    >>> _tail("MLOPS_RISK_LIMITS__MAX_DAILY_LOSS")
    'risk_limits_max_daily_loss'
    """
    return re.sub("_+", "_", variable.upper().removeprefix(OURS).strip("_").lower())


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
