"""Settings from their three layers: defaults, then the YAML file, then the environment.

Every error is one line that names the file or variable, the key, its value and what is
allowed. The environment is an argument: nothing here reads the process's own.

Relative paths mean the same wherever a value comes from:

- `model_storage_path` is relative to the project: the folder of the configuration file, or the
  one above it when that folder is called `config`.
- `state_path`, `halt_file` and `acknowledged_path` are relative to the working directory of the
  process, since a Bento's own folder is replaced with every version and state must outlive it.
- `MLOPS_CONFIG_PATH` is relative to the working directory too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, cast

from pydantic import BaseModel, ValidationError

from config.complaint import complaint
from config.document import read_document
from config.environment import CONFIG_PATH, Override, overrides
from config.settings import Settings
from config.shape import KeyPath, dotted, locate
from errors import ConfigurationError

__all__ = ["DEFAULT_FILE", "HIDDEN", "LoadedSettings", "Sourced", "load_settings"]

DEFAULT_FILE = Path(__file__).with_name("mlops.yaml")
HIDDEN = "(hidden)"
DEFAULT = "default"


class Sourced(NamedTuple):
    """A value in force and the layer that gave it.

    Attributes:
        value: plain data as JSON knows it; `HIDDEN` in place of a secret.
        origin: the file's path, the variable's name, or `default`.
    """

    value: object
    origin: str


@dataclass(frozen=True)
class LoadedSettings:
    """Settings in force, and where each one came from.

    Attributes:
        settings: validated; its paths are absolute.
        provenance: dotted key to value and origin, in the order of the types.
        file: the configuration file that was read.
    """

    settings: Settings
    provenance: Mapping[str, Sourced]
    file: Path


def load_settings(environ: Mapping[str, str], path: Path | None = None) -> LoadedSettings:
    """Read, layer and validate all settings.

    Args:
        environ: variables, for example `os.environ`.
        path: the YAML file; without it `MLOPS_CONFIG_PATH`, else the one shipped beside the code.

    Raises:
        ConfigurationError: one line that says what is wrong, where, and what would be right.
    """
    file = (path or Path(environ.get(CONFIG_PATH) or DEFAULT_FILE)).absolute()
    shown = _short(file)
    document = read_document(file, shown)
    origins = dict.fromkeys(_leaves(document), shown)
    for override in overrides(environ):
        _put(document, override)
        size = len(override.path)
        origins = {keys: origin for keys, origin in origins.items() if keys[:size] != override.path}
        origins |= dict.fromkeys(_leaves(override.value, override.path), override.variable)
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError(
            complaint(error, lambda keys: _origin(origins, keys, otherwise=shown))
        ) from None
    settings = _with_absolute_paths(settings, file)
    provenance = {
        dotted(keys): Sourced(_plain(keys, value), _origin(origins, keys, otherwise=DEFAULT))
        for keys, value in _values(settings)
    }
    return LoadedSettings(settings, MappingProxyType(provenance), file)


def _short(file: Path) -> str:
    here = Path.cwd()
    return str(file.relative_to(here)) if file.is_relative_to(here) else str(file)


def _leaves(value: object, above: KeyPath = ()) -> Iterator[KeyPath]:
    """Paths of the values in a document that are neither a mapping nor a list of mappings."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*above, key))
    elif isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
        for index, entry in enumerate(value):
            yield from _leaves(entry, (*above, index))
    else:
        yield above


def _put(document: dict[str, object], override: Override) -> None:
    """Set one value in nested mappings and lists, making what is missing on the way."""
    holder: object = document
    for depth, part in enumerate(override.path):
        last = depth == len(override.path) - 1
        if isinstance(part, int):
            holder = _entries(holder, part, override)
        elif not isinstance(holder, dict):
            return  # the document has something else here, which validation will name
        if last:
            holder[part] = override.value  # type: ignore[index]  # a list or a mapping by now
            return
        holder = _step_into(holder, part, override.path[: depth + 1])


def _step_into(holder: object, part: str | int, path: KeyPath) -> object:
    container = cast("dict[str | int, object]", holder)
    inner = container[part] if isinstance(part, int) or part in container else None
    if inner is None:
        place = locate(path)
        inner = _default_list(path) if place is not None and place.entry is not None else {}
        container[part] = inner
    return inner


def _default_list(path: KeyPath) -> list[object]:
    """A list setting's default, so that one entry of it can be replaced."""
    holder: object = Settings
    for part in path:
        if not (isinstance(holder, type) and issubclass(holder, BaseModel)):
            return []
        field = holder.model_fields[str(part)]
        holder = field.annotation
    default = field.get_default(call_default_factory=True)
    return [*default] if isinstance(default, tuple) else []


def _entries(holder: object, index: int, override: Override) -> list[object]:
    """The list that an index points into, with one new entry if it points just past the end."""
    if not isinstance(holder, list):
        raise ConfigurationError(
            f"{override.variable}: there is no list at {dotted(override.path[:-1])} to change"
        )
    if index > len(holder):
        raise ConfigurationError(
            f"{override.variable}: there are {len(holder)} entries; "
            f"the next one that can be added is number {len(holder)}"
        )
    if index == len(holder):
        holder.append({})
    return holder


def _origin(origins: Mapping[KeyPath, str], keys: KeyPath, otherwise: str) -> str:
    """Who set a key: it, what it is part of, and what it is made of, each named once."""
    setters = {
        origin
        for known, origin in origins.items()
        if keys and (known[: len(keys)] == keys or keys[: len(known)] == known)
    }
    return ", ".join(sorted(setters)) or otherwise


def _with_absolute_paths(settings: Settings, file: Path) -> Settings:
    folder = file.parent.parent if file.parent.name == "config" else file.parent
    return settings.model_copy(
        update={
            "model_storage_path": str(folder / settings.model_storage_path),
            **{
                name: str(Path(getattr(settings, name)).absolute())
                for name in ("state_path", "halt_file", "acknowledged_path")
            },
        }
    )


def _values(section: BaseModel, above: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _values(value, (*above, name))
        elif isinstance(value, tuple) and any(isinstance(entry, BaseModel) for entry in value):
            for index, entry in enumerate(value):
                yield from _values(entry, (*above, name, index))
        else:
            yield (*above, name), value


def _plain(keys: KeyPath, value: object) -> object:
    place = locate(keys)
    secret = place is not None and place.secret
    return HIDDEN if secret and value not in (None, ()) else _json(value)


def _json(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_json(entry) for entry in value]
    if isinstance(value, Mapping):
        return {str(_json(key)): _json(entry) for key, entry in value.items()}
    return value
