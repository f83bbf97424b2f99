"""A drift check from beginning to end: read the ledger, judge, publish, put an alarm on record.

What each check learns of the ledger is kept as a document, so that the next one reads only what is
new. `drift_job` runs this for the service, `usdcop drift check` for a person.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any

from config.settings import Settings
from drifting import drift_documents, drift_limits, open_drift_records
from errors import InvalidRequest, StoreError
from features.schema import Schema
from ledgers import open_book
from monitoring.drift.checked import Checked, DriftRules, alarm_reasons, check
from monitoring.drift.reading import read_on, trading_days
from monitoring.drift.recorded import Recorded
from monitoring.drift.recorded_json import decoded_record, encoded_record, sample_of
from monitoring.drift.records import DriftRecords
from monitoring.drift_page import drift_page
from monitoring.drift_report import MadeReport, make_report
from monitoring.limited_process import Limits
from monitoring.plain_report import plain_figures
from risk.acts import Act
from risk.drift import record_drift_alarm, record_drift_clear
from risk.events import timestamp
from stores.documents import Documents

__all__ = ["DriftChecks", "open_drift_checks", "training_sample"]

ACTOR = "service:drift"
_RECORD = "drift:record"
_LOGGER = logging.getLogger("usdcop.drift")


@dataclass(frozen=True, eq=False)
class DriftChecks:
    """The checks of one book.

    Attributes:
        settings: in force.
        rules: what is judged by.
        training: what a model was trained on; None without.
        documents: where the digest of the ledger is kept.
        records: where results are published.
        act: on the book, at the time of the check.
    """

    settings: Settings
    rules: DriftRules
    training: Recorded | None
    documents: Documents
    records: DriftRecords
    act: Act

    def judge(self, tick: str) -> tuple[Checked, dict[str, Any]]:
        """Judge the session so far, publish the verdict, and put an alarm on record.

        Args:
            tick: names the check: the time that it was due, or anything else on demand.

        Raises:
            StoreError: the ledger cannot be read, or the verdict cannot be stored.
        """
        begun = monotonic()
        recorded = self._read()
        read_at = monotonic()
        days = trading_days(recorded.days(self.rules.hours), self.rules.hours, self.act.calendar)
        checked = check(recorded, self.training, self.rules, self.act.now, days)
        judged_at = monotonic()
        if checked.faulty and checked.today is not None:
            self._write(recorded.with_fault(checked.today.day))
        entry = {
            "tick": tick,
            "at": timestamp(self.act.now),
            "book": self.settings.book,
            **checked.to_json(),
            "plain": _plain(checked, self.rules.schema),
            "seconds": {"reading": read_at - begun, "judging": judged_at - read_at},
        }
        self.records.publish(entry, None)
        self._put_on_record(tick, checked)
        return checked, entry

    def report(self, checked: Checked, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Make the report of a verdict, and publish both together.

        Raises:
            StoreError: it cannot be stored.
        """
        begun = monotonic()
        made = self._made(checked)
        # What Evidently says of each feature, or SciPy in its place.
        whole = {**entry, "plain": None if made is None else made.figures}
        why = "there are no vectors to compare yet" if made is None else made.why
        html = None if made is None else made.html
        whole["report"] = {
            "method": "none" if made is None else made.figures["method"],
            "why": why,
            "seconds": monotonic() - begun,
        }
        before = [one for one in self.records.history(12) if one.get("tick") != entry["tick"]]
        page = drift_page(whole, before[:10], report=html, why=why)
        self.records.publish(whole, page.encode())
        return whole

    def close(self) -> None:
        """Release the stores. Closing twice is harmless."""
        self.records.close()
        self.documents.close()
        self.act.ledger.close()

    def _made(self, checked: Checked) -> MadeReport | None:
        if not len(checked.hour) or not len(checked.reference):
            return None
        limits, monitoring = drift_limits(self.settings), self.settings.monitoring
        return make_report(
            checked.hour,
            checked.reference,
            self.rules.schema.names,
            share=self.rules.threshold,
            limits=Limits(monitoring.drift_report_time_limit_seconds, limits.memory_mb),
        )

    def _read(self) -> Recorded:
        known, names = self._known(), self.rules.schema.names
        recorded = read_on(known, self.act.ledger, names, self.rules.hours, self.act.calendar)
        if recorded is not known:
            self._write(recorded)
        return recorded

    def _known(self) -> Recorded:
        """The digest of the ledger as it was left; an empty one where it is none of ours."""
        schema = self.rules.schema
        empty = Recorded.empty(schema.hash, len(schema.names))
        body = self.documents.read(_RECORD).body
        if not body:
            return empty
        try:
            known = decoded_record(json.loads(body))
        except (ValueError, InvalidRequest) as error:
            _LOGGER.warning("what was read of the ledger is read again: %s", error)
            return empty
        return known if known.schema == schema.hash else empty

    def _write(self, recorded: Recorded) -> None:
        """Keep it for the next check; whoever writes at the same time has read the same ledger."""
        body = json.dumps(encoded_record(recorded), separators=(",", ":")).encode()
        try:
            self.documents.write(_RECORD, body, expected=self.documents.read(_RECORD).version)
        except StoreError as error:
            _LOGGER.warning("the next check reads the ledger again: %s", error)

    def _put_on_record(self, tick: str, checked: Checked) -> None:
        """An alarm, or the clean check that ends one: what `on_drift` goes by."""
        due, reasons = _due(tick, self.act.now), alarm_reasons(checked)
        if reasons:
            record_drift_alarm(due, reasons, self.act)
        elif checked.state == "ok":
            record_drift_clear(due, "a clean check", self.act)


def open_drift_checks(
    settings: Settings, schema: Schema, now: datetime, training: Recorded | None
) -> DriftChecks:
    """The checks of the book that the settings name.

    Args:
        settings: in force.
        schema: of the vectors.
        now: aware.
        training: what a model was trained on; None without.

    Raises:
        StoreError: the ledger cannot be opened.
    """
    monitoring = settings.monitoring
    act = replace(open_book(settings, ACTOR), now=now)
    return DriftChecks(
        settings=settings,
        rules=DriftRules(
            schema=schema,
            hours=settings.trading_hours,
            threshold=monitoring.drift_threshold,
            collapse_share=monitoring.collapse_share,
            collapse_entropy=monitoring.collapse_entropy_nats,
        ),
        training=training,
        documents=drift_documents(settings),
        records=open_drift_records(settings),
        act=act,
    )


def training_sample(path: Path) -> Recorded | None:
    """What a model was trained on, of the reference profile beside it; None if it has no sample.

    Raises:
        InvalidRequest: the file cannot be read, or holds something else.
    """
    try:
        return sample_of(json.loads(path.read_bytes()), path)
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"{path} is no reference profile: {error}") from error


def _plain(checked: Checked, schema: Schema) -> dict[str, Any] | None:
    """The usual rule, for comparison."""
    if not len(checked.hour) or not len(checked.reference):
        return None
    return plain_figures(checked.hour, checked.reference, schema.names)


def _due(tick: str, now: datetime) -> datetime:
    try:
        due = datetime.fromisoformat(tick)
    except ValueError:
        return now
    return due if due.tzinfo is not None and due <= now else now
