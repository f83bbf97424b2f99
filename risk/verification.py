"""Whether a ledger still is what was written: the first altered, missing or reordered record.

The events are folded in the same pass, so that the state that stands beside them is checked too.

What it finds: any change to a record that was not followed by new hashes for all later ones.
Who writes a whole new chain and a new head is found out by what services remember of the old
one (`risk.ledger.anchored`).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from errors import StoreCorrupt
from risk.events import GENESIS
from risk.fold import fold
from risk.ledger.protocol import EMPTY, Head, Record
from risk.records import event_in
from risk.state import RiskState

__all__ = [
    "NEWEST",
    "REMEDY",
    "Examination",
    "Examiner",
    "Flaw",
    "Readable",
    "examine",
    "records_of",
    "refold",
    "refuse_damaged",
]

NEWEST = 50_000
"""How many of the newest records are examined at a start. `usdcop ledger verify` reads all."""

REMEDY = (
    "`usdcop ledger verify` tells more, `usdcop ledger rebuild --out NEW` copies what is good "
    "into a new file; nothing was changed"
)
"""What a person can do about a damaged ledger."""

Progress = Callable[[int], object]

_PAGE = 1000
_SHOWN = 60
_UNFOLDABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class Readable(Protocol):
    """What is examined: any ledger, or what is left of one."""

    @property
    def name(self) -> str:
        """Which kind of store this is."""
        ...

    def head(self) -> Head:
        """The newest sequence, its hash, and the state."""
        ...

    def scan(self, *, after: int = 0, limit: int = 1000) -> list[Record]:
        """Records as stored, oldest first; an empty list is the end."""
        ...


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong, and where.

    Attributes:
        sequence: of the first record that is not as it was written.
        what: in plain words.
    """

    sequence: int
    what: str

    def __str__(self) -> str:
        return f"record {self.sequence}: {self.what}"


@dataclass(frozen=True, slots=True)
class Examination:
    """What an examination found.

    Attributes:
        events: how many records are as they were written, before the first flaw.
        newest: sequence of the last of them.
        state: the fold of them; None when only the newest records were examined.
        flaw: the first thing that is wrong with the records or with the head; None if nothing.
        differences: where the stored state is not the fold of the events, one line per field.
    """

    events: int
    newest: int
    state: RiskState | None
    flaw: Flaw | None
    differences: tuple[str, ...]

    @property
    def is_intact(self) -> bool:
        """Whether nothing is wrong."""
        return self.flaw is None and not self.differences

    @property
    def complaint(self) -> str:
        """What is wrong, in one line; empty when nothing is."""
        if self.flaw is not None:
            return str(self.flaw)
        if self.differences:
            return f"the stored state is not what the events add up to: {self.differences[0]}"
        return ""


class Examiner:
    """Judges records one after the other and keeps what they add up to.

    Args:
        after: sequence before the first record. Beyond 0, that first record is where the chain
            is picked up: its predecessor and the state there are not known.

    Attributes:
        events: how many were good.
        flaw: the first flaw, once it was met.
        knows_state: whether it saw every record, from the first one on.
    """

    def __init__(self, after: int = 0) -> None:
        self.events = 0
        self.flaw: Flaw | None = None
        self.knows_state = after == 0
        self._sequence = after
        self._hash = GENESIS
        self._state = RiskState()

    @property
    def head(self) -> Head:
        """Where the good records end; the state in it is theirs only if `knows_state`."""
        return Head(self._sequence, self._hash, self._state)

    def passed(self, records: Iterable[Record]) -> Iterator[Record]:
        """The records up to the first one that is not as it was written."""
        try:
            for record in records:
                what = self._misplaced(record) or self._altered(record)
                if what is not None:
                    self.flaw = Flaw(min(record.sequence, self._sequence + 1), what)
                    return
                self.events += 1
                yield record
        except StoreCorrupt as error:
            self.flaw = Flaw(self._sequence + 1, f"it cannot be read ({_told(error)})")

    def _misplaced(self, record: Record) -> str | None:
        due = self._sequence + 1
        if record.sequence == due:
            return None
        if record.sequence > due:
            return f"it is missing; record {record.sequence} comes next"
        return f"it stands where record {due} should be"

    def _altered(self, record: Record) -> str | None:
        picked_up = self.events == 0 and not self.knows_state
        recorded = event_in(record, None if picked_up else self._hash)
        if isinstance(recorded, str):
            return recorded
        if self.knows_state and recorded.changes_state:
            try:
                self._state = fold(self._state, recorded.event)
            except _UNFOLDABLE as error:
                said = f"{type(error).__name__}: {_told(error)}"
                return f"it cannot be folded into the state ({said})"
        self._sequence, self._hash = record.sequence, record.hash
        return None


