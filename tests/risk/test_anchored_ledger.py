"""Whether a ledger that went backwards is found out, and only then."""

import errno
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from errors import LedgerRegressed, StateMoved, StoreCorrupt, StoreUnavailable
from risk.events import GENESIS, Draft, Event, EventKind
from risk.ledger.anchor_file import AnchorFile
from risk.ledger.anchored import Acknowledged, AcknowledgedMemory, AnchoredLedger, AnchorInMemory
from risk.ledger.memory import MemoryLedger
from risk.ledger.protocol import Head, Ledger, Record
from risk.ledger.sqlite import SqliteLedger
from risk.operator import halt_regressed
from risk.state import OperatorMode
from risk.verdict import RiskStatus
from tests.book import Book
from tests.risk.anchoring import anchor_of, anchored_ledger
from tests.risk.test_ledger_contract import AT, decision, result


def grow(ledger: Ledger, events: int, name: str = "d") -> None:
    for _ in range(events):
        ledger.append([decision(f"{name}{ledger.head().sequence}")])


def reconcile(ledger: Ledger, remembered: int, name: str = "accepted") -> None:
    """What `usdcop ledger reconcile` puts on record."""
    head = ledger.head()
    payload = {
        "remembered_sequence": remembered,
        "remembered_hash": "f" * 64,
        "found_sequence": head.sequence,
        "reason": "the backup of Monday",
    }
    draft = Draft(EventKind.RECONCILED, name, AT, AT.date(), "a person", payload)
    ledger.append([draft], expected=head.state.sequence, durable=True)


class CountingLedger(MemoryLedger):
    """Counts how often it is asked, and can be put back to an earlier state of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def head(self) -> Head:
        self.asked.append("head")
        return super().head()

    def recent(
        self, kinds: Sequence[EventKind], *, limit: int, before: int | None = None
    ) -> list[Event]:
        self.asked.append("recent")
        return super().recent(kinds, limit=limit, before=before)

    def scan(self, *, after: int = 0, limit: int = 1000) -> list[Record]:
        self.asked.append("scan")
        return super().scan(after=after, limit=limit)


class Switch:
    """A ledger behind which the store is exchanged, as by a failover."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def __getattr__(self, name: str) -> object:
        return getattr(self.ledger, name)


def memory_ledger(events: int, name: str = "d") -> MemoryLedger:
    ledger = MemoryLedger()
    grow(ledger, events, name)
    return ledger


