import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import click
import pytest
from click.testing import CliRunner

from api.access import digest_of
from commands.config import config
from commands.keys import key_from, keys
from config.load import LoadedSettings, load_settings
from config.settings import Role


@dataclass
class FixedContext:
    environ: Mapping[str, str] = field(default_factory=dict)

    def loaded(self) -> LoadedSettings:
        return load_settings(self.environ)


def test_config_prints_values_and_where_they_came_from() -> None:
    result = CliRunner().invoke(config, [], obj=FixedContext({"MAX_DAILY_LOSS": "-0.01"}))
    lines = {line.split()[0]: line.split() for line in result.output.splitlines() if line.strip()}
    assert result.exit_code == 0
    assert lines["risk_limits.max_daily_loss"][1:] == ["-0.01", "MAX_DAILY_LOSS"]
    assert lines["trading_hours.trading_days"][1:6] == ["[0,", "1,", "2,", "3,", "4]"]


def test_config_prints_json() -> None:
    result = CliRunner().invoke(config, ["--json"], obj=FixedContext({"REDIS_HOST": "redis"}))
    document = json.loads(result.output)
    assert document["settings"]["redis.host"] == {"value": "redis", "origin": "REDIS_HOST"}
    assert document["file"].endswith("config/mlops.yaml")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_config_hides_secrets(options: list[str]) -> None:
    context = FixedContext({"REDIS_PASSWORD": "hunter2"})
    result = CliRunner().invoke(config, options, obj=context)
    assert result.exit_code == 0
    assert "(hidden)" in result.output
    assert "hunter2" not in result.output


def test_config_stops_with_one_line() -> None:
    result = CliRunner().invoke(config, [], obj=FixedContext({"MAX_DAILY_LOSS": "2"}))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("MAX_DAILY_LOSS: ")


def test_config_takes_subcommands() -> None:
    @click.command("probe")
    def probe() -> None:
        click.echo("reached")

    config.add_command(probe)
    try:
        result = CliRunner().invoke(config, ["probe"], obj=FixedContext())
    finally:
        del config.commands["probe"]
    assert result.output == "reached\n"


@pytest.mark.parametrize("role", list(Role))
def test_a_new_key_fits_the_entries_that_are_printed_with_it(role: Role) -> None:
    result = CliRunner().invoke(keys, ["new", "--name", "desk", "--role", role.value])
    (key,) = re.findall(r"usdcop_[A-Za-z0-9_-]{43}", result.output)
    (line,) = re.findall(r"MLOPS_API_KEYS=(\S+)", result.output)
    settings = load_settings({"MLOPS_API_KEYS": line}).settings
    (stored,) = settings.access.keys
    assert (stored.name, stored.role, stored.sha256) == ("desk", role, digest_of(key))
    assert f'sha256: "{stored.sha256}"' in result.output


def test_no_two_keys_are_alike() -> None:
    arguments = ["new", "--name", "desk", "--role", "trader"]
    assert CliRunner().invoke(keys, arguments).output != CliRunner().invoke(keys, arguments).output


def test_a_key_of_other_bytes_is_another_key() -> None:
    assert key_from(bytes(32)) != key_from(bytes(31) + b"\x01")


@pytest.mark.parametrize("name", ["De sk", "a:b", "a,b", "", "x" * 64])
def test_a_name_that_could_not_be_stored_is_refused(name: str) -> None:
    result = CliRunner().invoke(keys, ["new", "--name", name, "--role", "trader"])
    assert result.exit_code == 2
    assert "usdcop_" not in result.output
    assert result.stderr.startswith("--name: ")


def test_a_role_that_does_not_exist_is_refused() -> None:
    result = CliRunner().invoke(keys, ["new", "--name", "desk", "--role", "boss"])
    assert result.exit_code == 2
    assert "'viewer', 'trader', 'admin'" in result.stderr
