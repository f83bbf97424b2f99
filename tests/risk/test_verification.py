"""Whether damage is found, named at its first record, and never made worse."""

import hashlib
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import StoreCorrupt, StoreUnavailable
from risk.events import GENESIS, Draft, EventKind, stamp
from risk.fold import changes_state
from risk.ledger.memory import MemoryLedger
from risk.ledger.protocol import Head, Record
from risk.ledger.sqlite import SqliteLedger
from risk.ledger.sqlite_copy import copy_good
from risk.ledger.sqlite_reader import SqliteReader, refuse_damaged_file
from risk.records import GLIMPSED
from risk.state import RiskState
from risk.verification import Readable, examine, records_of, refold, refuse_damaged
from tests.risk.test_ledger_contract import AT, decision, result

EVENTS = 12


def fill(ledger: MemoryLedger | SqliteLedger, events: int = EVENTS, text: str = "") -> None:
    for number in range(events):
        drafts = [decision(f"d{number}", text=text), result(f"r{number}", key=f"trade:{number}")]
        ledger.append(drafts[number % 2 :][:1], expected=ledger.head().state.sequence)


@dataclass
class Stored:
    """What a store says, true or not."""

    records: list[Record]
    stands: Head
    name: str = "stored"

    def head(self) -> Head:
        return self.stands

    def scan(self, *, after: int = 0, limit: int = 1000) -> list[Record]:
        return [record for record in self.records if record.sequence > after][:limit]


@pytest.fixture
def stored() -> Stored:
    ledger = MemoryLedger()
    fill(ledger)
    return Stored(ledger.scan(), ledger.head())


def complaint(ledger: Readable) -> str:
    return examine(ledger).complaint


def restamped(record: Record, previous_hash: str) -> Record:
    """A record that its writer himself got wrong: the hash fits what it says."""
    draft = Draft(EventKind(record.kind), record.event_id, AT, AT.date(), "x", {}, record.key)
    event = stamp(draft, sequence=record.sequence, previous_hash=previous_hash)
    return record._replace(hash=event.hash, body=event.body)