class TestRegression:
    """Each store is a memory ledger; `Switch` exchanges it for the one it has become."""

    @pytest.fixture
    def memory(self) -> AnchorInMemory:
        return AnchorInMemory()

    @pytest.fixture
    def store(self) -> Switch:
        return Switch(memory_ledger(5))

    @pytest.fixture
    def anchored(self, store: Switch, memory: AnchorInMemory) -> AnchoredLedger:
        anchored = AnchoredLedger(store, memory)  # type: ignore[arg-type]
        anchored.head()
        return anchored

    @pytest.mark.parametrize(
        ("becomes", "found"),
        [
            (lambda: memory_ledger(3), r"it ends at 3 \("),
            (MemoryLedger, r"it ends at 0 \(0000"),
            (lambda: memory_ledger(5, "other"), "another record stands in its place"),
            (lambda: memory_ledger(9, "other"), "another record stands in its place"),
        ],
        ids=["fewer", "none", "other", "other and more"],
    )
    def test_a_store_that_lost_what_it_acknowledged_is_refused(
        self,
        anchored: AnchoredLedger,
        store: Switch,
        becomes: Callable[[], MemoryLedger],
        found: str,
    ) -> None:
        store.ledger = becomes()
        with pytest.raises(LedgerRegressed, match=rf"sequence 5 .* was acknowledged, but {found}"):
            anchored.head()
        with pytest.raises(LedgerRegressed, match="stays halted until a person resumes"):
            anchored.append([decision("on top of it")])
        assert "usdcop ledger reconcile --reason" in str(anchored.trouble)

    def test_what_was_refused_is_not_acknowledged(
        self, anchored: AnchoredLedger, store: Switch, memory: AnchorInMemory
    ) -> None:
        before = memory.read()
        store.ledger = memory_ledger(9, "other")
        with pytest.raises(LedgerRegressed):
            anchored.append([decision("on top of it")])
        assert memory.read() == before

    def test_a_store_that_comes_back_whole_is_used_again(
        self, anchored: AnchoredLedger, store: Switch
    ) -> None:
        whole, store.ledger = store.ledger, memory_ledger(3)
        with pytest.raises(LedgerRegressed):
            anchored.head()
        store.ledger = whole
        assert anchored.head().sequence == 5
        assert anchored.trouble is None

    def test_what_others_appended_is_no_regression(
        self, anchored: AnchoredLedger, store: Switch, memory: AnchorInMemory
    ) -> None:
        grow(store.ledger, 3)
        assert anchored.head().sequence == 8
        grow(store.ledger, 3)
        anchored.append([decision("own")])
        remembered = memory.read()
        assert remembered is not None
        assert remembered.sequence == 12

    def test_an_append_that_is_refused_for_another_reason_changes_nothing(
        self, anchored: AnchoredLedger, memory: AnchorInMemory
    ) -> None:
        before = memory.read()
        with pytest.raises(StateMoved):
            anchored.append([result("late")], expected=3)
        assert memory.read() == before
        assert anchored.trouble is None

    def test_an_accepted_loss_is_forgiven(self, anchored: AnchoredLedger, store: Switch) -> None:
        store.ledger = memory_ledger(3)
        with pytest.raises(LedgerRegressed):
            anchored.head()
        reconcile(store.ledger, remembered=5)
        head = anchored.head()
        assert head.sequence == 4
        assert head.state.operator.mode is OperatorMode.HALTED
        assert anchored.trouble is None
        anchored.append([decision("goes on")])

    def test_a_loss_is_forgiven_also_when_the_store_has_grown_beyond_it(
        self, anchored: AnchoredLedger, store: Switch
    ) -> None:
        store.ledger = memory_ledger(3, "other")
        reconcile(store.ledger, remembered=5)
        grow(store.ledger, 6, "more")
        assert anchored.append([decision("goes on")])[0].sequence == 11

    def test_more_than_what_was_accepted_is_not_forgiven(
        self, anchored: AnchoredLedger, store: Switch
    ) -> None:
        store.ledger = memory_ledger(3)
        reconcile(store.ledger, remembered=4)
        with pytest.raises(LedgerRegressed):
            anchored.head()

    def test_the_largest_of_several_new_acceptances_counts(
        self, anchored: AnchoredLedger, store: Switch
    ) -> None:
        store.ledger = memory_ledger(2)
        reconcile(store.ledger, remembered=5, name="of this host")
        reconcile(store.ledger, remembered=4, name="of another host")
        assert anchored.head().sequence == 4

    def test_one_acceptance_forgives_one_loss(
        self, anchored: AnchoredLedger, store: Switch
    ) -> None:
        store.ledger = memory_ledger(1)
        reconcile(store.ledger, remembered=5)
        anchored.head()
        after_acceptance = list(store.ledger.scan())
        grow(anchored, 2)  # sequence 4, which the acceptance of 5 would cover
        store.ledger = memory_ledger(1)
        reconcile(store.ledger, remembered=5)
        assert store.ledger.scan() == after_acceptance
        with pytest.raises(LedgerRegressed, match="sequence 4"):
            anchored.head()

    def test_an_acceptance_that_others_made_and_this_service_saw_forgives_nothing_later(
        self, store: Switch
    ) -> None:
        store.ledger = memory_ledger(1)
        late = AnchoredLedger(store, AnchorInMemory())  # type: ignore[arg-type]
        late.head()
        reconcile(store.ledger, remembered=5)
        late.head()
        grow(late, 2)
        store.ledger = memory_ledger(1)
        reconcile(store.ledger, remembered=5)
        with pytest.raises(LedgerRegressed, match="sequence 4"):
            late.head()


class TestCost:
    def test_an_undisturbed_service_asks_the_store_no_more_than_without(self) -> None:
        store = CountingLedger()
        anchored = AnchoredLedger(store, AnchorInMemory())
        anchored.append([decision("first")])
        store.asked.clear()
        grow(anchored, 5)
        assert store.asked == ["head"] * 5  # `grow` asks once

    def test_threads_that_find_each_others_events_need_not_look_further(self) -> None:
        store, memory = CountingLedger(), AnchorInMemory()
        one, other = AnchoredLedger(store, memory), AnchoredLedger(store, memory)
        one.append([decision("first")])
        other.head()
        store.asked.clear()
        one.append([decision("second")])
        other.head()
        other.append([decision("third")])
        one.append([decision("fourth")])
        assert store.asked == ["head"]


class Failing(AnchorInMemory):
    """A memory of which the disk is full."""

    fails = True

    def write(self, acknowledged: Acknowledged) -> None:
        if self.fails:
            raise StoreUnavailable("the disk is full")
        super().write(acknowledged)


