"""What happened, on the log: faults and trips only; decisions are in the ledger."""

import logging

from monitoring.observer import BatchDecided, DecisionMade, Observation, ResultRecorded

__all__ = ["LogObserver"]

_LOGGER = logging.getLogger("usdcop.decisions")


class LogObserver:
    """An observer that writes down what a person should know."""

    def observe(self, observation: Observation) -> None:
        """Write it down, if it is one of those."""
        match observation:
            case DecisionMade(risk_status="SYSTEM_ERROR", reason=reason, stored=stored):
                kept = "on record" if stored else "not on record"
                _LOGGER.error("answered HOLD, SYSTEM_ERROR (%s): %s", kept, reason)
            case BatchDecided(rows=rows, fault=str(fault)):
                _LOGGER.error("answered %d rows with HOLD, SYSTEM_ERROR: %s", rows, fault)
            case ResultRecorded(trips=trips) if trips:
                _LOGGER.warning("the circuit breaker opened: %s", ", ".join(trips))
            case _:
                pass
