"""The limits and models in force, on record once for every change.

Decisions name a configuration by its hash; its values are in the event that recorded it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from risk.calendar import SessionCalendar
from risk.events import Draft, EventKind
from risk.ledger.protocol import Ledger
from risk.ledger.retry import on_newest_state
from risk.state import RiskState

__all__ = ["configuration_hash", "record_configuration"]


def configuration_hash(values: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of what decides: 64 hexadecimal digits."""
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def record_configuration(
    values: Mapping[str, Any],
    *,
    ledger: Ledger,
    calendar: SessionCalendar,
    now: datetime,
    new_id: Callable[[datetime], str],
    actor: str,
) -> str:
    """Put the values on record unless they are the ones recorded last; returns their hash.

    Raises:
        LedgerError: nothing was stored.
    """
    digest = configuration_hash(values)

    def record(state: RiskState) -> None:
        if state.configuration == digest:
            return
        draft = Draft(
            kind=EventKind.CONFIGURATION,
            event_id=new_id(now),
            at=now,
            day=calendar.day(now),
            actor=actor,
            payload={"hash": digest, "values": values},
        )
        ledger.append([draft], expected=state.sequence, durable=True)

    on_newest_state(ledger, record, what="the configuration")
    return digest
