"""The limits and models in force, on record once for every change.

Decisions name a configuration by its hash; its values are in the event that recorded it. The hash
is a part of the state: a service that runs with another one answers HOLD until the change is on
record (`risk.changes`).
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from config.settings import RiskLimits
from risk.events import EventKind
from risk.ledger.protocol import Ledger

__all__ = ["configuration_hash", "configuration_on_record", "limits_on_record"]


_PAGE = 100
_WITH_VALUES = (EventKind.CONFIGURATION, EventKind.CONFIGURATION_OFFERED)


def configuration_hash(values: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of what decides: 64 hexadecimal digits."""
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def configuration_on_record(ledger: Ledger, digest: str) -> dict[str, Any] | None:
    """The values that a hash names, whether they were ever in force or not; None if not there.

    Raises:
        StoreError: it cannot be read.
    """
    before = None
    while found := ledger.recent(_WITH_VALUES, limit=_PAGE, before=before):
        for event in found:
            if event.payload["hash"] == digest:
                values: dict[str, Any] = event.payload["values"]
                return values
        before = found[-1].sequence
    return None


def limits_on_record(ledger: Ledger) -> RiskLimits | None:
    """The limits that were recorded last; None where none are that this version can read."""
    newest = ledger.recent([EventKind.CONFIGURATION], limit=1)
    try:
        return RiskLimits.model_validate(newest[0].payload["values"]["risk_limits"])
    except (ValidationError, LookupError):
        return None
