"""The report of a day in words, once for both ways to show it: as text and as a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

__all__ = ["Section", "close_sections", "close_summary", "close_text"]

_NONE: Final = "none"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report.

    Attributes:
        title: few words.
        facts: names and values.
        lines: what is told one by one.
    """

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ()


def close_summary(report: Mapping[str, Any]) -> str:
    """The day in one line."""
    if report["nothing"]:
        return f"{report['date']}: nothing was decided and nothing was traded"
    result, decisions = report["result"], report["decisions"]
    chain = "the chain verifies" if report["chain"]["verifies"] else "THE CHAIN DOES NOT VERIFY"
    return (
        f"{report['date']}: {result['pnl_percent']:+.4%} ({result['pnl_usd']:+,.2f} USD) in "
        f"{result['results']} trades, {decisions['total']} decisions, breaker {result['breaker']}, "
        f"operator {result['operator']}; {chain}"
    )


def close_text(report: Mapping[str, Any], zone: ZoneInfo) -> str:
    """The report as plain text.

    Args:
        report: as `close_report` makes it.
        zone: of the times that are told.
    """
    lines = [f"Close of book {report['book']}, {close_summary(report)}"]
    for section in close_sections(report, zone):
        lines += ["", section.title.upper()]
        lines += [f"{name}: {value}" for name, value in section.facts]
        lines += [f"- {line}" for line in section.lines]
    return "\n".join(lines)


def close_sections(report: Mapping[str, Any], zone: ZoneInfo) -> Iterator[Section]:
    """Its parts, in order; times are told in this zone."""
    clock = _Clock(zone)
    yield _result(report["result"])
    yield _trades(report["trades"], clock)
    yield _decisions(report["decisions"], report["latency_ms"])
    yield _orders(report["result"]["open_orders"], clock)
    yield _acts(report["acts"], clock)
    yield _checks(report["drift_checks"], clock)
    yield _alerts(report["alerts"], clock)
    yield _configuration(report["configuration"])
    yield _chain(report["chain"])


@dataclass(frozen=True, slots=True)
class _Clock:
    zone: ZoneInfo

    def __call__(self, at: object) -> str:
        """A time of day."""
        if not isinstance(at, str):
            return ""
        return f"{datetime.fromisoformat(at).astimezone(self.zone):%H:%M:%S}"


def _result(result: Mapping[str, Any]) -> Section:
    position = result["position"]
    held = "nobody ever reported one" if position is None else f"{position:+.4%}"
    causes = ", ".join(result["breaker_causes"])
    return Section(
        "Result",
        (
            ("Profit and loss", f"{result['pnl_percent']:+.4%}, {result['pnl_usd']:+,.2f} USD"),
            ("Realized", f"{result['realized_percent']:+.4%}"),
            ("Open mark", f"{result['unrealized_percent']:+.4%}"),
            (
                "Trades",
                f"{result['results']}, {result['wins']} won, {result['losses']} lost, "
                f"{result['losses_in_a_row']} losses in a row",
            ),
            ("Drawdown", f"{result['drawdown']:.4%}"),
            ("High-water mark", f"{result['high_water_mark']:+.4%}"),
            ("Position", held),
            ("Breaker", f"{result['breaker']}{f' ({causes})' if causes else ''}"),
            ("Operator", result["operator"]),
            ("Resets", str(result["resets"])),
        ),
    )


def _trades(trades: Sequence[Mapping[str, Any]], clock: _Clock) -> Section:
    lines = tuple(
        f"{clock(trade['at'])} {trade['trade_id']}"
        + (f" of order {trade['order_id']}" if trade["order_id"] else "")
        + f": {trade['pnl_percent']:+.4%}, {trade['pnl_usd']:+,.2f} USD"
        for trade in trades
    )
    return Section("Trades", lines=lines or (_NONE,))


