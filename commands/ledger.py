"""`usdcop ledger`: what is on record, whether it is whole, and what it comes to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
from rich.table import Table
from rich.text import Text

from bootstrap import models_on_record
from commands.context import Context, command_line_actor, progress_of, table_console
from errors import InvalidRequest, NotFound, StoreCorrupt
from features.tables import write_rows
from ledgers import copy_ledger, open_ledger, open_raw_book, readable_ledger
from recomputation import Recomputed, Recomputer
from risk.events import GENESIS, Event, EventKind
from risk.explanation import explain, in_a_line
from risk.ledger.protocol import Ledger
from risk.orders import order_key
from risk.reconciliation import record_reconciliation
from risk.verification import REMEDY, Examiner, Readable, examine, records_of

__all__ = ["ledger"]

_KINDS = click.Choice([kind.value for kind in EventKind])
_OUTPUT_FILE = click.Path(path_type=Path, dir_okay=False)
_PAGE = 500
_SHOWN_DIFFERENCES = 20
_COLUMNS = (
    "sequence",
    "event_at",
    "day",
    "kind",
    "event_id",
    "actor",
    "key",
    "order_id",
    "signal",
    "raw_signal",
    "confidence",
    "approved",
    "risk_status",
    "payload",
    "previous_hash",
    "hash",
)


@click.group("ledger")
def ledger() -> None:
    """Look at what is on record, and prove it."""


@ledger.command()
@click.pass_obj
def verify(context: Context) -> None:
    """Examine every record: altered, missing or reordered ones, the head, the stored state."""
    with closing(readable_ledger(context.settings())) as readable:
        with progress_of("verifying", _length(readable)) as progress:
            examination = examine(readable, progress=progress)
        if not examination.is_intact:
            click.echo(f"{examination.events:,} records are good.")
            raise StoreCorrupt(f"{examination.complaint}; {REMEDY}")
    click.echo(
        f"{examination.events:,} records: each is as it was written, and the stored state is what "
        "they add up to."
    )


@ledger.command()
@click.option("--out", type=_OUTPUT_FILE, help="A new SQLite file for every good record.")
@click.pass_obj
def rebuild(context: Context, out: Path | None) -> None:
    """Fold every event again and compare the outcome with the stored state.

    With --out, all records before the first bad one are copied into a new ledger, byte for byte,
    with the state that they add up to. Nothing is ever overwritten.
    """
    with closing(readable_ledger(context.settings())) as readable:
        total = _length(readable)
        if out is not None:
            with progress_of("copying", total) as progress:
                copied = copy_ledger(readable, out, progress)
            end = (
                "all there are"
                if copied.flaw is None
                else f"up to the first bad one: {copied.flaw}"
            )
            click.echo(
                f"Copied {copied.head.sequence:,} records to {out}, {end}. To serve it, stop all "
                "services of the book and give it the name of the old file: under another name "
                "nothing notices what it lacks, and trading goes on."
            )
            return
        with progress_of("folding", total) as progress:
            examination = examine(readable, progress=progress)
    if not examination.is_intact:
        for line in examination.differences:
            click.echo(f"The stored state differs: {line}")
        raise StoreCorrupt(f"{examination.complaint}; {REMEDY}")
    click.echo(f"{examination.events:,} events fold to the stored state, field for field.")


@ledger.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--before", type=click.IntRange(min=1), help="Only records before this one.")
@click.option("--kind", "kinds", type=_KINDS, multiple=True, help="Only this kind; repeatable.")
@click.pass_obj
def show(context: Context, limit: int, before: int | None, kinds: tuple[str, ...]) -> None:
    """List what is on record, newest first."""
    wanted = [EventKind(kind) for kind in kinds] or list(EventKind)
    zone = context.settings().trading_hours.zone
    with _opened(context) as opened:
        events = opened.recent(wanted, limit=limit, before=before)
    table = Table("record", zone.key, "what", "in words", "by", "id", box=None)
    for event in events:
        table.add_row(
            str(event.sequence),
            f"{event.at.astimezone(zone):%Y-%m-%d %H:%M:%S}",
            event.kind.value,
            Text(in_a_line(event)),
            event.actor,
            event.event_id,
        )
    table_console().print(table)


@ledger.command("explain")
@click.argument("name")
@click.pass_obj
def explain_one(context: Context, name: str) -> None:
    """Tell one decision, trade or order on one page, in words."""
    zone: ZoneInfo = context.settings().trading_hours.zone
    with _opened(context) as opened:
        click.echo(explain(name, opened, zone))


@ledger.command()
@click.argument("names", nargs=-1)
@click.option("--last", type=click.IntRange(min=1), help="The newest so many decisions.")
@click.option("--all", "everything", is_flag=True, help="Every decision on record.")
@click.pass_obj
def replay(context: Context, names: tuple[str, ...], last: int | None, everything: bool) -> None:
    """Make decisions again, from what is on record of them, and say whether they come out the same.

    NAMES are ids of decisions or of orders.
    """
    if sum((bool(names), last is not None, everything)) != 1:
        raise click.UsageError("name decisions, or give --last N, or --all")
    with _opened(context) as opened:
        total = len(names) or last or opened.head().sequence
        decisions = _named(opened, names) if names else _newest(opened, last)
        recomputer = Recomputer(opened, models_on_record)
        with progress_of("recomputing", total) as progress:
            outcomes = list(_recomputed(recomputer, decisions, progress))
    _tell(outcomes)


@ledger.command()
@click.option("--reason", required=True, help="Why; goes on record.")
@click.pass_obj
def reconcile(context: Context, reason: str) -> None:
    """Accept that a store has lost records which it had acknowledged; the book is halted by it."""
    book = open_raw_book(context.settings(), command_line_actor())
    with closing(book.act.ledger):
        event = record_reconciliation(book.remembered, reason, book.act)
    click.echo(
        f"{in_a_line(event).capitalize()}. On record as {event.sequence}. Trading is halted until "
        "a person resumes: POST /v1/risk/resume."
    )


@ledger.command()
@click.option(
    "--format", "kind", type=click.Choice(["parquet", "jsonl"]), default="jsonl", show_default=True
)
@click.option("--out", type=_OUTPUT_FILE, required=True, help="File to write; it is replaced.")
@click.option("--after", type=click.IntRange(min=0), default=0, help="Records beyond this one.")
@click.pass_obj
def export(context: Context, kind: str, out: Path, after: int) -> None:
    """Write every good record into a file for other programs."""
    with (
        closing(readable_ledger(context.settings())) as readable,
        progress_of("exporting", max(0, _length(readable) - after)) as progress,
    ):
        examiner = Examiner()
        events = _good_events(examiner, readable)
        counted = _counted((event for event in events if event.sequence > after), progress)
        written = (
            write_rows(out, _COLUMNS, map(_row, counted))
            if kind == "parquet"
            else _write_lines(out, counted)
        )
    click.echo(f"Wrote {written:,} records to {out}")
    if examiner.flaw is not None:
        raise StoreCorrupt(f"what follows is not good: {examiner.flaw}")


@contextmanager
def _opened(context: Context) -> Iterator[Ledger]:
    opened = open_ledger(context.settings(), create=False)
    with closing(opened):
        yield opened


def _length(readable: Readable) -> int:
    """How many records a progress bar should expect; what cannot be read is found out later."""
    try:
        return readable.head().sequence
    except StoreCorrupt:
        return 0


def _good_events(examiner: Examiner, readable: Readable) -> Iterator[Event]:
    previous = GENESIS
    for record in examiner.passed(records_of(readable)):
        yield Event(record.sequence, EventKind(record.kind), previous, record.hash, record.body)
        previous = record.hash


def _counted(events: Iterable[Event], progress: Callable[[int], None]) -> Iterator[Event]:
    for number, event in enumerate(events, start=1):
        yield event
        if number % _PAGE == 0:
            progress(_PAGE)


def _row(event: Event) -> dict[str, Any]:
    payload = event.payload
    answer = payload.get("answer") or {}
    return {
        "sequence": event.sequence,
        "event_at": event.at,
        "day": event.day.isoformat(),
        "kind": event.kind.value,
        "event_id": event.event_id,
        "actor": event.actor,
        "key": event.key,
        "order_id": payload.get("order_id"),
        "signal": answer.get("signal"),
        "raw_signal": answer.get("raw_signal"),
        "confidence": answer.get("confidence"),
        "approved": answer.get("approved"),
        "risk_status": answer.get("risk_status"),
        "payload": json.dumps(payload, sort_keys=True),
        "previous_hash": event.previous_hash,
        "hash": event.hash,
    }


def _write_lines(out: Path, events: Iterable[Event]) -> int:
    """A line of JSON for each event; `body` stands in it as it was hashed."""
    written = 0
    partial = out.with_name(f".{out.name}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            for event in events:
                file.write(
                    b'{"previous_hash":"%s","hash":"%s","body":%s}\n'
                    % (event.previous_hash.encode(), event.hash.encode(), event.body)
                )
                written += 1
        partial.replace(out)
    except OSError as error:
        raise InvalidRequest(f"{out} cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
    return written


def _named(opened: Ledger, names: Iterable[str]) -> Iterator[Event]:
    for name in names:
        event = opened.by_id(name) or opened.by_key(order_key(name))
        if event is None:
            raise NotFound(f"{name!r} is no decision and no order on record")
        yield event


def _newest(opened: Ledger, last: int | None) -> Iterator[Event]:
    """Decisions, newest first; the newest so many, or all."""
    before, left = None, last
    while left is None or left > 0:
        limit = _PAGE if left is None else min(left, _PAGE)
        page = opened.recent([EventKind.DECISION], limit=limit, before=before)
        yield from page
        if len(page) < limit:
            return
        before = page[-1].sequence
        left = None if left is None else left - len(page)


def _recomputed(
    recomputer: Recomputer, decisions: Iterable[Event], progress: Callable[[int], None]
) -> Iterator[Recomputed]:
    for event in decisions:
        yield recomputer.recompute(event)
        progress(1)


def _tell(outcomes: Sequence[Recomputed]) -> None:
    """Say what came out the same; exit with 1 if anything did not."""
    same = sum(outcome.identical for outcome in outcomes)
    for outcome in outcomes:
        if outcome.obstacle is not None:
            click.echo(f"{outcome.decision_id}: not recomputed: {outcome.obstacle}")
        for difference in outcome.differences[:_SHOWN_DIFFERENCES]:
            click.echo(
                f"{outcome.decision_id}: {difference.field} was {difference.recorded!r}, "
                f"comes out as {difference.recomputed!r}"
            )
    click.echo(f"{same:,} of {len(outcomes):,} decisions come out identical")
    if same < len(outcomes):
        raise click.exceptions.Exit(1)
