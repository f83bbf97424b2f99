"""The page for people: the verdict on top, the checks before it, and the report below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from monitoring.page_style import STYLE

__all__ = ["drift_page"]

_HEADLINES: Final = {
    "ok": "No drift",
    "alarm": "Drift",
    "not_enough_data": "Not enough data for a verdict",
}
_PLAIN_NOTE: Final = (
    "The plain rule (a Kolmogorov-Smirnov p-value below 0.05 per feature) alarms in nearly every "
    "hour with nothing wrong, because the bars of an hour are not independent. It is shown for "
    "comparison and decides nothing."
)


def drift_page(
    entry: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]] = (),
    *,
    report: str | None = None,
    why: str | None = None,
) -> str:
    """One check as a page that loads nothing from elsewhere.

    Args:
        entry: as it is published; what it lacks is left out, what else it holds is ignored.
        history: entries of checks before it, newest first.
        report: a whole HTML page that is shown below, apart from this one; None: there is none.
        why: why the report is not Evidently's; None when it is.
    """
    state = str(entry.get("state", ""))
    headline = _HEADLINES.get(state, state or "Unknown")
    parts = [
        f"<header class='{escape(state)}'><p class=book>USD/COP drift check"
        f"{_of_book(entry)}</p><h1>{escape(headline)}</h1><p>{escape(_when(entry))}</p></header>",
        _reasons(entry),
        _suspects(entry),
        _shares(entry),
        _actions(entry),
        _spans(entry),
        _history(history),
        _report(report, why),
    ]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(headline)}: USD/COP</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>"
    )


def _of_book(entry: Mapping[str, Any]) -> str:
    return f" &middot; book {escape(str(entry['book']))}" if entry.get("book") else ""


def _when(entry: Mapping[str, Any]) -> str:
    tick, at = str(entry.get("tick", "")), _minute(entry.get("at"))
    made = f"made {at}" if at else ""
    if tick.startswith("manual:"):
        return f"On demand, {made}" if made else "On demand"
    return ", ".join(filter(None, (f"Check of {_minute(tick)}", made)))


def _minute(time: object) -> str:
    """2026-03-02T14:00:00.000000+00:00 as 2026-03-02 14:00 UTC; anything else as it stands."""
    text = "" if time is None else str(time)
    if len(text) >= 16 and text[10] == "T" and text.endswith(("+00:00", "Z")):
        return f"{text[:10]} {text[11:16]} UTC"
    return text


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>" if content else ""


def _listed(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _mapped(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _reasons(entry: Mapping[str, Any]) -> str:
    reasons = "".join(f"<li>{escape(str(each))}</li>" for each in _listed(entry.get("reasons")))
    return _section("Why", f"<ul>{reasons}</ul>" if reasons else "")


def _suspects(entry: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td class=number>{place}</td>"
        f"<td><code>{escape(str(each.get('name', '')))}</code></td>"
        f"<td>{escape(str(each.get('kind', '')).replace('_', ' '))}</td>"
        f"<td class=number>{_number(each.get('score'))}</td>"
        f"<td>{escape(str(each.get('reason', '')))}</td></tr>"
        for place, each in enumerate(map(_mapped, _listed(entry.get("suspects"))), start=1)
    )
    head = "<tr><th></th><th>Feature</th><th>Kind</th><th>Score</th><th>What was seen</th></tr>"
    return _section("Look here first", f"<table>{head}{rows}</table>" if rows else "")


def _shares(entry: Mapping[str, Any]) -> str:
    plain = _mapped(entry.get("plain"))
    rows = [
        ("Features that drifted, judged against past sessions", _percent(entry, "drifted_share")),
        ("Alarm above", _percent(entry, "drift_threshold")),
        (f"Features that drifted by the plain rule ({plain.get('method', '')})",
         _percent(plain, "share")),
    ]  # fmt: skip
    told = "".join(f"<dt>{escape(name)}</dt><dd>{share}</dd>" for name, share in rows if share)
    note = f"<p class=note>{_PLAIN_NOTE}</p>" if plain else ""
    return _section("Share of drifted features", f"<dl>{told}</dl>{note}" if told else "")


def _actions(entry: Mapping[str, Any]) -> str:
    actions = _mapped(entry.get("actions"))
    shares = _mapped(actions.get("shares"))
    if not shares:
        return ""
    told = "".join(
        f"<dt>{escape(str(name))}</dt><dd>{_percent(shares, name)}</dd>" for name in shares
    )
    entropy = actions.get("entropy")
    if isinstance(entropy, int | float):
        told += f"<dt>Entropy, at most 1.10 nats</dt><dd>{entropy:.2f}</dd>"
    reasons = "".join(f"<li>{escape(str(reason))}</li>" for reason in actions.get("reasons") or ())
    words = f"<ul>{reasons}</ul>" if reasons else ""
    title = f"The models' last {escape(str(actions.get('decisions', '')))} actions"
    return _section(title, f"<dl>{told}</dl>{words}")


def _spans(entry: Mapping[str, Any]) -> str:
    kinds = {"recorded": "recorded vectors", "training": "training data"}
    told = ""
    for name, title in (("window", "Judged"), ("reference", "Held against")):
        span = _mapped(entry.get(name))
        if span:
            kind = str(span.get("kind", ""))
            words = [f"{_minute(span.get('from'))} to {_minute(span.get('to'))}"]
            words += [f"{span['rows']} bars"] if "rows" in span else []
            words += [kinds.get(kind, kind)] if kind else []
            told += f"<dt>{title}</dt><dd>{escape(', '.join(words))}</dd>"
    return _section("Data", f"<dl>{told}</dl>" if told else "")


def _history(history: Sequence[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{escape(_when(each).removeprefix('Check of '))}</td>"
        f"<td class='{escape(str(each.get('state', '')))}'>"
        f"{escape(_HEADLINES.get(str(each.get('state')), str(each.get('state', ''))))}</td>"
        f"<td class=number>{_percent(each, 'drifted_share')}</td>"
        f"<td>{escape('; '.join(str(reason) for reason in _listed(each.get('reasons'))))}</td></tr>"
        for each in history
    )
    head = "<tr><th>Check</th><th>Verdict</th><th>Drifted</th><th>Why</th></tr>"
    return _section("Checks before this one", f"<table>{head}{rows}</table>" if rows else "")


def _report(report: str | None, why: str | None) -> str:
    if report is None:
        return ""
    reason = (
        "<p>By Evidently: the last hour against the reference. What it calls drift is the plain "
        "rule.</p>"
        if why is None
        else f"<p>Evidently made no report: {escape(why)}.</p>"
    )
    # Its scripts run in a frame that knows nothing of the service: a name of a feature may be
    # anything, and Evidently writes it into them.
    frame = f'<iframe sandbox="allow-scripts" srcdoc="{escape(report)}" title="Report"></iframe>'
    return _section("Distribution of every feature", reason + frame)


def _number(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, int | float) else ""


def _percent(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    return f"{value:.1%}" if isinstance(value, int | float) else ""
