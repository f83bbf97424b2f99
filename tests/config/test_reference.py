"""The page of all settings is what the types say, and nothing on it is wrong."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from commands.config import config
from config.environment import overrides
from config.load import load_settings
from config.reference import configuration_reference
from config.shape import KeyPath, setting_keys

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in configuration_reference().splitlines()
    if line.startswith("| `")
]


def path_of(setting: str) -> KeyPath:
    return tuple(int(part) if part.isdecimal() else part for part in setting.strip("`").split("."))


def test_the_committed_page_is_what_the_command_prints() -> None:
    printed = CliRunner().invoke(config, ["reference"]).output
    assert PAGE.read_text() == printed, "usdcop config reference > docs/configuration.md"


def test_every_setting_has_a_row_with_its_meaning() -> None:
    named = {row[0].strip("`") for row in ROWS}
    assert set(setting_keys()) <= named
    assert {f"models.0.{name}" for name in ("name", "weight")} <= named
    assert [row[0] for row in ROWS if len(row) != 5 or not all(row)] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row[0]))
def test_each_variable_of_a_row_sets_its_setting(row: list[str]) -> None:
    path = path_of(row[0])
    for variable in re.findall("`([A-Z0-9_]+)`", row[3]):
        text = "a:viewer:" + "0" * 64 if variable == "MLOPS_API_KEYS" else "[]"
        (override,) = overrides({variable: text})
        assert override.path == path


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row[0]))
def test_the_default_of_a_row_may_be_set(row: list[str]) -> None:
    if row[2] in ("none", "required"):
        return
    *_, variable = re.findall("`([A-Z0-9_]+)`", row[3])
    text = row[2].strip("`")
    assert load_settings({variable: text}).provenance[row[0].strip("`")].origin == variable
