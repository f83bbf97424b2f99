"""A drift check from the ledger to the page: what is read, judged, published and put on record."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from config.settings import ModelSettings, MonitoringSettings, OnDrift, RiskLimits, Settings
from drift_checks import DriftChecks, open_drift_checks, training_sample
from errors import InvalidRequest
from features.evidence import Evidence
from features.schema import USDCOP_M5
from ledgers import open_ledger
from monitoring.alerts.causes import Cause
from monitoring.alerts.drift_conditions import drift_conditions
from monitoring.drift.recorded import SIGNALS, Recorded
from monitoring.drift.recorded_json import decoded_record
from observation import DecisionRequest
from risk.events import Draft
from risk.sizing import drift_halves
from tests.monitoring.drift.markets import NAMES, sessions
from tests.recorded_decisions import recorded_decision

ROOT = Path(__file__).parents[2]
NOW = datetime.fromtimestamp(int(sessions()[-1].starts[-1]) + 360, UTC)
DAYS = 42


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with the decisions of some weeks, which no test changes."""
    folder = tmp_path_factory.mktemp("book")
    write_decisions(folder / "state.db")
    return folder / "state.db"


@pytest.fixture
def settings(book: Path, tmp_path: Path) -> Settings:
    (tmp_path / "state.db").write_bytes(book.read_bytes())
    return settings_of(tmp_path)


@pytest.fixture
def checks(settings: Settings) -> Iterator[DriftChecks]:
    opened = opened_at(settings, NOW)
    yield opened
    opened.close()


def settings_of(folder: Path) -> Settings:
    return Settings(
        models=(ModelSettings(name="m", algorithm="PPO", tag="m"),),
        state_path=str(folder / "state.db"),
        acknowledged_path=str(folder / "acknowledged"),
        monitoring=MonitoringSettings(drift_report_time_limit_seconds=60.0),
    )


def opened_at(settings: Settings, now: datetime, training: Recorded | None = None) -> DriftChecks:
    # The simulated market has no holidays of its own.
    free = settings.model_copy(
        update={"calendar": settings.calendar.model_copy(update={"countries": ()})}
    )
    return open_drift_checks(free, USDCOP_M5, now, training)


def write_decisions(path: Path) -> None:
    ledger = open_ledger(settings_of(path.parent), create=True)
    drafts = [
        decision(int(start), vector, index)
        for session in sessions()[-DAYS:]
        for index, (start, vector) in enumerate(zip(session.starts, session.matrix, strict=True))
    ]
    for begin in range(0, len(drafts), 500):
        ledger.append(drafts[begin : begin + 500])
    ledger.close()


def decision(start: int, vector: np.ndarray, index: int) -> Draft:
    at = datetime.fromtimestamp(start + 301, UTC)
    macro = next(one.macro for one in sessions() if one.starts[0] <= start <= one.starts[-1])
    request = DecisionRequest(
        observation=vector.astype(np.float32),
        observed_at=at - timedelta(seconds=1),
        evidence=Evidence(start, 4000.0, 1, 4.0, macro),
    )
    return recorded_decision(request, at, f"d-{start}", SIGNALS[index % 3])


def break_the_last_rows(settings: Settings, **factors: float) -> None:
    """The last session again, with features so many times too large; later decisions hold."""
    ledger = open_ledger(settings, create=False)
    last = sessions()[-1]
    matrix = last.matrix.copy()
    for name, factor in factors.items():
        matrix[:, NAMES.index(name)] *= factor
    drafts = [
        decision(int(start), vector, 0)._replace(event_id=f"again-{start}")
        for start, vector in zip(last.starts, matrix, strict=True)
    ]
    ledger.append(drafts)
    ledger.close()


def test_a_clean_session_is_published_as_that(checks: DriftChecks) -> None:
    checked, entry = checks.judge("2026-01-01T15:00:00+00:00")

    assert checked.state == "ok"
    assert entry["reference"]["kind"] == "recorded"
    assert entry["plain"]["share"] > 0.15
    assert checks.records.latest() == json.loads(json.dumps(entry))
    assert checks.records.report() is None


def test_a_broken_feature_is_an_alarm_on_record_until_a_clean_check(
    settings: Settings, checks: DriftChecks
) -> None:
    break_the_last_rows(settings, rsi_14=100.0)
    checked, entry = checks.judge(tick(NOW))
    alarmed = checks.act.ledger.head().state
    later = opened_at(settings, NOW + timedelta(minutes=1))
    put_right(settings)
    clean, _ = later.judge(tick(NOW + timedelta(minutes=1)))
    cleared = later.act.ledger.head().state
    later.close()

    assert checked.state == "alarm"
    assert entry["suspects"][0]["name"] == "rsi_14"
    assert alarmed.drift is not None
    assert "rsi_14" in alarmed.drift.reason
    assert drift_halves(alarmed, RiskLimits(on_drift=OnDrift.HALVE))
    assert clean.state == "ok"
    assert cleared.drift is None


