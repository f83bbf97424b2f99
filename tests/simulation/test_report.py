"""The pages of a replay, as a browser would read them."""

import json
import re
import subprocess
import sys
from base64 import b64encode
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from simulation.grid_page import grid_html
from simulation.report_course import MARKED_TRADES, POINTS, course_figure
from simulation.run import Run
from simulation.run_page import report_html
from simulation.summary import summary
from tests.simulation.runs import a_quiet_run, a_run

HOSTILE = '"><script>alert(1)</script><img src=//evil.example/x onerror=alert(2)>.csv'
LOSS, CONFIDENCE = "risk_limits.max_daily_loss", "risk_limits.min_confidence"


@dataclass
class Script:
    attributes: dict[str, str | None]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """What a browser would find: elements, attributes, scripts and text."""

    html: str
    tags: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str | None]] = field(default_factory=list)
    scripts: list[Script] = field(default_factory=list)
    policy: str = ""
    text: str = ""
    in_script: bool = False

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        told = dict(attrs)
        self.in_script = tag == "script"
        if self.in_script:
            self.scripts.append(Script(told))
        if told.get("http-equiv") == "Content-Security-Policy":
            self.policy = told["content"] or ""

    def handle_endtag(self, tag: str) -> None:
        self.in_script = False

    def handle_data(self, data: str) -> None:
        if self.in_script:
            self.scripts[-1].text += data
        else:
            self.text += data

    def figure(self, name: str) -> dict[str, Any]:
        (found,) = [each for each in self.scripts if each.attributes.get("data-plot") == name]
        figure: dict[str, Any] = json.loads(found.text)
        return figure

    def executable(self) -> list[str]:
        return [each.text for each in self.scripts if "type" not in each.attributes]


@cache
def busy_page() -> Page:
    return page_of(a_run())


def page_of(run: Run, title: str = "bars.csv") -> Page:
    return Page(report_html(run, summary(run), title))


def row(number: int, **varied: Any) -> dict[str, Any]:
    return {
        **varied,
        "pnl_percent": 0.01 * number - 0.01,
        "max_drawdown": -0.02 * number,
        "sharpe": None if number == 1 else 0.5,
        "trades": 100 + number,
        "hit_rate": 0.5,
        "refused": {"LOW_CONFIDENCE": 10 * number} | ({"COOLDOWN_ACTIVE": 7} if number > 1 else {}),
        "folder": f"{number:03}",
    }


