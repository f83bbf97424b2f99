"""A page with plots that is complete in itself: it loads nothing, and runs only its own scripts."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from typing import Final

from plotly.offline import get_plotlyjs

from simulation.report_figures import Figure
from simulation.report_style import SCRIPT, STYLE

__all__ = ["page", "plot"]

_PLOTLY: Final = get_plotlyjs()


def _hash(script: str) -> str:
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"


# A name of a file may be anything: were it ever taken for a script, a browser would not run it.
_POLICY: Final = (
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; base-uri 'none'; "
    f"form-action 'none'; script-src {_hash(_PLOTLY)} {_hash(SCRIPT)}"
)


def page(title: str, parts: str, figures: Mapping[str, Figure]) -> str:
    """A page as HTML.

    Args:
        title: any text.
        parts: HTML, with a `plot` for each figure.
        figures: by name of their `plot`.
    """
    data = "".join(
        f'<script type="application/json" data-plot="{name}">{_json(figure)}</script>'
        for name, figure in figures.items()
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{parts}</main>{data}"
        f"<script>{_PLOTLY}</script><script>{SCRIPT}</script></body></html>\n"
    )


def plot(name: str) -> str:
    """Where a figure goes.

    Args:
        name: a word of ours, once per page.
    """
    return f'<div id="{name}" class="plot"></div>'


def _json(figure: Figure) -> str:
    """JSON in which nothing ends a script."""
    return json.dumps(figure, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
