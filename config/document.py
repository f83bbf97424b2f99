"""The configuration file, read so that nothing in it can mean two things.

YAML 1.1 reads `12:00` as 720, `no` as false, `010` as 8, lets a later key replace an
earlier one, and reads `1e-3` as text. Here a time is text, booleans are `true` and `false`,
a number is what it looks like, and a key that comes twice is refused.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import yaml

from errors import ConfigurationError

__all__ = ["parse_text", "read_document"]

SCALARS: tuple[tuple[str, str, str], ...] = (
    ("tag:yaml.org,2002:null", r"~|null|", "~n"),
    ("tag:yaml.org,2002:bool", r"true|false", "tf"),
    ("tag:yaml.org,2002:int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?"
        r"|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.inf|\.nan",
        "-+0123456789.",
    ),
)
"""Tag, what it looks like, and what it may begin with: YAML 1.2's core schema, decimal only."""

ADVICE = {
    "'\\t'": "a tab indents this line; YAML takes spaces only",
    "undefined alias": "text that begins with '*' needs quotes",
    "could not determine a constructor": "text that begins with '!' needs quotes",
}
"""Problems that the library names by quoting the document, and what to say instead."""


class StrictLoader(yaml.SafeLoader):
    """Builds plain values only, knows `SCALARS` only, and refuses a key that comes twice."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002
    ) -> dict[object, object]:
        """Build a mapping of distinct text keys."""
        seen: set[str] = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "a list or mapping as key"
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{name} is set twice", key.start_mark
                )
            seen.add(name)
        return cast("dict[object, object]", super().construct_mapping(node, deep=deep))


for tag, pattern, first in SCALARS:
    StrictLoader.add_implicit_resolver(tag, re.compile(rf"^(?:{pattern})$"), [*first])
StrictLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^$"), [""])


def parse_text(text: str) -> object:
    """Read one value as YAML, of which JSON is a part.

    Raises:
        ConfigurationError: the text is not valid; says where, without quoting the text.

    >>> parse_text("-0.02"), parse_text("true"), parse_text("12:00"), parse_text("[1, 2]")
    (-0.02, True, '12:00', [1, 2])
    """
    try:
        return yaml.load(text, Loader=StrictLoader)  # noqa: S506  # derives from SafeLoader
    except yaml.YAMLError as error:
        # The library's own text quotes the line, and with it perhaps a password.
        raise ConfigurationError(_complaint(error)) from None
    except RecursionError:
        raise ConfigurationError("is nested too deeply") from None


def read_document(path: Path, shown: str) -> dict[str, object]:
    """Read a configuration file into nested plain values.

    Args:
        path: the file.
        shown: how errors name it.

    Raises:
        ConfigurationError: the file is missing, unreadable, not YAML, empty or no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigurationError(
            f"{shown}: there is no such file; MLOPS_CONFIG_PATH names the configuration file"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{shown}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{shown}: is not UTF-8 text") from None
    try:
        document = parse_text(text)
    except ConfigurationError as error:
        raise ConfigurationError(f"{shown}: {error}") from None
    if document is None:
        raise ConfigurationError(f"{shown}: is empty; it needs at least `models`")
    if not isinstance(document, dict):
        raise ConfigurationError(f"{shown}: must hold `key: value` lines at its top level")
    return cast("dict[str, object]", document)


def _complaint(error: yaml.YAMLError) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return "is not valid YAML; a character in it is not printable text"
    problem = (error.problem or "is not valid YAML").split("\n")[0]
    for sign, advice in ADVICE.items():
        if sign in problem:
            problem = advice
    mark = error.problem_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"