class TestRecords:
    def test_an_intact_ledger_has_no_flaw_and_its_own_state(self, stored: Stored) -> None:
        examination = examine(stored)
        assert examination.is_intact
        assert (examination.events, examination.newest) == (EVENTS, EVENTS)
        assert examination.state == stored.stands.state

    def test_an_empty_ledger_is_intact(self) -> None:
        examination = examine(MemoryLedger())
        assert (examination.is_intact, examination.events) == (True, 0)
        assert examination.state == RiskState()

    @given(where=st.integers(0, EVENTS - 1), bit=st.integers(0, 7), data=st.data())
    def test_any_altered_bit_of_a_body_is_found_at_its_record(
        self, where: int, bit: int, data: st.DataObject
    ) -> None:
        ledger = MemoryLedger()
        fill(ledger)
        records = ledger.scan()
        body = bytearray(records[where].body)
        body[data.draw(st.integers(0, len(body) - 1))] ^= 1 << bit
        records[where] = records[where]._replace(body=bytes(body))
        flaw = examine(Stored(records, ledger.head())).flaw
        assert flaw is not None
        assert flaw.sequence == where + 1

    def test_an_altered_body_is_named_in_words(self, stored: Stored) -> None:
        record = stored.records[4]
        stored.records[4] = record._replace(body=record.body.replace(b"tester", b"nobody"))
        assert complaint(stored) == ("record 5: its hash does not fit its body and its predecessor")
        assert examine(stored).events == 4

    def test_an_altered_hash_is_found_at_its_record(self, stored: Stored) -> None:
        stored.records[4] = stored.records[4]._replace(hash="f" * 64)
        assert complaint(stored).startswith("record 5: its hash does not fit")

    def test_a_record_that_was_taken_out_is_missing(self, stored: Stored) -> None:
        del stored.records[6]
        assert complaint(stored) == "record 7: it is missing; record 8 comes next"

    def test_a_missing_first_record_is_missing(self, stored: Stored) -> None:
        del stored.records[0]
        assert complaint(stored) == "record 1: it is missing; record 2 comes next"

    def test_records_whose_contents_were_exchanged_are_found(self, stored: Stored) -> None:
        third, fourth = stored.records[2:4]
        stored.records[2] = fourth._replace(sequence=3)
        stored.records[3] = third._replace(sequence=4)
        assert complaint(stored) == "record 3: its body is that of record 4"

    def test_a_record_that_comes_twice_is_out_of_place(self, stored: Stored) -> None:
        stored.records[4:4] = [stored.records[3]]
        assert complaint(stored) == "record 4: it stands where record 5 should be"

    def test_a_chain_that_was_joined_behind_another_record_is_found(self, stored: Stored) -> None:
        stored.records[5] = restamped(stored.records[5], previous_hash="a" * 64)
        assert complaint(stored).startswith("record 6: its hash does not fit")

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"kind": "mark"}, "its kind is stored as 'mark', but its body says 'trade_result'"),
            ({"event_id": "other"}, "its id is stored as 'other', but its body says 'r5'"),
            ({"key": None}, "its key is stored as None, but its body says 'trade:5'"),
            ({"kind": "divination"}, "its kind 'divination' is not known to this version"),
        ],
    )
    def test_what_is_stored_beside_the_body_must_agree_with_it(
        self, stored: Stored, change: dict[str, object], words: str
    ) -> None:
        stored.records[5] = Record(**{**stored.records[5]._asdict(), **change})
        assert complaint(stored) == f"record 6: {words}"

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b'{"format":1,', "its body is no JSON object"),
            (b"[1]", "its body is no JSON object"),
            (b'{"format":1,"x":NaN}', "its body is no JSON object"),
            (
                b'{"format":1,"id":"r5","key":"trade:5","kind":"trade_result","sequence":6}',
                "its body lacks what every event has",
            ),
            (b'{"format":2}', "its format 2 is not known to this version"),
            (b"{}", "its format None is not known to this version"),
        ],
    )
    def test_a_body_that_fits_its_hash_must_still_be_an_event(
        self, stored: Stored, body: bytes, words: str
    ) -> None:
        previous = stored.records[4].hash
        digest = hashlib.sha256(previous.encode() + body).hexdigest()
        stored.records[5] = stored.records[5]._replace(body=body, hash=digest)
        assert complaint(stored) == f"record 6: {words}"

    def test_an_event_that_cannot_be_folded_is_a_flaw(self, stored: Stored) -> None:
        stored.records[5] = restamped(stored.records[5], previous_hash=stored.records[4].hash)
        assert complaint(stored) == (
            "record 6: it cannot be folded into the state (KeyError: 'pnl_nano')"
        )

    def test_a_body_that_has_become_text_is_a_flaw(self, stored: Stored) -> None:
        stored.records[5] = stored.records[5]._replace(body="text")  # type: ignore[arg-type]
        assert complaint(stored) == "record 6: its body is not bytes"