class TestMemoryFails:
    def test_what_is_stored_is_acknowledged_but_the_trouble_is_told(self) -> None:
        memory = Failing()
        anchored = AnchoredLedger(memory_ledger(2), memory)
        assert anchored.append([decision("a")])[0].sequence == 3
        assert "full" in str(anchored.trouble)
        anchored.head()
        assert "full" in str(anchored.trouble)
        memory.fails = False
        anchored.head()
        assert anchored.trouble is None
        assert memory.read() == (3, anchored.head().hash, 0, "")

    def test_this_process_still_finds_out_a_regression(self) -> None:
        store = Switch(memory_ledger(5))
        anchored = AnchoredLedger(store, Failing())  # type: ignore[arg-type]
        anchored.head()
        store.ledger = memory_ledger(3)
        with pytest.raises(LedgerRegressed):
            anchored.head()

    def test_a_memory_that_cannot_be_read_stops_everything(self) -> None:
        class Damaged(AnchorInMemory):
            def read(self) -> Acknowledged | None:
                raise StoreCorrupt("the anchor is damaged")

        ledger = memory_ledger(5)
        anchored = AnchoredLedger(ledger, Damaged())
        with pytest.raises(StoreCorrupt, match="anchor"):
            anchored.head()
        with pytest.raises(StoreCorrupt, match="anchor"):
            anchored.append([decision("a")])
        assert ledger.head().sequence == 5
        assert anchored.trouble == "the anchor is damaged"


