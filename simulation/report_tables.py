"""Tables of a page: cells that read well and sort by what they mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Cell", "fraction", "money", "number", "table", "text"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        shown: HTML.
        value: what it sorts by; None for what is shown.
        style: classes of ours.
    """

    shown: str
    value: float | None = None
    style: str = ""


def text(value: object) -> Cell:
    """Any text, escaped."""
    return Cell(escape(str(value)))


def number(value: float | None, form: str = ",.0f") -> Cell:
    """A number; a dash where there is none."""
    return _cell(value, "" if value is None else format(value, form), "number")


def fraction(value: float | None, form: str = ".2%", *, signed: bool = False) -> Cell:
    """A fraction as percent, coloured as gain or loss if it is signed."""
    if value is None or not signed:
        return number(value, form)
    return _cell(value, format(value, f"+{form}"), f"number {gain_or_loss(value)}")


def money(value: float | None) -> Cell:
    """US dollars, signed and coloured."""
    told = "" if value is None else format(value, "+,.0f")
    return _cell(value, told, f"number {gain_or_loss(value or 0.0)}")


def gain_or_loss(value: float) -> str:
    """The class of a P&L."""
    return "gain" if value > 0 else "loss" if value < 0 else ""


def _cell(value: float | None, shown: str, style: str) -> Cell:
    return Cell("-", -1e300, "number") if value is None else Cell(shown, value, style.strip())


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """A table whose columns sort at a click on their heads; numbers to the right.

    Args:
        columns: heads, any text.
        rows: as many cells each.
    """
    listed = list(rows)
    heads = "".join(
        f"<th{' class=number' if listed and 'number' in listed[0][place].style else ''}>"
        f'<button type="button">{escape(column)}</button></th>'
        for place, column in enumerate(columns)
    )
    body = "".join(f"<tr>{''.join(map(_html, row))}</tr>" for row in listed)
    return (
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _html(cell: Cell) -> str:
    style = f' class="{cell.style}"' if cell.style else ""
    value = "" if cell.value is None else f' data-value="{cell.value!r}"'
    return f"<td{style}{value}>{cell.shown}</td>"
