"""docs/metrics.md lists what is emitted, and nothing else."""

from tests.deploy.emitted import Emitted, emitted
from tests.live.server import ROOT


def written() -> list[Emitted]:
    lines = (ROOT / "docs" / "metrics.md").read_text().splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| `usdcop_")]
    return [
        Emitted(
            name.strip("`"),
            kind,
            tuple(label.strip("`") for label in labels.split(", ") if label != "-"),
            meaning.strip(),
        )
        for name, kind, labels, meaning in rows
    ]


def test_the_document_lists_exactly_what_is_emitted() -> None:
    assert sorted(written()) == sorted(emitted().values())