class TestFiles:
    """A service starts, is stopped, and its file is changed meanwhile."""

    def run(self, folder: Path, events: int, name: str = "d") -> None:
        ledger = anchored_ledger(folder)
        grow(ledger, events, name)
        ledger.close()

    def test_a_restored_older_copy_is_refused(self, tmp_path: Path) -> None:
        self.run(tmp_path, 3)
        shutil.copy(tmp_path / "state.db", tmp_path / "backup")
        self.run(tmp_path, 3)
        shutil.copy(tmp_path / "backup", tmp_path / "state.db")
        ledger = anchored_ledger(tmp_path)
        with pytest.raises(LedgerRegressed, match=r"sequence 6 .* it ends at 3"):
            ledger.head()
        ledger.close()

    def test_a_restored_copy_that_has_grown_beyond_it_is_refused(self, tmp_path: Path) -> None:
        self.run(tmp_path, 3)
        shutil.copy(tmp_path / "state.db", tmp_path / "backup")
        self.run(tmp_path, 3)
        shutil.copy(tmp_path / "backup", tmp_path / "state.db")
        other = SqliteLedger(tmp_path / "state.db")
        grow(other, 10, "by a service that remembers nothing ")
        other.close()
        ledger = anchored_ledger(tmp_path)
        with pytest.raises(LedgerRegressed, match=r"sequence 6 .* another record"):
            ledger.head()
        ledger.close()

    def test_a_deleted_file_that_comes_back_empty_is_refused(self, tmp_path: Path) -> None:
        self.run(tmp_path, 3)
        (tmp_path / "state.db").unlink()
        ledger = anchored_ledger(tmp_path)
        with pytest.raises(LedgerRegressed, match="it ends at 0"):
            ledger.head()
        ledger.close()

    def test_an_accepted_loss_stays_accepted_across_restarts(self, tmp_path: Path) -> None:
        self.run(tmp_path, 6)
        (tmp_path / "state.db").unlink()
        bare = SqliteLedger(tmp_path / "state.db")
        grow(bare, 1)
        reconcile(bare, remembered=6)
        bare.close()
        self.run(tmp_path, 1)
        assert anchor_of(tmp_path).read() == self.place(tmp_path, losses=1)
        self.run(tmp_path, 10)
        assert anchor_of(tmp_path).read() == self.place(tmp_path, losses=1)

    def place(self, folder: Path, losses: int) -> Acknowledged:
        bare = SqliteLedger(folder / "state.db")
        (accepted,) = bare.recent([EventKind.RECONCILED], limit=1)
        head = bare.head()
        bare.close()
        return Acknowledged(head.sequence, head.hash, losses, accepted.hash)

    def test_a_second_host_that_remembers_more_than_was_accepted_stays_refused(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "state.db"

        def host(name: str) -> AnchoredLedger:
            return AnchoredLedger(SqliteLedger(path), AnchorFile(tmp_path / name, "the store"))

        first, second = host("first"), host("second")
        grow(first, 3)
        grow(second, 2)
        first.close()
        second.close()
        path.unlink()
        bare = SqliteLedger(path)
        reconcile(bare, remembered=3)
        bare.close()
        first, second = host("first"), host("second")
        assert first.head().sequence == 1
        with pytest.raises(LedgerRegressed, match="sequence 5"):
            second.head()
        grow(first, 20)
        with pytest.raises(LedgerRegressed, match="sequence 5"):
            second.head()
        first.close()
        second.close()

    def test_another_store_in_the_same_folder_is_not_confused_with_it(self, tmp_path: Path) -> None:
        for store, events in (("one", 5), ("other", 2)):
            ledger = AnchoredLedger(memory_ledger(events), AnchorFile(tmp_path, store))
            assert ledger.head().sequence == events
        assert len(list(tmp_path.iterdir())) == 2

    def test_an_acknowledgement_survives_kill_9(self, tmp_path: Path) -> None:
        program = textwrap.dedent(
            """
            import sys
            from pathlib import Path
            from tests.risk.anchoring import anchored_ledger
            from tests.risk.test_ledger_contract import decision
            ledger = anchored_ledger(Path(sys.argv[1]))
            for number in range(10**9):
                print(ledger.append([decision(f"d{number}")])[0].sequence, flush=True)
            """
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(50)]
        os.kill(process.pid, signal.SIGKILL)
        told += process.stdout.read().split("\n")[:-1]
        process.stdout.close()
        process.wait(10)
        remembered = anchor_of(tmp_path).read()
        assert remembered is not None
        assert remembered.sequence in (int(told[-1]), int(told[-1]) + 1)


class TestAnchorFile:
    @pytest.fixture
    def anchor(self, tmp_path: Path) -> AnchorFile:
        anchor = AnchorFile(tmp_path / "anchors", "store")
        for sequence in range(1, 6):
            anchor.write(self.place(sequence))
        return anchor

    def place(self, sequence: int, losses: int = 0) -> Acknowledged:
        return Acknowledged(sequence, f"{sequence:064x}", losses)

    def again(self, anchor: AnchorFile) -> AnchorFile:
        return AnchorFile(anchor.path.parent, "store")

    def test_nothing_is_remembered_before_the_first_acknowledgement(self, tmp_path: Path) -> None:
        assert AnchorFile(tmp_path / "none", "store").read() is None
        assert list(tmp_path.iterdir()) == []

    def test_the_newest_is_remembered_by_who_opens_it_next(self, anchor: AnchorFile) -> None:
        assert anchor.read() == self.again(anchor).read() == self.place(5)
        anchor.write(Acknowledged(6, "a" * 64, 2, "b" * 64))
        assert self.again(anchor).read() == (6, "a" * 64, 2, "b" * 64)

    def test_a_lower_one_is_not_taken_unless_a_loss_was_accepted(self, anchor: AnchorFile) -> None:
        anchor.write(self.place(3))
        assert anchor.read() == self.place(5)
        anchor.write(self.place(2, losses=1))
        anchor.write(self.place(9))
        assert self.again(anchor).read() == self.place(2, losses=1)

    @pytest.mark.parametrize("slot", [0, 1])
    @pytest.mark.parametrize("torn", [b"", b"\0" * 300, b"usdcop-anchor-1 half a li"])
    def test_a_torn_write_loses_one_slot_at_most(
        self, anchor: AnchorFile, slot: int, torn: bytes
    ) -> None:
        image = bytearray(anchor.path.read_bytes())
        image[slot * 512 : slot * 512 + len(torn)] = torn
        image[slot * 512 + 150] ^= 1  # within the checksum
        anchor.path.write_bytes(image)
        remembered = self.again(anchor).read()
        assert remembered in (self.place(4), self.place(5))
        self.again(anchor).write(self.place(6))
        assert anchor.read() == self.place(6)

    @pytest.mark.parametrize("content", [b"\0" * 1024, b"rubbish", b" " * 1024, b"\xff" * 4096])
    def test_a_damaged_file_is_refused_and_left_alone(
        self, anchor: AnchorFile, content: bytes
    ) -> None:
        anchor.path.write_bytes(content)
        for act in (anchor.read, lambda: anchor.write(self.place(6)), self.again(anchor).read):
            with pytest.raises(StoreCorrupt, match=r"\.anchor is damaged.*usdcop ledger verify"):
                act()
        assert anchor.path.read_bytes() == content

    def test_the_file_of_another_store_is_refused(self, anchor: AnchorFile) -> None:
        other = AnchorFile(anchor.path.parent, "other store")
        anchor.path.rename(other.path)
        with pytest.raises(StoreCorrupt, match="belongs to another store"):
            other.read()

    def test_an_empty_file_is_one_that_was_never_written(self, anchor: AnchorFile) -> None:
        anchor.path.write_bytes(b"")
        assert self.again(anchor).read() is None
        anchor.write(self.place(1))
        assert self.again(anchor).read() == self.place(1)

    def test_a_file_that_was_deleted_is_made_again(self, anchor: AnchorFile) -> None:
        anchor.path.unlink()
        anchor.write(self.place(6))
        assert self.again(anchor).read() == self.place(6)

    def test_a_file_that_cannot_be_opened_is_unavailable(self, tmp_path: Path) -> None:
        anchor = AnchorFile(tmp_path, "store")
        anchor.path.mkdir()
        with pytest.raises(StoreUnavailable, match=r"acknowledged, cannot be read: Is a dir"):
            anchor.read()
        with pytest.raises(StoreUnavailable, match=r"acknowledged, cannot be written: Is a dir"):
            anchor.write(self.place(1))

    def test_a_full_disk_is_unavailable(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        anchor = AnchorFile(tmp_path, "store")
        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(StoreUnavailable, match="No space left"):
            anchor.write(self.place(1))
        anchored = AnchoredLedger(memory_ledger(1), anchor)
        assert anchored.append([decision("a")])[0].sequence == 2
        assert "No space left" in str(anchored.trouble)

    def test_closing_twice_is_harmless_and_it_opens_again(self, anchor: AnchorFile) -> None:
        anchor.close()
        anchor.close()
        assert anchor.read() == self.place(5)
        anchor.close()


def _hammer(folder: str, worker: int, appends: int, host: str) -> None:
    """Several threads of one process read and append; any false alarm ends it with an error."""
    path = Path(folder)
    ledger = AnchoredLedger(
        SqliteLedger(path / "state.db", busy_timeout_ms=30_000), AnchorFile(path / host, "store")
    )

    def act(thread: int) -> None:
        for number in range(appends):
            ledger.head()
            name = f"{worker}-{thread}-{number}"
            ledger.append([decision(name), decision(f"{name} again")])

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(act, range(3)))
    trouble = ledger.trouble
    ledger.close()
    if trouble:
        raise SystemExit(trouble)


@pytest.mark.parametrize("hosts", [("one", "one"), ("one", "other")], ids=["one", "two"])
def test_processes_and_threads_on_a_host_or_two_raise_no_false_alarm(
    tmp_path: Path, hosts: tuple[str, str]
) -> None:
    SqliteLedger(tmp_path / "state.db").close()
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_hammer, args=(str(tmp_path), number, 100, host))
        for number, host in enumerate(hosts)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    ledger = SqliteLedger(tmp_path / "state.db")
    head = ledger.head()
    ledger.close()
    assert head.sequence == 2 * 3 * 100 * 2
    remembered = [AnchorFile(tmp_path / host, "store").read() for host in hosts]
    assert (head.sequence, head.hash, 0, "") in remembered


