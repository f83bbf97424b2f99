"""The newest look, and whose beat it is: the same in every store."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from errors import StoreCorrupt
from monitoring.day.records import DayRecords
from stores.documents import Documents
from tests.shared_documents import STORES, ways_to_documents


@pytest.fixture(params=STORES)
def workers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[DayRecords]]:
    with ways_to_documents(request.param, tmp_path) as way:
        yield [DayRecords(way()) for _ in range(3)]


def test_every_worker_reads_the_newest_look(workers: list[DayRecords]) -> None:
    assert workers[0].preflight() is None
    workers[0].keep_preflight({"state": "not armed"})
    workers[1].keep_preflight({"state": "armed"})
    assert [worker.preflight() for worker in workers] == [{"state": "armed"}] * 3


def test_a_beat_is_taken_by_one_worker_and_an_older_one_by_nobody(
    workers: list[DayRecords],
) -> None:
    with ThreadPoolExecutor(len(workers)) as pool:
        for beat in (100, 101, 102):
            taken = list(pool.map(lambda worker: worker.take_beat(beat), workers))  # noqa: B023 - waited for
            assert sum(taken) == 1
    assert not any(worker.take_beat(101) for worker in workers)
    assert workers[0].take_beat(103)


def test_a_clock_that_was_set_back_beats_on(workers: list[DayRecords]) -> None:
    assert workers[0].take_beat(1000)
    assert not workers[1].take_beat(998)
    assert workers[1].take_beat(900)
    assert not workers[2].take_beat(900)


def test_what_is_no_look_is_a_damaged_one_and_is_replaced_by_the_next(tmp_path: Path) -> None:
    with ways_to_documents("sqlite", tmp_path) as way:
        documents: Documents = way()
        documents.write("preflight", b"[", expected=0)
        records = DayRecords(documents)
        with pytest.raises(StoreCorrupt, match="preflight"):
            records.preflight()
        records.keep_preflight({"state": "armed"})
        assert records.preflight() == {"state": "armed"}
