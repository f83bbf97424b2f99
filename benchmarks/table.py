"""How a benchmark prints what it found."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

__all__ = ["print_table"]

_WIDTH = 110


def print_table(title: str, rows: Mapping[str, str]) -> None:
    """A title, and a line for each row; a long value goes on below itself."""
    left = max(map(len, rows)) + 2
    print(f"\n{title}\n{'-' * len(title)}")
    for name, value in rows.items():
        lines = textwrap.wrap(value, _WIDTH - left) or [""]
        print(f"{name:<{left}}{lines[0]}")
        for line in lines[1:]:
            print(f"{'':<{left}}{line}")