class TestHead:
    def test_missing_newest_records_are_missing(self, stored: Stored) -> None:
        del stored.records[9:]
        assert complaint(stored) == "record 10: it is missing; the head says that 12 is the newest"

    def test_a_ledger_that_lost_everything_but_its_head_is_found(self, stored: Stored) -> None:
        stored.records.clear()
        assert complaint(stored).startswith("record 1: it is missing")

    def test_a_record_beyond_the_head_is_found(self, stored: Stored) -> None:
        stored.stands = replace(
            stored.stands, sequence=11, hash=stored.records[10].hash, state=RiskState()
        )
        assert complaint(stored) == (
            "record 12: it is there, but the head says that 11 is the newest"
        )

    def test_a_head_set_back_to_nothing_is_found(self, stored: Stored) -> None:
        stored.stands = Head(0, GENESIS, RiskState())
        assert complaint(stored).startswith("record 1: it is there")

    def test_a_head_with_another_hash_is_found(self, stored: Stored) -> None:
        stored.stands = replace(stored.stands, hash="f" * 64)
        assert complaint(stored) == "record 12: its hash is not the one that the head names"

    def test_a_head_that_cannot_be_read_is_a_flaw_after_all_records(self, stored: Stored) -> None:
        class Headless(Stored):
            def head(self) -> Head:
                raise StoreCorrupt("it is gone")

        examination = examine(Headless(stored.records, stored.stands))
        assert examination.complaint == (
            "record 12: it is the newest, but the head cannot be read (it is gone)"
        )
        assert examination.state == stored.stands.state

    def test_a_state_that_is_not_the_fold_names_the_fields(self, stored: Stored) -> None:
        stored.stands = replace(
            stored.stands, state=replace(stored.stands.state, equity=7, loss_streak=1)
        )
        assert examine(stored).differences == (
            "equity is 7, by the events -6000000",
            "loss_streak is 1, by the events 6",
        )
        assert complaint(stored) == (
            "the stored state is not what the events add up to: equity is 7, by the events -6000000"
        )

    def test_what_is_appended_while_it_is_examined_is_examined_too(self) -> None:
        class Busy(MemoryLedger):
            def scan(self, *, after: int = 0, limit: int = 1000) -> list[Record]:
                records = super().scan(after=after, limit=limit)
                if self.head().sequence < 40:
                    fill_one(self)
                return records

        def fill_one(ledger: MemoryLedger) -> None:
            number = ledger.head().sequence
            ledger.append([result(f"r{number}")], expected=ledger.head().state.sequence)

        ledger = Busy()
        fill_one(ledger)
        examination = examine(ledger)
        assert (examination.complaint, examination.newest) == ("", 40)


class TestNewestOnly:
    @pytest.mark.parametrize("newest", [1, 5, 10, 11, 12, 50])
    def test_the_newest_records_of_an_intact_ledger_pass(self, stored: Stored, newest: int) -> None:
        examination = examine(stored, newest=newest)
        assert examination.is_intact
        assert examination.newest == EVENTS
        assert (examination.state is None) == (newest < EVENTS - 1)

    def test_a_flaw_among_them_is_found_and_one_before_them_is_not(self, stored: Stored) -> None:
        stored.records[3] = stored.records[3]._replace(hash="f" * 64)
        assert examine(stored, newest=5).is_intact
        assert str(examine(stored, newest=8).flaw).startswith("record 5: its hash does not fit")
        assert str(examine(stored).flaw).startswith("record 4: its hash does not fit")

    def test_the_record_at_which_the_chain_is_picked_up_must_be_there(self, stored: Stored) -> None:
        del stored.records[5]
        assert str(examine(stored, newest=6).flaw) == (
            "record 6: it is missing; record 7 comes next"
        )


@pytest.mark.parametrize("kind", EventKind)
def test_whether_an_event_changes_the_state_depends_on_nothing_that_is_not_looked_at(
    kind: EventKind,
) -> None:
    asked: list[object] = []

    class Payload(dict[str, Any]):
        def get(self, key: object, default: object = None) -> object:
            asked.append(key)
            return default

        def __getitem__(self, key: object) -> object:
            asked.append(key)
            return None

        def __contains__(self, key: object) -> bool:
            asked.append(key)
            return False

    changes_state(kind, Payload())
    assert set(asked) <= {GLIMPSED}


def test_progress_adds_up_to_all_records() -> None:
    ledger = MemoryLedger()
    fill(ledger, 2345)
    told: list[int] = []
    examine(ledger, progress=told.append)
    assert (sum(told), max(told)) == (2345, 1000)