def records_of(ledger: Readable, *, after: int = 0, page: int = _PAGE) -> Iterator[Record]:
    """All records beyond sequence `after`, a page at a time."""
    while records := ledger.scan(after=after, limit=page):
        yield from records
        after = records[-1].sequence


def refold(records: Iterable[Record]) -> RiskState:
    """The state that all records of a ledger add up to.

    Raises:
        StoreCorrupt: one of them is not as it was written.
    """
    examiner = Examiner()
    for _ in examiner.passed(records):
        pass
    if examiner.flaw is not None:
        raise StoreCorrupt(str(examiner.flaw))
    return examiner.head.state


def examine(
    ledger: Readable, *, newest: int | None = None, progress: Progress | None = None
) -> Examination:
    """Walk the records in order, up to the first flaw, and hold the end against the head.

    The ledger may be in use: what is appended meanwhile is examined too.

    Args:
        ledger: to be examined; nothing is written to it.
        newest: examine so many of the newest records only; None for all. The chain is then
            picked up at the record before them, and the state is not checked.
        progress: is called now and then with the number of records examined since the last call.

    Raises:
        StoreUnavailable: the store cannot be reached now.
    """
    head = _head(ledger)
    examiner = _begun(head, newest)
    due = head.sequence if isinstance(head, Head) else -1
    at_head = EMPTY if due == 0 else None
    for record in examiner.passed(records_of(ledger, after=examiner.head.sequence)):
        if record.sequence == due:
            at_head = examiner.head
        if progress is not None and examiner.events % _PAGE == 0:
            progress(_PAGE)
    if progress is not None:
        progress(examiner.events % _PAGE)
    return _concluded(ledger, examiner, head, at_head)


def refuse_damaged(
    ledger: Readable, *, where: str | None = None, newest: int = NEWEST
) -> Examination:
    """Examine a ledger before it is trusted: wholly up to `newest` events, else its newest.

    Args:
        ledger: to be examined.
        where: it is, for the message; by default the kind of store.
        newest: how many of the newest records are examined.

    Raises:
        StoreCorrupt: it is damaged; one line that names the first bad record and says what
            can be done.
        StoreUnavailable: the store cannot be reached now.
    """
    examination = examine(ledger, newest=newest)
    if not examination.is_intact:
        where = where or f"the {ledger.name} ledger"
        raise StoreCorrupt(f"{where} is damaged: {examination.complaint}; {REMEDY}")
    return examination


def _head(ledger: Readable) -> Head | StoreCorrupt:
    try:
        return ledger.head()
    except StoreCorrupt as error:
        return error


def _begun(head: Head | StoreCorrupt, newest: int | None) -> Examiner:
    if newest is None or not isinstance(head, Head) or head.sequence <= newest:
        return Examiner()
    # One more than asked for: the record at which the chain is picked up.
    return Examiner(after=head.sequence - newest - 1)


def _concluded(
    ledger: Readable, examiner: Examiner, head: Head | StoreCorrupt, at_head: Head | None
) -> Examination:
    reached, flaw = examiner.head, examiner.flaw
    differences: tuple[str, ...] = ()
    if flaw is None:
        flaw = _flaw_of_head(ledger, reached, head, at_head)
    if flaw is None and examiner.knows_state and isinstance(head, Head) and at_head is not None:
        differences = _differences(head.state, at_head.state)
    state = reached.state if examiner.knows_state else None
    return Examination(examiner.events, reached.sequence, state, flaw, differences)


def _flaw_of_head(
    ledger: Readable, reached: Head, head: Head | StoreCorrupt, at_head: Head | None
) -> Flaw | None:
    """What is wrong with the head, when every record that is there is good."""
    if isinstance(head, StoreCorrupt):
        return Flaw(
            reached.sequence, f"it is the newest, but the head cannot be read ({_told(head)})"
        )
    says = f"the head says that {head.sequence} is the newest"
    if reached.sequence < head.sequence:
        return Flaw(reached.sequence + 1, f"it is missing; {says}")
    if at_head is not None and at_head.hash != head.hash:
        return Flaw(head.sequence, "its hash is not the one that the head names")
    # Read again: who appended meanwhile has moved the head too.
    if reached.sequence > head.sequence and ledger.head().sequence < reached.sequence:
        return Flaw(head.sequence + 1, f"it is there, but {says}")
    return None


def _differences(stored: RiskState, folded: RiskState) -> tuple[str, ...]:
    if stored == folded:
        return ()
    held, due = stored.to_json(), folded.to_json()
    return tuple(
        f"{name} is {_shown(held.get(name))}, by the events {_shown(due.get(name))}"
        for name in sorted({*held, *due})
        if held.get(name) != due.get(name)
    )


def _told(error: Exception) -> str:
    """In one line, which says only once what can be done."""
    return " ".join(str(error).removesuffix(f"; {REMEDY}").split())


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
