"""Exports of a live service: the day as it was, from pages of its route or from its ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidRequest
from features.evidence import Evidence
from features.macro import MacroValue
from features.own_schema import schema_from_document
from observation import DecisionRequest
from risk.events import GENESIS, Draft, EventKind, stamp, timestamp
from simulation.exports import Export, LeftOut, export_of
from simulation.files import read_export

OPEN = datetime(2026, 3, 2, 13, 0, tzinfo=UTC)
FIRST_BAR = int(OPEN.timestamp())
SCHEMA = schema_from_document(
    {"version": "desk-1", "features": ["log_return_5m", "position", "minutes_left"]}
)


def asked(bar: int, **changes: Any) -> DecisionRequest:
    """What was asked about a bar of Monday morning, from 0."""
    start = FIRST_BAR + 300 * bar
    values: dict[str, Any] = {
        "observation": np.array([0.1 * bar, 0.5, 0.0], dtype=np.float32),
        "observed_at": OPEN + timedelta(minutes=5 * (bar + 1)),
        "evidence": Evidence(start, 4000.0 + bar, 1, 5.25, {"dxy": MacroValue(20_514, 104.3)}),
        "fill_state": False,
    }
    return DecisionRequest(**(values | changes))


def entry(request: DecisionRequest, sequence: int, **changes: Any) -> dict[str, Any]:
    """A decision as a page of the route tells it, half a second after its bar was known."""
    decided = request.observed_at or OPEN
    told = request.to_json()
    del told["vector"]
    return {
        **answer(sequence, decided + timedelta(milliseconds=500)),
        "caller": "desk",
        "sequence": sequence,
        "observation": request.observation.tolist(),
        **told,
        "book": None,
        **changes,
    }


def answer(sequence: int, decided_at: datetime) -> dict[str, Any]:
    return {
        "decision_id": f"D-{sequence}",
        "signal": "HOLD",
        "raw_signal": "BUY",
        "confidence": 0.75,
        "approved": False,
        "risk_status": "DAILY_LIMIT_REACHED",
        "model_name": "ensemble",
        "timestamp": timestamp(decided_at),
    }


def page(*entries: dict[str, Any]) -> dict[str, Any]:
    """A page of the route, newest first as it tells them."""
    return {"decisions": list(entries)[::-1], "next": None}


def ledger_line(
    request: DecisionRequest, sequence: int, kind: EventKind = EventKind.DECISION
) -> str:
    """A decision as `usdcop ledger export` writes it."""
    decided = (request.observed_at or OPEN) + timedelta(milliseconds=500)
    payload = {**request.to_json(), "book": None, "answer": answer(sequence, decided)}
    draft = Draft(kind, f"D-{sequence}", decided, decided.date(), "desk", payload)
    event = stamp(draft, sequence=sequence, previous_hash=GENESIS)
    body = event.body.decode()
    return f'{{"previous_hash":"{GENESIS}","hash":"{event.hash}","body":{body}}}\n'


def written(folder: Path, text: str, name: str = "day.json") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def read(*paths: Path, schema: Any = None) -> Export:
    return read_export(paths, observation_dim=3, schema=schema)


def export(*entries: dict[str, Any], schema: Any = None) -> Export:
    return export_of([("day", page(*entries))], name="day", observation_dim=3, schema=schema)


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(InvalidRequest) as caught:
        act()
    assert len(caught.value.message.splitlines()) == 1
    return caught.value.message


def bars_of(made: Export) -> list[int]:
    return [(start - FIRST_BAR) // 300 for start in made.history.starts.tolist()]


def test_a_page_becomes_a_history_oldest_first(tmp_path: Path) -> None:
    entries = [entry(asked(bar), sequence=bar + 1) for bar in range(3)]

    made = read(written(tmp_path, json.dumps(page(*entries))))

    assert bars_of(made) == [0, 1, 2]
    assert made.history.known_at.tolist() == [FIRST_BAR + 300 * (bar + 1) for bar in range(3)]
    assert made.history.closes.tolist() == [4000.0, 4001.0, 4002.0]
    assert made.history.rows.tolist() == [0, 1, 2]
    assert made.history.evidence[2] == asked(2).evidence
    expected = np.stack([asked(bar).observation for bar in range(3)])
    assert made.history.matrix.tobytes() == expected.tobytes()
    assert made.left_out == LeftOut(0, 0, 0, 0, 0)


def test_the_answer_of_that_day_stands_beside_each_bar() -> None:
    made = export(entry(asked(1), 7, model_name="sac_usdcop_v2"))

    was = made.as_it_was[int(made.history.starts[0])]

    assert (was.decision_id, was.signal, was.raw_signal) == ("D-7", "HOLD", "BUY")
    assert (was.confidence, was.approved) == (0.75, False)
    assert (was.risk_status, was.model_name) == ("DAILY_LIMIT_REACHED", "sac_usdcop_v2")
    assert was.decided_at == OPEN + timedelta(minutes=10, milliseconds=500)


def test_a_ledger_export_gives_the_same_as_pages(tmp_path: Path) -> None:
    requests = [asked(0), asked(1, dry_run=True), asked(2)]
    lines = [ledger_line(request, number) for number, request in enumerate(requests, start=1)]
    entries = [entry(request, number) for number, request in enumerate(requests, start=1)]
    other = ledger_line(asked(0), 4, EventKind.MARK)

    of_ledger = read(written(tmp_path, "".join([*lines, other])))
    of_pages = read(written(tmp_path, json.dumps(page(*entries)), "pages.json"))

    assert same(of_ledger, of_pages)
    assert of_ledger.left_out == of_pages.left_out


def same(one: Export, other: Export) -> bool:
    return (
        one.history.starts.tolist() == other.history.starts.tolist()
        and one.history.matrix.tobytes() == other.history.matrix.tobytes()
        and list(one.history.evidence) == list(other.history.evidence)
        and one.as_it_was == other.as_it_was
    )


@given(
    bars=st.lists(st.integers(0, 60), min_size=1, max_size=12),
    size=st.integers(1, 5),
    between=st.sampled_from(["", "\n", " \n\n"]),
    indent=st.sampled_from([None, 2]),
    data=st.data(),
)
def test_pages_may_come_in_any_order_and_layout(
    tmp_path_factory: pytest.TempPathFactory,
    bars: list[int],
    size: int,
    between: str,
    indent: int | None,
    data: st.DataObject,
) -> None:
    entries = [entry(asked(bar), number) for number, bar in enumerate(bars, start=1)]
    pages = [page(*entries[first : first + size]) for first in range(0, len(entries), size)]
    shuffled = data.draw(st.permutations(pages))
    text = between.join(json.dumps(one, indent=indent) for one in shuffled)

    made = read(written(tmp_path_factory.mktemp("pages"), text))

    assert bars_of(made) == sorted(set(bars))
    assert same(made, export(*entries))
    first = {bar: f"D-{bars.index(bar) + 1}" for bar in bars}
    told = [was.decision_id for _, was in sorted(made.as_it_was.items())]
    assert told == [first[bar] for bar in sorted(first)]
    assert made.left_out.repeated == len(bars) - len(set(bars))


def test_entries_on_lines_of_their_own_are_read_too(tmp_path: Path) -> None:
    lines = [json.dumps(entry(asked(bar), bar + 1)) for bar in range(3)]

    assert bars_of(read(written(tmp_path, "\n".join(lines)))) == [0, 1, 2]


def test_several_files_of_one_book_are_one_history(tmp_path: Path) -> None:
    one = written(tmp_path, json.dumps(page(entry(asked(4), 5))), "one.json")
    other = written(tmp_path, ledger_line(asked(2), 3), "other.jsonl")

    assert bars_of(read(one, other)) == [2, 4]


def test_what_could_not_have_traded_is_left_out_and_counted(tmp_path: Path) -> None:
    lines = [
        ledger_line(asked(0, dry_run=True), 1),
        ledger_line(asked(0), 2),
        ledger_line(asked(0), 3),
        ledger_line(asked(0), 3),
        ledger_line(asked(1, enforce_risk_checks=False), 4),
        ledger_line(asked(1), 5, EventKind.BATCH),
    ]

    made = read(written(tmp_path, "".join(lines)))

    assert [was.decision_id for was in made.as_it_was.values()] == ["D-2"]
    assert made.left_out == LeftOut(dry_runs=1, not_checked=1, batches=1, repeated=1, duplicates=1)


def test_a_vector_without_a_time_was_known_when_it_was_decided() -> None:
    decided = OPEN + timedelta(minutes=7, seconds=3, microseconds=250)
    untimed = asked(1, observed_at=None, evidence=None)

    made = export(entry(untimed, 1, timestamp=timestamp(decided)), entry(asked(2), 2))

    assert made.history.known_at.tolist()[0] == FIRST_BAR + 7 * 60 + 3
    assert np.isnan(made.history.closes[0])
    assert made.history.evidence[0] is None


def test_two_decisions_within_one_second_are_one_moment_of_which_the_first_counts() -> None:
    moment = OPEN + timedelta(minutes=7)
    untimed = asked(1, observed_at=None, evidence=None)
    entries = [
        entry(untimed, 1, timestamp=timestamp(moment + timedelta(milliseconds=900))),
        entry(untimed, 2, timestamp=timestamp(moment + timedelta(milliseconds=950))),
        entry(untimed, 3, timestamp=timestamp(moment + timedelta(milliseconds=1000))),
    ]

    made = export(*entries)

    assert [was.decision_id for was in made.as_it_was.values()] == ["D-1", "D-3"]
    assert made.left_out.repeated == 1


def test_features_of_the_book_that_the_service_filled_in_are_taken_out_again() -> None:
    filled = entry(
        asked(1, fill_state=True), 1, observation=[0.25, 0.08, 50.0], book={"position": 0.08}
    )

    made = export(filled, schema=SCHEMA)

    assert made.history.matrix.tolist() == [[0.25, 0.0, 0.0]]
    assert made.history.fill_state


def test_features_of_the_book_that_the_caller_sent_stay_as_sent() -> None:
    made = export(entry(asked(1), 1, observation=[0.25, 0.5, 50.0]), schema=SCHEMA)

    assert made.history.matrix.tolist() == [[0.25, 0.5, 50.0]]
    assert not made.history.fill_state


def test_vectors_with_and_without_the_book_do_not_mix() -> None:
    both = [entry(asked(0), 1), entry(asked(1, fill_state=True), 2)]

    said = refusal(lambda: export(*both, schema=SCHEMA))

    assert said.startswith("day, decision 2: its caller sent the features of the book, and those")
    assert len(export(*both).history) == 2


def test_an_answer_without_its_vector_says_how_to_ask_for_it(tmp_path: Path) -> None:
    listed = {**answer(1, OPEN), "caller": "desk", "sequence": 1}
    path = written(tmp_path, json.dumps({"decisions": [listed], "next": None}))

    assert refusal(lambda: read(path)) == (
        f"{path}, line 1, decision 1 is an answer without what it was made from; ask for it with "
        "GET /v1/decisions?full=true"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"observation": [1.0, 2.0]},
            "the observation has 2 numbers, and the models read 3; replay it with the models",
        ),
        (
            {"observation": [1.0, float("nan"), 2.0]},
            "position of the observation is nan, which is no finite number within float32; export",
        ),
        (
            {"observation": [1e39, 0.0, 2.0]},
            "log_return_5m of the observation is 1e+39, which is no finite number within float32",
        ),
        (
            {"observed_at": "2026-03-02T13:05:00"},
            "observed_at is not what an export holds: input should have timezone info; export it",
        ),
        ({"sequence": None}, "sequence is not what an export holds: input should be a valid int"),
        ({"evidence": {"close": 1}}, "stored evidence needs these and no others"),
    ],
)
def test_a_decision_that_is_not_as_exported_is_refused_by_its_place(
    changes: Mapping[str, Any], said: str
) -> None:
    entries = [entry(asked(0), 1), {**entry(asked(1), 2), **changes}, entry(asked(2), 3)]

    told = refusal(lambda: export(*entries, schema=SCHEMA))

    assert told.startswith(f"day, decision 2: {said}")


def test_records_of_two_books_do_not_mix() -> None:
    other = entry(asked(1), 1, decision_id="another")

    assert refusal(lambda: export(entry(asked(0), 1), other)) == (
        "day, decision 2 and day, decision 1 are both record 1, with different decisions; give "
        "the export of one book"
    )


@pytest.mark.parametrize("entries", [[], [entry(asked(0, dry_run=True), 1)]])
def test_an_export_without_a_decision_to_make_again_says_what_it_holds(
    entries: Sequence[dict[str, Any]],
) -> None:
    assert refusal(lambda: export(*entries)) == (
        f"day holds no decision to replay: {len(entries)} dry runs, 0 without risk checks and 0 "
        "batches are left out; export days on which the service traded"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"error": {"code": "unauthorized"}}', ", line 1 is no decision on record; give pages"),
        ("[1, 2]", ", line 1 is no decision on record; give pages"),
        ("sequence,kind\n1,decision\n", ": what begins on line 1 is no whole JSON document"),
        ("[" * 100_000, ": what begins on line 1 is no whole JSON document"),
        ("1" * 5_000, ": what begins on line 1 is no whole JSON document"),
        ('{"body": {"kind": "decision", "payload": 3}}', ", line 1 holds no whole decision;"),
        ("", " holds no decision to replay"),
    ],
)
def test_a_file_that_is_no_export_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)

    assert refusal(lambda: read(path)).startswith(f"{path}{said}")


def test_a_file_that_ends_too_early_is_refused_by_the_line_that_is_not_whole(
    tmp_path: Path,
) -> None:
    lines = [ledger_line(asked(bar), bar + 1) for bar in range(3)]
    path = written(tmp_path, "".join(lines)[:-40])

    assert refusal(lambda: read(path)).startswith(f"{path}: what begins on line 3 is no whole JSON")


def test_the_place_of_a_document_is_the_line_that_it_begins_on(tmp_path: Path) -> None:
    good = json.dumps(page(entry(asked(0), 1)), indent=1)
    path = written(tmp_path, f"{good}\n\n[]")

    assert refusal(lambda: read(path)).startswith(f"{path}, line {good.count(chr(10)) + 3} is no")


def test_bytes_and_directories_and_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    binary = tmp_path / "day.jsonl"
    binary.write_bytes(b"PAR1\xff\xfe\x00")

    assert refusal(lambda: read(binary)).startswith(f"{binary} is not text: an export is pages")
    assert refusal(lambda: read(tmp_path)) == f"{tmp_path} is a directory; name the files in it"
    assert refusal(lambda: read(tmp_path / "none")) == f"{tmp_path / 'none'} does not exist"
