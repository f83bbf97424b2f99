"""What dashboards and rules ask Prometheus for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.live.server import ROOT

__all__ = [
    "DASHBOARDS",
    "PROMETHEUS",
    "Query",
    "Selector",
    "dashboard",
    "inner_parts",
    "panel_queries",
    "rule_queries",
    "rules",
    "selectors",
]

PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))

_SELECTOR = re.compile(r"\b([a-z][a-z0-9_:]*[a-z0-9])(?:\{([^}]*)\})?(?=[\[\s)]|$)")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"[^\"]*\"")
_GROUPING = re.compile(r"\b(?:by|on|without|ignoring|group_right|group_left) \(([^)]*)\)")
_WORDS = {"and", "or", "unless", "by", "on", "group_right"}
_COMPARISON = re.compile(r"(?:==|>=|<=|>|<)\s*[\d.e]+")
_SET_OPERATOR = re.compile(r"\b(?:and|or|unless)\b(?:\s+on \([^)]*\))?")


class Query(NamedTuple):
    """A query, and where it stands."""

    where: str
    text: str


class Selector(NamedTuple):
    """A selector of series within a query, and the labels that it matches."""

    text: str
    name: str
    labels: frozenset[str]


def dashboard(path: Path) -> dict[str, Any]:
    """A dashboard as Grafana reads it."""
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def panel_queries() -> Iterator[Query]:
    """Each query of each panel."""
    for path in DASHBOARDS:
        for panel in dashboard(path)["panels"]:
            for target in panel.get("targets", []):
                yield Query(f"{path.stem}: {panel['title']}", target["expr"])


def rules() -> list[dict[str, Any]]:
    """Every rule, of all groups."""
    content = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())
    return [rule for group in content["groups"] for rule in group["rules"]]


def rule_queries() -> Iterator[Query]:
    """Each expression of a rule."""
    for rule in rules():
        yield Query(rule.get("alert") or rule["record"], rule["expr"])


def selectors(query: str) -> list[Selector]:
    """The selectors of a query.

    >>> [selector.text for selector in selectors('sum by (le) (rate(a_total{b="c"}[5m])) > 0')]
    ['a_total{b="c"}']
    """
    bare = re.sub(r"\s+\(", "(", _GROUPING.sub("", query))
    return [
        Selector(found[0], found[1], frozenset(_MATCHER.findall(found[2] or "")))
        for found in _SELECTOR.finditer(bare)
        if found[1] not in _WORDS
    ]


def inner_parts(query: str) -> list[str]:
    """What an alert looks at: its parts between set operators, without what they are held against.

    >>> inner_parts('max by (book) (a) == 1 unless on (book) max by (book) (b) == 1')
    ['max by (book) (a)', 'max by (book) (b)']
    """
    present = query.replace("absent(", "(")
    return [_COMPARISON.sub("", part).strip() for part in _SET_OPERATOR.split(present)]
