"""Where drift checks are kept and how they are made, by the settings."""

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from config.settings import Settings
from drifting import (
    drift_documents,
    drift_lease,
    drift_program,
    drift_scheduler,
    open_drift_records,
)
from stores.lease import Standing
from tests.redis_server import RedisServer


def settings(folder: Path, **changes: object) -> Settings:
    model = {"name": "one", "algorithm": "PPO", "tag": "one"}
    told = {"models": [model], "state_path": str(folder / "state.db"), **changes}
    return Settings.model_validate(told)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm"))}


def test_without_redis_they_are_in_a_file_of_their_own_beside_the_ledger(tmp_path: Path) -> None:
    with closing(open_drift_records(settings(tmp_path))) as records:
        records.publish({"tick": "9:00"}, b"<html>")
    assert files(tmp_path) == {"drift.db"}
    with closing(open_drift_records(settings(tmp_path))) as records:
        assert records.report() == b"<html>"


@pytest.mark.parametrize("changes", [{"state_path": "drift.db"}, {"market": {"path": "drift.db"}}])
def test_they_never_share_the_file_of_the_ledger_or_the_market(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(open_drift_records(settings(tmp_path, **changes))) as records:
        records.publish({"tick": "9:00"}, None)
    assert files(tmp_path) == {"checks.db"}


def test_with_redis_they_are_there_and_so_is_the_lease(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        redis = {"host": server.host, "port": server.port}
        configured = settings(tmp_path, redis=redis, book="other")
        with closing(open_drift_records(configured)) as records:
            records.publish({"tick": "9:00"}, None)
        with closing(drift_documents(configured)) as documents:
            one, other = drift_lease(documents), drift_lease(documents)
            assert one.holder != other.holder
            assert one.claim("9:00").standing is Standing.HELD
            assert other.claim("9:00").standing is Standing.BUSY
        with server.client() as client:
            assert set(client.keys("*")) == {
                b"other:drift:latest", b"other:drift:log", b"usdcop:{other}:document:drift:lease",
            }  # fmt: skip


def test_the_program_is_told_what_to_check_for_whom_and_against_what() -> None:
    assert drift_program("9:00", "one")[1:] == [
        "-m", "drift_job", "--tick", "9:00", "--holder", "one",
    ]  # fmt: skip
    with_reference = drift_program("9:00", "one", Path("reference.json"))
    assert with_reference[-2:] == ["--reference", "reference.json"]


def test_nothing_is_scheduled_where_checks_are_switched_off(tmp_path: Path) -> None:
    async def run() -> None:
        await asyncio.sleep(0)

    assert drift_scheduler(settings(tmp_path), run) is not None
    switched_off = settings(tmp_path, monitoring={"enable_drift_detection": False})
    assert drift_scheduler(switched_off, run) is None