def test_refolding_damaged_records_is_refused(stored: Stored) -> None:
    del stored.records[6]
    with pytest.raises(StoreCorrupt, match="record 7: it is missing"):
        refold(stored.records)


def test_a_damaged_ledger_is_refused_with_one_line_that_says_what_to_do(stored: Stored) -> None:
    assert refuse_damaged(stored).events == EVENTS
    del stored.records[6]
    with pytest.raises(StoreCorrupt) as refusal:
        refuse_damaged(stored)
    assert str(refusal.value) == (
        "the stored ledger is damaged: record 7: it is missing; record 8 comes next; `usdcop "
        "ledger verify` tells more, `usdcop ledger rebuild --out NEW` copies what is good into a "
        "new file; nothing was changed"
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of some twenty pages, closed."""
    path = tmp_path / "state.db"
    ledger = SqliteLedger(path)
    fill(ledger, EVENTS, text="x" * 3000)
    ledger.close()
    return path


def change(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


def refusal_of(path: Path) -> str:
    """What a start says of a file that it must not accept, nor change."""
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt) as refusal:
        refuse_damaged_file(path)
    assert path.read_bytes() == before
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


class TestFile:
    def test_an_intact_file_passes(self, path: Path) -> None:
        examination = refuse_damaged_file(path)
        assert examination is not None
        assert examination.events == EVENTS

    def test_no_file_and_an_empty_one_are_no_damage(self, tmp_path: Path) -> None:
        assert refuse_damaged_file(tmp_path / "none.db") is None
        (tmp_path / "empty.db").touch()
        assert refuse_damaged_file(tmp_path / "empty.db") is None

    def test_a_file_in_which_nothing_was_made_yet_is_no_damage(self, tmp_path: Path) -> None:
        change(tmp_path / "s.db", "PRAGMA journal_mode = WAL")
        assert (tmp_path / "s.db").stat().st_size > 0
        assert refuse_damaged_file(tmp_path / "s.db") is None

    def test_an_altered_record_is_refused_by_its_number_with_the_commands(self, path: Path) -> None:
        altered = "CAST(replace(CAST(body AS TEXT), 'tester', 'nobody') AS BLOB)"
        change(path, f"UPDATE event SET body = {altered} WHERE sequence = 5")
        refusal = refusal_of(path)
        assert "record 5: its hash does not fit" in refusal
        assert "`usdcop ledger verify`" in refusal
        assert "`usdcop ledger rebuild --out NEW`" in refusal

    def test_a_missing_record_is_refused_by_its_number(self, path: Path) -> None:
        change(path, "DELETE FROM event WHERE sequence = 7")
        assert "record 7: it is missing" in refusal_of(path)

    def test_missing_newest_records_are_refused_by_number(self, path: Path) -> None:
        change(path, "DELETE FROM event WHERE sequence > 10")
        assert "record 11: it is missing" in refusal_of(path)

    def test_a_state_that_was_altered_is_refused(self, path: Path) -> None:
        change(path, """UPDATE head SET state = replace(state, '"equity": -6', '"equity": -5')""")
        assert "equity is -5000000, by the events -6000000" in refusal_of(path)

    def test_a_state_that_cannot_be_read_is_refused(self, path: Path) -> None:
        change(path, "UPDATE head SET state = '{}'")
        assert "the head cannot be read (the stored state cannot be read" in refusal_of(path)

    def test_a_head_that_is_gone_is_refused(self, path: Path) -> None:
        change(path, "DELETE FROM head")
        assert "the head cannot be read (it is gone)" in refusal_of(path)

    def test_another_version_is_refused(self, path: Path) -> None:
        change(path, "PRAGMA user_version = 9")
        assert "no ledger of version 2 (it says 9)" in refusal_of(path)

    def test_an_index_that_has_lost_an_entry_is_refused(self, path: Path) -> None:
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute("DELETE FROM sqlite_schema WHERE name = 'event_kind'")
            connection.execute("DELETE FROM event WHERE sequence = 12")
        connection.close()
        assert "is damaged" in refusal_of(path)

    @pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
    def test_a_truncated_file_is_refused_at_the_first_record_that_is_gone(
        self, path: Path, kept: float
    ) -> None:
        ledger = SqliteLedger(path)
        for number in range(60):
            ledger.append([decision(f"more {number}", text="x" * 3000)])
        ledger.close()
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * kept)])
        with SqliteReader(path) as reader:
            readable = examine(reader).events
        assert 0 < readable < EVENTS + 60
        assert f"record {readable + 1}: " in refusal_of(path)
        with pytest.raises(StoreCorrupt, match="usdcop ledger verify"):
            SqliteLedger(path)

    def test_a_file_cut_within_its_first_page_is_refused(self, path: Path) -> None:
        path.write_bytes(path.read_bytes()[:1000])
        assert "damaged" in refusal_of(path)

    def test_something_else_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "s.db").write_bytes(b"no database at all, but long enough" * 100)
        assert "file is not a database" in refusal_of(tmp_path / "s.db")

    def test_wherever_a_byte_is_altered_it_is_found_or_without_meaning(self, path: Path) -> None:
        with closing(SqliteLedger(path)) as ledger:  # so that the pages of records outnumber others
            for number in range(28):
                ledger.append([decision(f"more {number}", text="x" * 3000)])
        content = path.read_bytes()
        with SqliteReader(path) as reader:
            records, head = reader.scan(), reader.head()
        choose = random.Random(20260302)
        found = 0
        for _ in range(400):
            damaged = bytearray(content)
            damaged[choose.randrange(len(content))] ^= choose.randrange(1, 256)
            path.write_bytes(damaged)
            try:
                refuse_damaged_file(path)
            except StoreCorrupt as error:
                found += len(str(error).splitlines())
            else:
                with SqliteReader(path) as reader:
                    assert (reader.scan(), reader.head()) == (records, head)
        assert 200 < found <= 400

    def test_a_file_that_is_in_use_can_be_examined(self, path: Path) -> None:
        ledger = SqliteLedger(path)
        ledger.append([decision("more")])
        examination = refuse_damaged_file(path)
        assert examination is not None
        assert examination.newest == EVENTS + 1
        ledger.close()

    def test_a_file_whose_service_was_killed_is_read_with_its_log(
        self, path: Path, tmp_path: Path
    ) -> None:
        ledger = SqliteLedger(path)
        ledger.append([decision("more")])
        killed = tmp_path / "killed"
        killed.mkdir()
        for file in tmp_path.glob("state.db*"):
            shutil.copy(file, killed)
        ledger.close()
        examination = refuse_damaged_file(killed / "state.db")
        assert examination is not None
        assert examination.newest == EVENTS + 1

    def test_a_running_ledger_names_the_record_that_it_cannot_read(self, path: Path) -> None:
        change(path, "UPDATE event SET kind = 'divination' WHERE sequence = 3")
        ledger = SqliteLedger(path)
        with pytest.raises(StoreCorrupt, match="record 3: its kind 'divination' is not known"):
            ledger.by_id("d2")
        ledger.close()

    def test_a_folder_where_nothing_can_be_written_can_be_read(self, path: Path) -> None:
        path.chmod(0o444)
        path.parent.chmod(0o555)
        try:
            with SqliteReader(path) as reader:
                assert examine(reader).is_intact
        finally:
            path.parent.chmod(0o755)


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    copy = tmp_path / "new" / "copy.db"
    yield copy
    left = [] if not copy.parent.exists() else [file.name for file in copy.parent.iterdir()]
    assert [name for name in left if "partial" in name] == []


class TestCopy:
    def test_a_copy_of_an_intact_file_is_the_same_ledger(self, path: Path, copy: Path) -> None:
        original = SqliteLedger(path)
        copied = copy_good(original, copy)
        assert copied.flaw is None
        again = SqliteLedger(copy)
        assert again.head() == original.head() == copied.head
        assert again.scan() == original.scan()
        assert again.by_key("trade:5") == original.by_key("trade:5")
        again.append([decision("next")])
        original.close()
        again.close()
        assert refuse_damaged_file(copy) is not None

    def test_a_ledger_in_memory_becomes_a_file(self, stored: Stored, copy: Path) -> None:
        told: list[int] = []
        assert copy_good(stored, copy, progress=told.append).head == stored.stands
        assert sum(told) == EVENTS

    def test_a_copy_of_a_damaged_file_ends_before_the_first_flaw(
        self, path: Path, copy: Path
    ) -> None:
        change(path, "UPDATE event SET hash = 'f' WHERE sequence = 8")
        before = path.read_bytes()
        with SqliteReader(path) as reader:
            copied = copy_good(reader, copy)
            kept = reader.scan(limit=7)
        assert copied.flaw is not None
        assert (copied.head.sequence, copied.flaw.sequence) == (7, 8)
        assert path.read_bytes() == before
        with SqliteReader(copy) as reader:
            assert examine(reader).is_intact
            assert reader.scan() == kept

    def test_what_is_left_of_a_truncated_file_is_saved(self, path: Path, copy: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * 0.6)])
        with SqliteReader(path) as reader:
            copied = copy_good(reader, copy)
        assert 0 < copied.head.sequence < EVENTS
        examination = refuse_damaged_file(copy)
        assert examination is not None
        assert examination.events == copied.head.sequence

    def test_a_file_without_a_head_gets_it_back(self, path: Path, copy: Path) -> None:
        ledger = SqliteLedger(path)
        head = ledger.head()
        ledger.close()
        change(path, "DELETE FROM head")
        with SqliteReader(path) as reader:
            assert copy_good(reader, copy).head == head

    def test_a_second_record_with_the_same_key_ends_the_copy(
        self, stored: Stored, copy: Path
    ) -> None:
        ledger = MemoryLedger()
        fill(ledger, 4)
        records = ledger.scan()
        twice = Draft(EventKind.DECISION, "d2", AT, AT.date(), "x", {})
        event = stamp(twice, sequence=5, previous_hash=records[-1].hash)
        records.append(Record(5, "decision", "d2", None, event.hash, event.body))
        copied = copy_good(Stored(records, ledger.head()), copy)
        assert str(copied.flaw) == "record 5: its id or key is that of an earlier one"
        assert copied.head == ledger.head()

    @pytest.mark.parametrize("name", ["copy.db", "copy.db-wal", "copy.db.partial"])
    def test_nothing_that_exists_is_overwritten(
        self, stored: Stored, tmp_path: Path, name: str
    ) -> None:
        (tmp_path / name).write_text("precious")
        with pytest.raises(StoreUnavailable, match="overwrites nothing"):
            copy_good(stored, tmp_path / "copy.db")
        assert [file.read_text() for file in tmp_path.iterdir()] == ["precious"]

    def test_a_copy_that_fails_leaves_nothing_behind(self, stored: Stored, copy: Path) -> None:
        class Leaving(Stored):
            def scan(self, *, after: int = 0, limit: int = 1000) -> list[Record]:
                if after > 3:
                    raise StoreUnavailable("gone")
                return super().scan(after=after, limit=2)

        with pytest.raises(StoreUnavailable, match="gone"):
            copy_good(Leaving(stored.records, stored.stands), copy)
        assert list(copy.parent.iterdir()) == []


def test_records_are_paged_through_whatever_the_page(stored: Stored) -> None:
    for page in (1, 5, EVENTS, 1000):
        assert list(records_of(stored, page=page)) == stored.records
    assert list(records_of(stored, after=9)) == stored.records[9:]
