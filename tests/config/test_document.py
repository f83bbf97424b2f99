from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.document import parse_text, read_document
from errors import ConfigurationError


def refusal(tmp_path: Path, content: bytes) -> str:
    file = tmp_path / "mlops.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read_document(file, "mlops.yaml")
    line = str(caught.value)
    assert line.startswith("mlops.yaml: ")
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"# only a comment\n", "is empty"),
        (b"- a\n- b\n", "must hold `key: value` lines"),
        (b"just text", "must hold `key: value` lines"),
        (b"a: 1\nb: 2\na: 3\n", "line 3, column 1: a is set twice"),
        (b"r:\n  x: 1\n  x: 1\n", "line 3, column 3: x is set twice"),
        (b"a:\n\tb: 1\n", "line 2, column 1: a tab indents this line"),
        (b"a: [1, 2\n", "line 2, column 1"),
        (b"a: b: c\n", "line 1, column 5"),
        (b"a: !!python/name:os.system x\n", "text that begins with '!' needs quotes"),
        (b"a: *b\n", "text that begins with '*' needs quotes"),
        (b"a: \x00\n", "is not valid YAML"),
        (b"a: \xff\xfe\n", "is not UTF-8 text"),
        (b"a: " + b"[" * 5000, "nested too deeply"),
    ],
)
def test_a_file_that_means_nothing_certain_is_refused(
    tmp_path: Path, content: bytes, says: str
) -> None:
    assert says in refusal(tmp_path, content)


def test_a_missing_file_says_which_variable_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="MLOPS_CONFIG_PATH"):
        read_document(tmp_path / "absent.yaml", "absent.yaml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_document(tmp_path, "folder")


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_bytes(b"\xef\xbb\xbfbook: x\n")
    assert read_document(tmp_path / "m.yaml", "m.yaml") == {"book": "x"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12:55", "12:55"),
        ("2026-12-24", "2026-12-24"),
        ("no", "no"),
        ("010", "010"),
        ("1_000", "1_000"),
        ("1e-3", 0.001),
        ("-2", -2),
        ("+.5", 0.5),
        ("~", None),
        ("", None),
    ],
)
def test_a_value_is_what_it_looks_like(text: str, value: object) -> None:
    assert parse_text(text) == value


@given(st.integers())
def test_whole_numbers_read_back(value: int) -> None:
    assert parse_text(str(value)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back_exactly(value: float) -> None:
    assert parse_text(repr(value)) == value