def traces(figure: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [trace for trace in figure["data"] if trace.get("name") == name]


def all_pages() -> list[Page]:
    grid = grid_html([row(1, **{LOSS: "-0.01"}), row(2, **{LOSS: "-0.02"})], [LOSS], HOSTILE)
    return [page_of(a_run(), HOSTILE), page_of(a_quiet_run(), HOSTILE), Page(grid)]


def test_nothing_is_loaded_from_anywhere() -> None:
    for page in all_pages():
        assert not {"link", "iframe", "img", "object", "embed", "base", "form"} & set(page.tags)
        assert not {"src", "href", "srcset", "action"} & {name for name, _ in page.attributes}
        ours = page.html.replace(max(page.executable(), key=len), "")
        assert "http://" not in ours.replace("http-equiv", "")
        assert "https://" not in ours
        assert "@import" not in ours
        assert "url(" not in ours


def test_a_browser_runs_the_two_scripts_of_the_page_and_no_other() -> None:
    for page in all_pages():
        allowed = re.findall(r"'sha256-([^']+)'", page.policy)
        ran = [b64encode(sha256(text.encode()).digest()).decode() for text in page.executable()]
        assert page.policy.startswith("default-src 'none'")
        assert allowed == ran
        assert len(ran) == 2


def test_a_title_and_names_of_files_are_text_whatever_they_hold() -> None:
    told = {**a_run().description, "bars_file": HOSTILE, "decisions_files": [HOSTILE]}
    page = page_of(a_run(description=told), HOSTILE)
    assert page.text.count(HOSTILE) >= 3
    assert "onerror" not in {name for name, _ in page.attributes}
    assert "alert(1)" not in "".join(page.executable())


def test_a_setting_in_a_grid_is_text_whatever_it_holds() -> None:
    rows = [row(1, **{HOSTILE: HOSTILE}), row(2, **{HOSTILE: "b"})]
    page = Page(grid_html(rows, [HOSTILE], "grid"))
    assert page.text.count(HOSTILE) >= 3
    assert len(page.executable()) == 2
    assert page.figure("grid")["data"][0]["y"] == [0.0, 1.0]


def test_the_same_run_gives_the_same_bytes() -> None:
    assert page_of(a_run()).html == busy_page().html


def test_every_figure_has_its_place_and_every_place_its_figure() -> None:
    page = busy_page()
    places = [value for name, value in page.attributes if name == "id"]
    figures = [each.attributes["data-plot"] for each in page.scripts if "type" in each.attributes]
    assert sorted(map(str, places)) == sorted(map(str, figures))
    assert figures


@pytest.mark.parametrize("run", [a_run(), a_quiet_run()], ids=["busy", "quiet"])
def test_the_limits_are_lines_at_their_numbers(run: Run) -> None:
    shapes = page_of(run).figure("course")["layout"]["shapes"]
    assert {(shape["yref"], shape["y0"]) for shape in shapes} == {("y2", -5.0), ("y3", -2.0)}


def test_equity_and_the_days_end_where_the_run_does() -> None:
    run, figure = a_run(), busy_page().figure("course")
    (equity,), (days,) = traces(figure, "Equity"), traces(figure, "P&L of the day")
    assert equity["y"] == pytest.approx((run.equity * 100).round(4).tolist())
    assert equity["x"][0] == "2026-03-02T08:05"
    assert sum(days["y"]) == pytest.approx(float(run.equity[-1]) * 100, abs=1e-3)


def test_an_episode_is_a_band_in_each_panel_as_long_as_it_lasted() -> None:
    figure = busy_page().figure("course")
    bands = traces(figure, "Breaker: losses in a row")
    assert [band["yaxis"] for band in bands] == ["y4", "y5", "y6"]
    assert [band["width"] for band in bands] == [[12 * 300 * 1_000]] * 3
    assert [band["showlegend"] for band in bands] == [True, False, False]
    assert "2026-03-03 10:25 to 2026-03-03 11:25 (1 h 0 min)" in bands[0]["text"]


def test_an_episode_that_stands_at_the_end_reaches_to_the_last_bar() -> None:
    figure = busy_page().figure("course")
    band = traces(figure, "Breaker: drawdown")[0]
    assert band["width"] == [9 * 300 * 1_000]
    assert band["text"] == ["since 2026-03-04 12:15, to the end"]


def test_entries_and_exits_are_marked_on_the_equity() -> None:
    run, figure = a_run(), busy_page().figure("course")
    for name, count in (("Long entry", 5), ("Short entry", 4), ("Exit with a gain", 5)):
        (marks,) = traces(figure, name)
        assert len(marks["x"]) == len(marks["text"]) == count
        assert set(marks["y"]) <= set((run.equity * 100).round(4) + 0.0)


def a_long_run(days: int) -> Run:
    run = a_run()
    more = np.repeat(np.arange(days), 60)
    count = len(more)
    walk = np.cumsum(np.random.default_rng(7).normal(0, 1e-4, count))
    return replace(
        run,
        days=run.days[0] + more,
        times=run.times[0] + more * 86_400 + np.tile(np.arange(60) * 300, days),
        closes=np.full(count, 4_000.0),
        equity=walk,
        positions=np.zeros(count),
        trades=run.trades * 300,
    )


def test_lines_of_a_long_run_are_thinned_and_lose_no_extreme() -> None:
    run = a_long_run(200)
    page = page_of(run)
    (equity,) = traces(page.figure("course"), "Equity")
    assert len(equity["x"]) <= POINTS < len(run.times)
    assert max(equity["y"]) == pytest.approx(run.equity.max() * 100, abs=1e-4)
    assert min(equity["y"]) == pytest.approx(run.equity.min() * 100, abs=1e-4)
    assert f"at most {POINTS:,} points" in page.text


def test_of_many_trades_those_that_moved_most_are_marked_and_the_page_says_so() -> None:
    run = a_long_run(200)
    figure = course_figure(run)
    entries = [*traces(figure, "Long entry"), *traces(figure, "Short entry")]
    assert sum(len(trace["x"]) for trace in entries) == MARKED_TRADES < len(run.trades)
    assert f"{MARKED_TRADES:,} trades" in page_of(run).text


def test_the_newest_500_trades_are_listed_and_the_rest_is_told_of() -> None:
    page = page_of(a_long_run(200))
    assert "500 trades, newest first; 2,200 older ones are in trades.parquet" in page.text


def test_nights_are_left_out_of_the_axis_of_days_and_not_of_years() -> None:
    assert {"pattern": "hour", "bounds": [13.5, 7 + 35 / 60]} in [
        {**each, "bounds": [each["bounds"][0], pytest.approx(each["bounds"][1])]}
        for each in course_figure(a_run())["layout"]["xaxis"]["rangebreaks"]
    ]
    assert "rangebreaks" not in course_figure(a_long_run(60))["layout"]["xaxis"]


def test_a_run_without_a_trade_or_a_decision_has_a_page() -> None:
    page = page_of(a_quiet_run())
    assert "Neither the breaker nor an operator kept any entry out" in page.text
    assert page.figure("hours")["data"] == []
    assert "0 trades" in page.text


def test_a_cell_sorts_by_its_number_and_not_by_how_it_is_written() -> None:
    values = {value for name, value in busy_page().attributes if name == "data-value"}
    assert {repr(trade.pnl_percent) for trade in a_run().trades} <= values


def test_one_varied_setting_gives_a_bar_of_each_kind_for_every_value() -> None:
    page = Page(grid_html([row(1, **{LOSS: "-0.01"}), row(2, **{LOSS: "-0.02"})], [LOSS], "grid"))
    figure = page.figure("grid")
    assert [trace["x"] for trace in figure["data"]] == [["-0.01", "-0.02"]] * 2
    assert [trace["y"] for trace in figure["data"]] == [[0.0, 1.0], [-2.0, -4.0]]


def test_two_varied_settings_give_a_field_of_each_kind() -> None:
    cells = [(loss, least) for loss in ("-0.01", "-0.02") for least in ("0.5", "0.6", "0.7")]
    rows = [row(i, **{LOSS: a, CONFIDENCE: b}) for i, (a, b) in enumerate(cells, start=1)]
    earned, fallen = Page(grid_html(rows, [LOSS, CONFIDENCE], "grid")).figure("grid")["data"]
    assert (earned["y"], earned["x"]) == (["-0.01", "-0.02"], ["0.5", "0.6", "0.7"])
    assert earned["z"] == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert fallen["z"] == [[-2.0, -4.0, -6.0], [-8.0, -10.0, -12.0]]


def test_three_varied_settings_give_a_point_for_each_run() -> None:
    names = [LOSS, CONFIDENCE, "capital_usd"]
    rows = [row(i, **dict.fromkeys(names, str(i))) for i in (1, 2, 3)]
    (points,) = Page(grid_html(rows, names, "grid")).figure("grid")["data"]
    assert points["x"] == [-2.0, -4.0, -6.0]
    assert points["y"] == [0.0, 1.0, 2.0]
    assert points["text"] == ["001", "002", "003"]


def test_a_grid_counts_what_each_rule_refused_in_each_run() -> None:
    rows = [row(1, **{LOSS: "-0.01"}), row(2, **{LOSS: "-0.02"})]
    html = grid_html(rows, [LOSS], "grid")
    cells = [
        re.findall(r"<td[^>]*>(.*?)</td>", line) for line in re.findall(r"<tr>(.*?)</tr>", html)
    ]
    assert cells[1] == ["-0.01", "+0.00%", "-2.00%", "-", "101", "50.0%", "0", "10", "001"]
    assert cells[2] == ["-0.02", "+1.00%", "-4.00%", "0.50", "102", "50.0%", "7", "20", "002"]


def test_a_command_that_makes_no_page_loads_no_plotly() -> None:
    code = "import sys, cli, commands.replay; sys.exit('plotly' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
