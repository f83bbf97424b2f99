"""A file that remembers what it acknowledged, for the suites that every ledger passes."""

from pathlib import Path

from risk.ledger.anchor_file import AnchorFile
from risk.ledger.anchored import AnchoredLedger
from risk.ledger.sqlite import SqliteLedger

__all__ = ["anchor_of", "anchored_ledger"]


def anchor_of(folder: Path) -> AnchorFile:
    """The memory of the ledger in a folder."""
    return AnchorFile(folder / "anchors", f"sqlite:{folder / 'state.db'}")


def anchored_ledger(folder: Path) -> AnchoredLedger:
    """A ledger in a folder, with its memory beside it."""
    return AnchoredLedger(SqliteLedger(folder / "state.db"), anchor_of(folder))
