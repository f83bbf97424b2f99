"""Addresses of alerts: secrets from their first line to their last."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alerting import open_sender
from config.load import HIDDEN, load_settings
from config.settings import REVEAL_SECRETS, AlertSettings, Settings
from deployment import Deployment
from errors import ConfigurationError
from monitoring.alerts.sender import NoTargets

URL = "json://user:hunter2@127.0.0.1:9/path"
MODEL = {"name": "ppo", "algorithm": "PPO", "tag": "ppo"}


def test_addresses_come_from_the_environment_and_are_hidden() -> None:
    loaded = load_settings({"MLOPS__ALERTS__URLS": json.dumps([URL])})
    assert [url.get_secret_value() for url in loaded.settings.alerts.urls] == [URL]
    assert loaded.provenance["alerts.urls"] == (HIDDEN, "MLOPS__ALERTS__URLS")
    assert "hunter2" not in repr(loaded)
    assert "hunter2" not in loaded.settings.model_dump_json()


def test_one_address_can_be_set_by_its_position() -> None:
    loaded = load_settings({"MLOPS__ALERTS__URLS__0": URL})
    assert [url.get_secret_value() for url in loaded.settings.alerts.urls] == [URL]
    assert "hunter2" not in str(loaded.provenance)


@pytest.mark.parametrize("text", [URL, f'["{URL}"', f'[["{URL}"]]', f'{{"a": "{URL}"}}', "[12]"])
def test_what_is_no_list_of_addresses_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"MLOPS__ALERTS__URLS": text})
    line = str(caught.value)
    assert "MLOPS__ALERTS__URLS" in line
    assert "hunter2" not in line
    assert "\n" not in line


def test_addresses_reach_the_workers_and_nobody_else() -> None:
    settings = Settings.model_validate({"models": [MODEL], "alerts": {"page_urls": [URL]}})
    arrived = Deployment.from_json(Deployment(settings, ()).to_json()).settings
    assert arrived == settings
    assert "hunter2" in settings.model_dump_json(context=REVEAL_SECRETS)
    assert "hunter2" not in repr(settings)


def test_a_start_refuses_an_address_that_cannot_be_sent_to() -> None:
    alerts = AlertSettings.model_validate({"urls": ["nonsense://hunter2"]})
    with pytest.raises(ConfigurationError, match=r"alerts\.urls\.0 is no address") as caught:
        open_sender(alerts)
    assert "hunter2" not in str(caught.value)


def test_without_an_address_nobody_is_told() -> None:
    assert isinstance(open_sender(AlertSettings()), NoTargets)


def test_nothing_of_it_goes_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    open_sender(AlertSettings.model_validate({"urls": [URL]}))
    assert list(tmp_path.rglob("*")) == []


def test_the_address_of_the_heartbeat_is_hidden_and_reaches_the_workers() -> None:
    url = "https://monitor.example/ping/hunter2"
    loaded = load_settings({"MLOPS__ALERTS__HEARTBEAT_URL": url})
    assert loaded.provenance["alerts.heartbeat_url"] == (HIDDEN, "MLOPS__ALERTS__HEARTBEAT_URL")
    assert "hunter2" not in repr(loaded)
    assert "hunter2" not in loaded.settings.model_dump_json()
    arrived = Deployment.from_json(Deployment(loaded.settings, ()).to_json()).settings
    assert arrived == loaded.settings


@pytest.mark.parametrize("url", ["file:///etc/hunter2", "hunter2", "https://", "ftp://a/hunter2"])
def test_a_heartbeat_goes_to_the_web_or_the_start_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="begins with https") as caught:
        load_settings({"MLOPS__ALERTS__HEARTBEAT_URL": url})
    assert "hunter2" not in str(caught.value)
