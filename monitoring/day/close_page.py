"""The report of a day as a page that loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

from monitoring.day.close_sections import Section, close_sections, close_summary
from monitoring.page_style import STYLE

__all__ = ["close_page"]


def close_page(report: Mapping[str, Any], zone: ZoneInfo) -> str:
    """The whole page, in UTF-8.

    Args:
        report: as `close_report` makes it.
        zone: of the times that are told.
    """
    state = "ok" if report["chain"]["verifies"] else "alarm"
    title = f"Close {report['date']}, book {report['book']}"
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        f"<header class='{state}'><p>{escape(title)}</p><h1>{escape(_headline(report))}</h1>"
        f"<p>{escape(close_summary(report))}</p></header>"
        f"{''.join(_section(part) for part in close_sections(report, zone))}"
        "</main></body></html>"
    )


def _headline(report: Mapping[str, Any]) -> str:
    if report["nothing"]:
        return "Nothing was decided or traded"
    return f"{report['result']['pnl_percent']:+.4%}"


def _section(section: Section) -> str:
    facts = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in section.facts
    )
    lines = "".join(f"<li>{escape(line)}</li>" for line in section.lines)
    return (
        f"<section><h2>{escape(section.title)}</h2>"
        + (f"<dl>{facts}</dl>" if facts else "")
        + (f"<ul>{lines}</ul>" if lines else "")
        + "</section>"
    )
