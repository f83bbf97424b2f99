"""The folder of a run appears when it is complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from errors import InvalidRequest
from simulation.output import new_folder, write_json


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "one"
    with new_folder(out) as folder:
        write_json(folder / "summary.json", {"trades": 3})
        assert not out.exists()
    assert (out / "summary.json").read_text() == '{\n  "trades": 3\n}\n'
    assert [path.name for path in out.parent.iterdir()] == ["one"]


def test_a_run_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "one") as folder:
            write_json(folder / "summary.json", {})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    with (
        pytest.raises(InvalidRequest, match="is there already; name another folder"),
        new_folder(tmp_path / "one"),
    ):
        pass


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InvalidRequest, match="cannot be made"),
        new_folder(tmp_path / "file" / "one"),
    ):
        pass


def test_a_number_that_json_has_no_word_for_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "summary.json", {"sharpe": float("nan")})