def test_threads_of_one_process_raise_no_false_alarm() -> None:
    store, memory = MemoryLedger(), AnchorInMemory()
    shared = AnchoredLedger(store, memory)
    ledgers = [shared, shared, AnchoredLedger(store, memory), AnchoredLedger(store, memory)]

    def act(ledger: AnchoredLedger, name: str) -> None:
        for number in range(500):
            ledger.append([decision(f"{name}-{number}")])
            ledger.head()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(act, ledgers, "abcd"))
    assert memory.read() == (2000, store.head().hash, 0, "")


def test_a_memory_in_memory_takes_the_higher_of_two() -> None:
    memory: AcknowledgedMemory = AnchorInMemory()
    assert memory.read() is None
    memory.write(Acknowledged(3, "c"))
    memory.write(Acknowledged(2, "b"))
    assert memory.read() == Acknowledged(3, "c")
    memory.write(Acknowledged(0, GENESIS, losses=1))
    assert memory.read() == (0, GENESIS, 1, "")
    memory.close()


def test_the_book_is_halted_on_a_store_that_went_backwards_for_those_who_do_not_know() -> None:
    memory, before = AnchorInMemory(), MemoryLedger()
    Book(AnchoredLedger(before, memory)).result(-0.01)
    restored = MemoryLedger()
    knowing = AnchoredLedger(
        restored,
        memory,
        lambda inner, complaint: halt_regressed(
            complaint, Book(inner, prefix="halt").act("ledger")
        ),
    )
    for _ in range(2):
        with pytest.raises(LedgerRegressed):
            knowing.head()
    newcomer = Book(AnchoredLedger(restored, AnchorInMemory()))
    assert newcomer.ask().status is RiskStatus.TRADING_HALTED
    assert newcomer.state.operator.actor == "ledger"
    assert "LEDGER_REGRESSED" in newcomer.state.operator.reason
    assert restored.head().sequence == 1
