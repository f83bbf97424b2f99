"""What happened, on the log: faults, trips, halts and alerts only; decisions are in the ledger.

At DEBUG every decision has its line as well, without its observation.
"""

import logging
from typing import Any

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
                about = _about(observation)
                _LOGGER.error("answered HOLD, %s (%s): %s", status, kept, reason, extra=about)
            case DecisionMade() as made:
                if _LOGGER.isEnabledFor(logging.DEBUG):
                    _LOGGER.debug(
                        "answered %s, %s: %s",
                        made.signal,
                        made.risk_status,
                        made.reason or "no check refused it",
                        extra=_about(made),
                    )
            case BatchDecided(rows=rows, fault=str(fault), caller=caller):
                about = {"caller": caller}
                _LOGGER.error(
                    "answered %d rows with HOLD, SYSTEM_ERROR: %s", rows, fault, extra=about
                )
            case ResultRecorded(trips=trips, caller=caller, order_id=order_id) if trips:
                _opened(trips, {"caller": caller, "order_id": order_id})
            case ReportRecorded(trips=trips, caller=caller) if trips:
                _opened(trips, {"caller": caller})
            case OperatorActed(changed=True, mode=mode, actor=actor, reason=reason):
                why, about = reason or "no reason given", {"caller": actor}
                _LOGGER.warning("trading is %s by %s: %s", mode, actor, why, extra=about)
            case AlertTold(title=title, body=body):
                _ALERTS.warning("%s: %s", title, " ".join(body.splitlines()))
            case AlertAttempted(outcome="failed" | "given_up" as outcome) as tried:
                _ALERTS.warning(
                    "%s, target %s: %s: %s", outcome, tried.target, tried.title, tried.error
                )
            case AlertAcknowledged(causes=causes, actor=actor, note=note):
                names = ", ".join(causes) or "no open alert"
                _ALERTS.warning(
                    "%s acknowledged by %s: %s",
                    names,
                    actor,
                    note or "no note",
                    extra={"caller": actor},
                )
            case _:
                pass


def _opened(trips: tuple[str, ...], about: dict[str, Any]) -> None:
    _LOGGER.warning("the circuit breaker opened: %s", ", ".join(trips), extra=about)


def _about(made: DecisionMade) -> dict[str, Any]:
    return {
        "decision_id": made.decision_id,
        "caller": made.caller,
        "order_id": made.order_id,
        "risk_status": made.risk_status,
    }
