"""Settings that contradict each other."""

from datetime import time
from typing import Any

import pytest
from pydantic import ValidationError

from config.settings import REVEAL_SECRETS, Settings
from deployment import ChosenModel, Deployment

MODEL = {"name": "ppo", "algorithm": "PPO", "tag": "ppo"}


def settings(**values: Any) -> Settings:
    return Settings.model_validate({"models": [MODEL], **values})


@pytest.mark.parametrize("at", ["07:00:00", "08:00:00", "12:55:00", "15:00:00"])
def test_an_early_close_lies_within_the_session(at: str) -> None:
    with pytest.raises(ValidationError, match="early_close of 2026-12-23"):
        settings(calendar={"early_close": {"2026-12-23": at}})


def test_no_model_is_called_what_all_of_them_are_called() -> None:
    with pytest.raises(ValidationError, match="ensemble"):
        settings(models=[{**MODEL, "name": "ensemble", "tag": "ensemble"}])


def test_a_secret_is_written_out_for_workers_only() -> None:
    hidden = settings(redis={"password": "correct horse"})
    assert "correct horse" not in hidden.model_dump_json()
    assert "correct horse" not in repr(hidden)
    assert "correct horse" in hidden.model_dump_json(context=REVEAL_SECRETS)


def test_a_deployment_arrives_at_a_worker_as_it_was_decided() -> None:
    decided = Deployment(
        settings(
            environment="development",
            redis={"password": "p\nq", "port": 7000},
            calendar={
                "closed": ["2026-12-24"],
                "early_close": {"2026-12-23": "10:30:00"},
                "known_until": "2028-12-31",
            },
            trading_hours={"trading_days": [0, 6], "timezone": "UTC"},
            access={"keys": [{"name": "a", "role": "admin", "sha256": "0" * 64}]},
        ),
        (ChosenModel("ppo", "0123456789abcdef", "newest"),),
    )
    arrived = Deployment.from_json(decided.to_json())
    assert arrived == decided
    assert list(arrived.settings.calendar.early_close.values()) == [time(10, 30)]