def _decisions(decisions: Mapping[str, Any], latency: Mapping[str, Any]) -> Section:
    facts = [
        ("On record", str(decisions["total"])),
        ("By signal", _counts(decisions["by_signal"])),
        ("By status", _counts(decisions["by_status"])),
        (
            "Approved",
            f"{decisions['approved_entries']} entries, {decisions['approved_exits']} exits",
        ),
        ("Refused signals", _counts(decisions["refused"])),
        ("Vetoed observations", str(decisions["vetoed"])),
        (
            "Beside them",
            f"{decisions['asked_again']} asked again, {decisions['dry_runs']} dry runs, "
            f"{decisions['batches']} batches",
        ),
    ]
    if latency.get("p50") is not None:
        facts.append(
            (
                "Latency of one worker",
                f"p50 {latency['p50']:.2f} ms, p99 {latency['p99']:.2f} ms of its newest "
                f"{latency['count']} decisions",
            )
        )
    vetoes = tuple(f"{count} times: {reason}" for reason, count in decisions["vetoes"].items())
    return Section("Decisions", tuple(facts), vetoes)


def _orders(orders: Sequence[Mapping[str, Any]], clock: _Clock) -> Section:
    lines = tuple(
        f"{order['order_id']}: {order['signal']} of {order['size_percent']:.4%}, approved at "
        f"{clock(order['approved_at'])}; report its result, or release it"
        for order in orders
    )
    return Section("Orders without an outcome", lines=lines or (_NONE,))


def _acts(acts: Sequence[Mapping[str, Any]], clock: _Clock) -> Section:
    lines = tuple(f"{clock(act['at'])} {act['by']}: {act['words']}" for act in acts)
    return Section("Breaker, halts, resets and other acts", lines=lines or (_NONE,))


def _checks(checks: Sequence[Mapping[str, Any]] | None, clock: _Clock) -> Section:
    title = "Drift checks"
    if checks is None:
        return Section(title, lines=("they could not be read",))
    lines = tuple(
        f"{clock(check['at'])} {str(check['state']).replace('_', ' ')}"
        + (f": {'; '.join(map(str, check['reasons']))}" if check["reasons"] else "")
        for check in checks
    )
    return Section(title, lines=lines or (_NONE,))


def _alerts(alerts: Sequence[Mapping[str, Any]] | None, clock: _Clock) -> Section:
    title = "Alerts"
    if alerts is None:
        return Section(title, lines=("they could not be read",))
    return Section(title, lines=tuple(_alert(alert, clock) for alert in alerts) or (_NONE,))


def _alert(alert: Mapping[str, Any], clock: _Clock) -> str:
    told = ", ".join(
        f"{found['target']} {str(found['state']).replace('_', ' ')}"
        for found in alert["deliveries"]
    )
    over = clock(alert["resolved_at"])
    return (
        f"{clock(alert['at'])} {alert['severity']} {alert['cause']} {alert['key']}: "
        f"{alert['message']} ({f'over at {over}' if over else 'open'}; {told or 'nobody was told'})"
    )


def _configuration(configuration: Mapping[str, Any]) -> Section:
    limits = configuration["risk_limits"]
    lines = tuple(
        f"{model['name']}:{model['version']}, weight {model['weight']:g}, sha256 {model['sha256']}"
        for model in configuration["models"]
    )
    facts = [("Hash", configuration["hash"] or "none is on record")]
    if limits:
        facts.append(("Limits", ", ".join(f"{name} {value}" for name, value in limits.items())))
    return Section("Configuration and models", tuple(facts), lines)


def _chain(chain: Mapping[str, Any]) -> Section:
    verdict = "each is as it was written" if chain["verifies"] else f"NOT: {chain['complaint']}"
    return Section(
        "Chain of the ledger, to keep elsewhere",
        (
            ("Newest record", str(chain["sequence"])),
            ("Its hash", chain["hash"] or "there is no record"),
            ("Records of the day", f"{chain['records_of_day']}, {verdict}"),
        ),
    )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or _NONE
