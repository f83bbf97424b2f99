"""Promotions as events of the ledger."""

from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from application import World
from bootstrap import SHIPPED_MODELS, build
from config.load import load_settings
from config.settings import CalendarSettings, TradingHours
from models.on_record import LedgerPromotions
from models.store import BentoModelStore
from risk.calendar import SessionCalendar
from risk.ledger.memory import MemoryLedger
from risk.ledger.protocol import Ledger
from runners.loading import inspect_model

START = datetime(2026, 3, 2, 14, tzinfo=UTC)


def promotions_on(ledger: Ledger) -> LedgerPromotions:
    numbers = count()
    minutes = count()
    return LedgerPromotions(
        ledger,
        SessionCalendar(TradingHours(), CalendarSettings()),
        lambda: START + timedelta(minutes=next(minutes)),
        lambda now: f"promotion-{next(numbers)}-{now:%M}",
    )


def test_the_newest_promotion_of_each_model_is_live() -> None:
    promotions = promotions_on(MemoryLedger())
    assert promotions.current() == {}
    promotions.promote("ppo", "1", "first", "anna")
    promotions.promote("sac", "7", "also first", "anna")
    promotions.promote("ppo", "2", "better", "bert")
    assert promotions.current() == {"ppo": "2", "sac": "7"}


def test_the_history_tells_who_when_and_why_oldest_first() -> None:
    promotions = promotions_on(MemoryLedger())
    promotions.promote("ppo", "1", "first", "anna")
    promotions.promote("sac", "7", "other", "anna")
    promotions.promote("ppo", "2", "better", "bert")
    told = [(act.version, act.reason, act.actor, act.at) for act in promotions.history("ppo")]
    assert told == [
        ("1", "first", "anna", START),
        ("2", "better", "bert", START + timedelta(minutes=2)),
    ]


@pytest.fixture
def store(bentoml_home: Path) -> BentoModelStore:
    assert bentoml_home.is_dir()
    return BentoModelStore()


def test_a_start_serves_the_promoted_version_and_puts_it_on_record(
    store: BentoModelStore,
) -> None:
    settings = load_settings({"MLOPS_ENVIRONMENT": "development"}).settings
    ledger = MemoryLedger()
    first = build(settings, ledger, store=store, world=World(clock=lambda: START))
    assert set(first.origins.values()) == {"newest"}
    shipped = first.runners[0].version

    # Another file under the same name: the policy of another shipped model.
    content = (SHIPPED_MODELS / "a2c_macro_v1.onnx").read_bytes()
    metadata = inspect_model(content, source="a2c_macro_v1.onnx")
    promotions = promotions_on(ledger)
    promotions.promote("sac_usdcop_v2", first.runners[1].version, "as it is", "anna")
    other = store.register("ppo_usdcop_v3", content, metadata)
    assert promotions.served("ppo_usdcop_v3") == [shipped]
    assert ("ppo_usdcop_v3", shipped) in promotions.versions_on_record()

    promotions.promote("ppo_usdcop_v3", shipped, "stay", "anna")
    second = build(settings, ledger, store=store, world=World(clock=lambda: START))
    assert second.runners[0].version == shipped != other.version
    assert second.origins["ppo_usdcop_v3"] == second.origins["sac_usdcop_v2"] == "promoted"
    assert second.desk.configuration == first.desk.configuration
