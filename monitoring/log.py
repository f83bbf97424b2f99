"""What happened, on the log: faults, trips and halts only; decisions are in the ledger."""

import logging

from monitoring.observer import (
    BatchDecided,
    DecisionMade,
    Observation,
    OperatorActed,
    ReportRecorded,
    ResultRecorded,
)

__all__ = ["LogObserver"]

_LOGGER = logging.getLogger("usdcop.decisions")


class LogObserver:
    """An observer that writes down what a person should know."""

    def observe(self, observation: Observation) -> None:
        """Write it down, if it is one of those."""
        match observation:
            case DecisionMade(
                risk_status="SYSTEM_ERROR" | "LEDGER_REGRESSED" as status,
                reason=reason,
                stored=stored,
            ):
                kept = "on record" if stored else "not on record"
                _LOGGER.error("answered HOLD, %s (%s): %s", status, kept, reason)
            case BatchDecided(rows=rows, fault=str(fault)):
                _LOGGER.error("answered %d rows with HOLD, SYSTEM_ERROR: %s", rows, fault)
            case ResultRecorded(trips=trips) | ReportRecorded(trips=trips) if trips:
                _LOGGER.warning("the circuit breaker opened: %s", ", ".join(trips))
            case OperatorActed(changed=True, mode=mode, actor=actor, reason=reason):
                _LOGGER.warning("trading is %s by %s: %s", mode, actor, reason or "no reason given")
            case _:
                pass
