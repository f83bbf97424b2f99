"""The compose file: what it promises holds, and what it says fits the service."""

import os
import shlex
import subprocess
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import yaml

from api.access import OPEN, ROUTES
from config.settings import Environment
from risk.ledger.redis_checks import check_server
from tests.deploy.manifests import (
    CONFIG_MOUNT,
    DEPLOY,
    GIVEN,
    compose,
    compose_variables,
    example_variables,
    request_seconds,
    served_port,
    settings_of,
    state_folder,
    substituted,
    urls_in,
)
from tests.redis_server import executable, free_port

SERVICES = sorted(compose()["services"])


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"][name]
    return found


def mounts(name: str) -> list[list[str]]:
    return [mount.split(":") for mount in service(name)["volumes"]]


def seconds(duration: str) -> int:
    assert duration.endswith("s")
    return int(duration[:-1])


def test_every_variable_is_in_the_example_and_nothing_else_is() -> None:
    assert compose_variables() == set(example_variables()) - {"COMPOSE_PROJECT_NAME"}


def test_the_example_holds_no_secret() -> None:
    secrets = set(GIVEN) & set(example_variables())
    assert {name: example_variables()[name] for name in secrets} == dict.fromkeys(secrets, "")


def test_without_its_secrets_it_does_not_start() -> None:
    text = (DEPLOY / "docker-compose.yml").read_text()
    for name in ("MLOPS_API_KEYS", "REDIS_PASSWORD", "GRAFANA_PASSWORD"):
        assert f"${{{name}:?" in text


def test_the_service_starts_in_production_on_the_redis_beside_it() -> None:
    given = {name: substituted(text) for name, text in service("usdcop")["environment"].items()}
    settings = settings_of(given).settings
    assert settings.environment is Environment.PRODUCTION
    assert settings.redis.host in SERVICES
    assert settings.redis.password is not None
    assert settings.redis.password.get_secret_value() == GIVEN["REDIS_PASSWORD"]
    assert [key.name for key in settings.access.keys] == ["router"]
    assert len(settings.alerts.urls) == 1
    assert settings.alerts.page_urls == ()
    assert settings.alerts.heartbeat_url is not None


@pytest.mark.parametrize("name", SERVICES)
class TestEveryService:
    def test_can_write_only_to_its_volumes_and_gain_no_right(self, name: str) -> None:
        hardened = service(name)
        assert hardened["read_only"] is True
        assert hardened["cap_drop"] == ["ALL"]
        assert hardened["security_opt"] == ["no-new-privileges:true"]

    def test_is_restarted_checked_and_given_time_to_stop(self, name: str) -> None:
        described = service(name)
        assert described["restart"] == "unless-stopped"
        assert described["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
        assert seconds(described["stop_grace_period"]) > request_seconds()

    def test_is_reachable_from_this_machine_alone(self, name: str) -> None:
        for port in service(name).get("ports", []):
            assert port.startswith("127.0.0.1:")

    def test_runs_a_version_that_is_named(self, name: str) -> None:
        image, _, version = service(name)["image"].partition(":")
        if image == "usdcop":
            assert version == "${USDCOP_VERSION:-latest}"
        else:
            assert version.lstrip("v").replace(".", "").isdigit()
            assert version.count(".") == 2

    def test_keeps_its_data_in_a_named_volume(self, name: str) -> None:
        named = [source for source, *_ in mounts(name) if "/" not in source]
        assert len(named) == 1
        assert named[0] in compose()["volumes"]

    def test_cannot_write_what_it_mounts_of_the_repository(self, name: str) -> None:
        for source, *rest in mounts(name):
            if "/" in source:
                assert rest[1:] == ["ro"], source


def test_what_is_mounted_of_the_repository_is_there() -> None:
    sources = {source for name in SERVICES for source, *_ in mounts(name) if "/" in source}
    assert "../config/mlops.yaml" in sources
    assert [source for source in sorted(sources) if not (DEPLOY / source).exists()] == []


def test_grafana_looks_for_its_dashboards_where_they_are_mounted() -> None:
    targets = {source: target for source, target, *_ in mounts("grafana")}
    providers = DEPLOY / "grafana" / "provisioning" / "dashboards"
    described = [yaml.safe_load(file.read_text()) for file in sorted(providers.glob("*.y*ml"))]
    paths = {each["options"]["path"] for one in described for each in one["providers"]}
    assert paths == {targets["./grafana/dashboards"]}


def test_configuration_and_state_lie_where_the_service_looks_for_them() -> None:
    targets = {source: target for source, target, *_ in mounts("usdcop")}
    assert targets == {"../config/mlops.yaml": CONFIG_MOUNT, "state": state_folder()}


def test_the_service_is_asked_for_its_health_on_its_own_port_by_an_open_route() -> None:
    assert service("usdcop")["ports"] == [f"127.0.0.1:{served_port()}:{served_port()}"]
    (url,) = urls_in(service("usdcop")["healthcheck"]["test"])
    assert urlsplit(url).port == served_port()
    assert ROUTES[f"GET {urlsplit(url).path}"] is OPEN


def test_its_redis_is_one_that_a_ledger_may_be_trusted_to(tmp_path: Path) -> None:
    shell, option, script = service("redis")["command"]
    port, password = free_port(), GIVEN["REDIS_PASSWORD"]
    here = script.replace("$$", "$").replace("/data", shlex.quote(str(tmp_path)))
    here = here.replace("redis-server -", f"{shlex.quote(executable())} - --port {port}")
    environment = {**os.environ, "REDISCLI_AUTH": password}
    process = subprocess.Popen([shell, option, here], env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_for(port, password)
        assert check_server(host="127.0.0.1", port=port, password=password) == []
        with closing(redis.Redis(port=port)) as nobody, pytest.raises(redis.AuthenticationError):
            nobody.ping()
        assert password not in Path(f"/proc/{process.pid}/cmdline").read_text()
    finally:
        process.terminate()
        assert process.wait(20) == 0  # it has become the server, and stops when it is asked to


def wait_for(port: int, password: str) -> None:
    until = monotonic() + 20
    with closing(redis.Redis(port=port, password=password)) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                assert monotonic() < until, "redis-server does not answer"
                sleep(0.02)
            else:
                return
