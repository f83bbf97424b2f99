"""The page of a drift check."""

from html.parser import HTMLParser
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from monitoring.drift_page import drift_page

ENTRY: dict[str, Any] = {
    "tick": "2026-03-02T14:00:00.000000+00:00",
    "at": "2026-03-02T14:01:02.000000+00:00",
    "book": "default",
    "state": "alarm",
    "reasons": ["returns are three times as large"],
    "suspects": [{"name": "log_ret_5m", "kind": "volatility", "score": 3.2, "reason": "spread"}],
    "drifted_share": 0.2,
    "drift_threshold": 0.15,
    "window": {"from": "2026-03-02T13:00:00+00:00", "to": "2026-03-02T14:00:00+00:00", "rows": 12},
    "reference": {"kind": "training", "from": "2020-01-02", "to": "2023-12-29", "rows": 1800},
    "plain": {"method": "evidently", "share": 0.76, "drifted": 34, "columns": {}},
    "seconds": 0.1,
}


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.sources += [str(value) for name, value in attrs if name in {"src", "href"}]


def tags(page: str) -> Tags:
    found = Tags()
    found.feed(page)
    return found


def test_the_verdict_its_reasons_and_suspects_come_first_and_the_report_last() -> None:
    page = drift_page(ENTRY, report="<p>whole report</p>")
    told = [
        "<h1>Drift</h1>",
        "returns are three times as large",
        "log_ret_5m",
        "20.0%",
        "76.0%",
        "12 bars",
        "training data",
        "whole report",
    ]
    places = [page.index(text) for text in told]
    assert places == sorted(places)
    assert "alarms in nearly every hour" in page


def test_a_clean_check_and_one_without_data_say_so() -> None:
    assert "<h1>No drift</h1>" in drift_page({"tick": "manual:1", "state": "ok"})
    page = drift_page({"tick": "manual:1", "state": "not_enough_data"})
    assert "<h1>Not enough data for a verdict</h1>" in page
    assert "On demand" in page


def test_it_says_why_evidently_made_no_report() -> None:
    page = drift_page(ENTRY, report="<p>table</p>", why="it was <ended>")
    assert "Evidently made no report: it was &lt;ended&gt;." in page


def test_it_lists_the_checks_before() -> None:
    before = [{**ENTRY, "tick": f"2026-03-02T{hour}:00:00+00:00"} for hour in (13, 12)]
    page = drift_page(ENTRY, before)
    assert page.index("<td>2026-03-02 13:00 UTC") < page.index("<td>2026-03-02 12:00 UTC")


def test_nothing_is_loaded_from_elsewhere() -> None:
    assert tags(drift_page(ENTRY, [ENTRY], report="<p>table</p>")).sources == []


def test_the_report_is_kept_apart_and_cannot_break_out_of_its_frame() -> None:
    page = drift_page(ENTRY, report='"><script>top.location="x"</script>')
    assert "script" not in tags(page).seen
    assert 'sandbox="allow-scripts"' in page


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(entry=st.fixed_dictionaries({}, optional=dict.fromkeys(ENTRY, anything)))
def test_whatever_an_entry_holds_it_makes_a_page(entry: dict[str, Any]) -> None:
    page = drift_page(entry, [entry], report="<p>")

    assert page.startswith("<!DOCTYPE html>")
    assert page.endswith("</html>")
    assert tags(page).seen.count("iframe") == 1


@given(text=st.text(min_size=1, max_size=20))
def test_no_text_becomes_markup(text: str) -> None:
    suspect = dict.fromkeys(("name", "kind", "reason"), text)
    entry = {**ENTRY, "reasons": [text], "suspects": [suspect], "book": text, "tick": text}
    plain = {**ENTRY, "reasons": ["x"], "suspects": [dict.fromkeys(suspect, "x")]}
    assert tags(drift_page(entry)).seen == tags(drift_page(plain)).seen
