"""What the documents tell an operator to do can be done: commands, routes and settings exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from api.access import ROUTES
from cli import usdcop
from config.environment import overrides
from monitoring.alerts.causes import Cause

DOCS = Path(__file__).parents[1] / "docs"
OPERATIONS = DOCS / "operations.md"
RULES = DOCS.parent / "deploy" / "prometheus" / "rules.yml"
FOR_OPERATORS = [OPERATIONS, DOCS / "troubleshooting.md"]
COMMAND = re.compile(r"(?:^|`)(?:[A-Z_]+=\S* )*usdcop (?!cannot)([a-z][^`#\n]*)", re.MULTILINE)


def commands() -> Iterator[str]:
    for path in FOR_OPERATORS:
        found = [match[1].strip() for match in COMMAND.finditer(path.read_text())]
        assert found, path
        yield from found


def headings(text: str) -> list[str]:
    return re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE)


def anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def read(words: list[str]) -> Result:
    """What the program makes of a command line, without running it."""
    return CliRunner().invoke(usdcop, [*words, "--help"])


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_a_command_of_the_documents_is_one_of_the_program(line: str) -> None:
    told = read(shlex.split(line))
    assert told.exit_code == 0, told.output


@pytest.mark.parametrize("line", ["ledger repair", "ledger show --newest", "key new"])
def test_a_command_that_does_not_exist_is_found_out(line: str) -> None:
    assert read(shlex.split(line)).exit_code == 2


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_of_an_alert_has_its_heading(cause: Cause) -> None:
    text = OPERATIONS.read_text()
    alerts = text[text.index("\n## Alerts") : text.index("\n## When something fails")]
    assert cause.value in headings(alerts)


def test_every_alert_of_prometheus_has_its_heading() -> None:
    runbooks = re.findall(r"runbook: docs/operations\.md#(\S+)", RULES.read_text())
    assert runbooks
    assert set(runbooks) - set(map(anchor, headings(OPERATIONS.read_text()))) == set()


@pytest.mark.parametrize("path", FOR_OPERATORS, ids=lambda path: path.name)
def test_every_route_of_the_documents_is_served(path: Path) -> None:
    served = {route.split()[1] for route in ROUTES}
    named = set(re.findall(r"(?<=\$U)/[a-z0-9/_-]+", path.read_text()))
    assert named
    assert named - served == set()


@pytest.mark.parametrize("path", FOR_OPERATORS, ids=lambda path: path.name)
def test_every_variable_of_the_documents_is_a_setting(path: Path) -> None:
    named = set(re.findall(r"\b(?:MLOPS_|MAX_|REDIS_)[A-Z0-9_]+(?==)", path.read_text()))
    assert named
    for name in named:
        overrides({name: ""})


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_every_link_between_documents_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if "://" in target:
            continue
        name, _, section = target.partition("#")
        other = path.parent / name if name else path
        assert other.exists(), target
        if section:
            assert section in map(anchor, headings(other.read_text())), target
