"""What observers are told in tests."""

from monitoring.observer import DecisionMade

APPROVED = DecisionMade(
    signal="BUY",
    risk_status="APPROVED",
    model_name="ensemble",
    confidence=0.85,
    approved=True,
    dry_run=False,
    seconds=0.001,
    stored=True,
    reason="",
)


def decision(**changes: object) -> DecisionMade:
    """An approval with some of it changed."""
    return APPROVED._replace(**changes)  # type: ignore[arg-type]
