"""What happened, on the log: faults, trips, halts and alerts only; decisions are in the ledger."""

import logging

from monitoring.observer import (
    AlertAcknowledged,
    AlertAttempted,
    AlertTold,
    BatchDecided,
    DecisionMade,
    Observation,
    OperatorActed,
    ReportRecorded,
    ResultRecorded,
)

__all__ = ["LogObserver"]

_LOGGER = logging.getLogger("usdcop.decisions")
_ALERTS = logging.getLogger("usdcop.alerts")


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
            case AlertTold(title=title, body=body):
                _ALERTS.warning("%s: %s", title, " ".join(body.splitlines()))
            case AlertAttempted(outcome="failed" | "given_up" as outcome) as tried:
                _ALERTS.warning(
                    "%s, target %s: %s: %s", outcome, tried.target, tried.title, tried.error
                )
            case AlertAcknowledged(causes=causes, actor=actor, note=note):
                names = ", ".join(causes) or "no open alert"
                _ALERTS.warning("%s acknowledged by %s: %s", names, actor, note or "no note")
            case _:
                pass