def test_collapsed_actions_are_an_alarm_too_but_no_drift(
    settings: Settings, checks: DriftChecks
) -> None:
    ledger = open_ledger(settings, create=False)
    for session in sessions()[-5:]:
        ledger.append(
            [
                decision(int(start), vector, 1)._replace(event_id=f"hold-{start}")
                for start, vector in zip(session.starts, session.matrix, strict=True)
            ]
        )
    ledger.close()
    checked, entry = checks.judge(tick(NOW))
    alarm = checks.act.ledger.head().state.drift

    assert checked.state == "ok"
    assert entry["actions"]["collapsed"]
    assert alarm is not None
    assert alarm.reason.startswith("actions: HOLD is 100%")
    assert [one.cause for one in drift_conditions(alarm, entry)] == [Cause.COLLAPSE]


def put_right(settings: Settings) -> None:
    ledger = open_ledger(settings, create=False)
    last = sessions()[-1]
    ledger.append(
        [
            decision(int(start), vector, 0)._replace(event_id=f"right-{start}")
            for start, vector in zip(last.starts, last.matrix, strict=True)
        ]
    )
    ledger.close()


def test_the_same_check_twice_is_one_entry_and_one_event(
    settings: Settings, checks: DriftChecks
) -> None:
    break_the_last_rows(settings, rsi_14=100.0)
    checks.judge(tick(NOW))
    sequence = checks.act.ledger.head().sequence
    checks.judge(tick(NOW))

    assert [entry["tick"] for entry in checks.records.history()] == [tick(NOW)]
    assert checks.act.ledger.head().sequence == sequence


def test_what_was_read_of_the_ledger_is_not_read_again(
    settings: Settings, checks: DriftChecks
) -> None:
    checks.judge("first")
    document = checks.documents.read("drift:record")
    checks.judge("second")

    assert document.version == 1
    assert checks.documents.read("drift:record").version == 1
    assert decoded_record(json.loads(document.body)).sequence == (checks.act.ledger.head().sequence)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"format": 1}', b"\xff"])
def test_a_damaged_digest_is_made_again(checks: DriftChecks, body: bytes) -> None:
    checks.documents.write("drift:record", body, expected=0)

    checked, _ = checks.judge("any")

    assert checked.state == "ok"
    assert checks.documents.read("drift:record").version == 2


def test_a_day_with_a_broken_feature_is_no_reference(
    settings: Settings, checks: DriftChecks
) -> None:
    break_the_last_rows(settings, rsi_14=100.0)
    checks.judge("any")

    known = decoded_record(json.loads(checks.documents.read("drift:record").body))

    assert known.faulty == {sessions()[-1].day}


def test_a_reference_profile_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    with pytest.raises(InvalidRequest, match=r"reference\.json is no reference profile"):
        training_sample(path)
    path.write_text("{}")
    assert training_sample(path) is None


def test_the_shipped_reference_has_a_sample() -> None:
    sample = training_sample(ROOT / "models" / "onnx" / "reference.json")

    assert sample is not None
    assert sample.schema == USDCOP_M5.hash
    assert len(sample.days(settings_of(ROOT).trading_hours)) == 45


def job(settings: Settings, folder: Path, **variables: str) -> list[dict[str, object]]:
    """The lines of the program, run on the book as the service does."""
    environ = {
        **os.environ,
        "MLOPS_ENVIRONMENT": "development",
        "MLOPS__STATE_PATH": settings.state_path,
        "MLOPS__ACKNOWLEDGED_PATH": settings.acknowledged_path,
        **variables,
    }
    reference = ROOT / "models" / "onnx" / "reference.json"
    command = [sys.executable, "-m", "drift_job", "--tick", "manual:1"]
    ended = subprocess.run(
        [*command, "--reference", str(reference)],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def tick(at: datetime) -> str:
    return at.isoformat()


def test_the_program_tells_its_verdict_and_then_its_report(
    settings: Settings, tmp_path: Path
) -> None:
    lines = job(settings, tmp_path)

    assert [next(iter(line)) for line in lines] == ["verdict", "report"]


def test_the_report_is_evidently_s_with_the_verdict_on_top(checks: DriftChecks) -> None:
    checked, entry = checks.judge("any")
    whole = checks.report(checked, entry)
    page = checks.records.report()

    assert whole["report"]["method"] == whole["plain"]["method"] == "evidently"
    assert whole["plain"]["columns"]["rsi_14"] == pytest.approx(entry["plain"]["columns"]["rsi_14"])
    assert checks.records.latest() == json.loads(json.dumps(whole))
    assert page is not None
    assert page.index(b"No drift") < page.index(b"srcdoc")


def test_without_evidently_there_is_a_verdict_and_scipy_s_report(
    checks: DriftChecks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evidently.py").write_text("raise ImportError('not on this machine')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    checked, entry = checks.judge("any")
    whole = checks.report(checked, entry)
    page = checks.records.report()

    assert whole["state"] == "ok"
    assert whole["report"]["method"] == "scipy"
    assert "not on this machine" in whole["report"]["why"]
    assert page is not None
    assert b"Plain rule, by SciPy" in page
