"""The live market: whatever happens to bars, every vector is that of the offline build."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from config.settings import CacheSettings, MarketSettings, TradingHours
from errors import Conflict, InvalidRequest, NotReady
from features.bar_screen import Bar
from features.bars import BarSeries
from features.cache import CachedVector, FeatureCache, MemoryFeatureCache
from features.clock import in_session, local_days
from features.compute import WINDOW, FeatureSeries, compute_series
from features.feed import BarsAdded, MarketFeed
from features.macro import MACRO_COLUMNS, DailySeries, MacroSeries, macro_features
from features.market_codecs import bars_codec, macro_codec
from features.schema import USDCOP_M5
from stores.documents import Documents, MemoryDocuments
from stores.redis_documents import RedisDocuments
from stores.redis_link import RedisLink
from stores.sqlite_documents import SqliteDocuments
from tests.features.market import MONDAY, random_bars, same_bits, session_starts
from tests.redis_server import RedisServer
from tests.shared_documents import STORES, ways_to_documents

HOURS = TradingHours()
BARS = 360
LEVELS = {
    "dxy": 100.0,
    "vix": 20.0,
    "embi_col": 300.0,
    "brent": 80.0,
    "ust10y": 4.0,
    "col10y": 10.0,
    "usdmxn": 18.0,
}
CACHED_FOR_LONG = CacheSettings(ttl_seconds=30 * 86_400)

OpenStore = Callable[[], Documents]
OpenFeed = Callable[..., MarketFeed]


@cache
def market() -> BarSeries:
    """Six sessions, with a weekend in between."""
    starts = session_starts(BARS * 2)
    return BarSeries(starts[in_session(starts, HOURS)][:BARS], random_bars(BARS).closes)


@cache
def macro() -> MacroSeries:
    """Plausible values of every day before and within these sessions."""
    days = np.arange(MONDAY - 100, MONDAY + 30)
    noise = np.random.default_rng(3).normal(1, 0.01, (len(LEVELS), len(days)))
    return MacroSeries.from_table(
        days, {name: LEVELS[name] * noise[row] for row, name in enumerate(MACRO_COLUMNS)}
    )


@cache
def offline() -> FeatureSeries:
    return compute_series(market(), macro(), hours=HOURS)


def row_of(index: int, series: FeatureSeries | None = None) -> NDArray[np.float32]:
    """What the offline build has for a bar."""
    row: NDArray[np.float32] = (series or offline()).matrix[index - (WINDOW - 1)]
    return row


def bar(index: int) -> Bar:
    return Bar(int(market().starts[index]), float(market().closes[index]))


def bars_of(first: int, beyond: int, *, without: Sequence[int] = ()) -> list[Bar]:
    return [bar(index) for index in range(first, beyond) if index not in without]


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)


def known_at(index: int) -> datetime:
    return at(market().starts[index] + 300)


NOW = known_at(BARS - 1)
"""Midday of the last session."""
LATER = NOW + timedelta(days=30)
"""When every macro value here is known."""
LAST_DAY = int(local_days(market().starts[-1:], HOURS.zone)[0])


def macro_of(first: int, beyond: int) -> dict[str, list[tuple[int, float]]]:
    """The true values of some days."""
    return {
        name: [(day, value) for day, value in macro().by_day(name).items() if first <= day < beyond]
        for name in MACRO_COLUMNS
    }


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Another way to one store, as another process has one."""
    with ways_to_documents(request.param, tmp_path) as make:
        yield make


def new_cache() -> FeatureCache:
    return MemoryFeatureCache("desk", CACHED_FOR_LONG)


def new_feed(
    documents: Documents | None = None, cache: FeatureCache | None = None, **more: object
) -> MarketFeed:
    return MarketFeed(
        documents or MemoryDocuments(),
        cache or new_cache(),
        MarketSettings.model_validate(more),
        HOURS,
        USDCOP_M5,
    )


def filled(
    beyond: int, documents: Documents | None = None, cache: FeatureCache | None = None
) -> MarketFeed:
    """A feed with all macro values and the first bars."""
    feed = new_feed(documents, cache)
    feed.fill_macro(macro(), LATER)
    feed.add_bars(bars_of(0, beyond), NOW)
    return feed


def post(feed: MarketFeed, index: int) -> BarsAdded:
    """Post one bar a second after it is complete."""
    return feed.add_bars([bar(index)], known_at(index) + timedelta(seconds=1))


def vector_at(feed: MarketFeed, index: int) -> NDArray[np.float32]:
    found = feed.at(known_at(index), NOW)
    assert found is not None
    assert found.timestamp == known_at(index)
    return found.vector


def vector_of(added: BarsAdded) -> NDArray[np.float32]:
    assert added.newest is not None, added.not_ready
    return added.newest.vector


def corrected(index: int, close: float) -> FeatureSeries:
    """The offline build with another close of one bar."""
    closes = market().closes.copy()
    closes[index] = close
    return compute_series(BarSeries(market().starts, closes), macro(), hours=HOURS)


def trust(confirmed: tuple[str, ...]) -> None:
    """Somebody who insists."""


class TestEveryStore:
    def test_gives_bar_by_bar_the_vectors_of_the_offline_build(self, open_store: OpenStore) -> None:
        feed = filled(WINDOW - 1, open_store())
        for index in range(WINDOW - 1, BARS):
            added = post(feed, index)
            assert same_bits(vector_of(added), row_of(index))
            assert added.newest_bar == at(market().starts[index])
            assert added.superseded_by is None
        assert feed.degraded is None

    def test_gives_the_same_to_feeds_that_take_turns_and_restart(
        self, open_store: OpenStore
    ) -> None:
        filled(WINDOW, open_store())
        feeds = [new_feed(open_store()), new_feed(open_store())]
        for index in range(WINDOW, WINDOW + 60):
            added = post(feeds[index % 2], index)
            assert same_bits(vector_of(added), row_of(index))
            if index % 20 == 0:
                feeds[index % 2] = new_feed(open_store())
            for feed in feeds:
                latest = feed.latest()
                assert latest.timestamp == known_at(index)
                assert same_bits(latest.vector, row_of(index))

    def test_has_all_of_it_after_a_restart(self, open_store: OpenStore) -> None:
        before = filled(BARS, open_store())
        again = new_feed(open_store())
        assert again.status() == before.status()
        assert again.status().bars == BARS
        for index in (WINDOW - 1, 300, BARS - 1):
            assert same_bits(vector_at(again, index), row_of(index))
        evidence = again.latest().evidence
        assert evidence == before.latest().evidence
        assert evidence is not None
        assert evidence.close == market().closes[-1]

    def test_takes_bars_of_many_threads_and_two_feeds(self, open_store: OpenStore) -> None:
        feeds = [filled(WINDOW, open_store()), new_feed(open_store())]
        order = np.random.default_rng(5).permutation(range(WINDOW, WINDOW + 60)).tolist()

        def add(index: int) -> None:
            feeds[index % 2].add_bars([bar(index)], NOW)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(add, order))
        for feed in feeds:
            assert feed.status().bars == WINDOW + 60
            assert same_bits(feed.latest().vector, row_of(WINDOW + 59))
            assert feed.degraded is None


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_however_bars_are_split_and_shuffled_the_vectors_are_the_same(data: st.DataObject) -> None:
    feed, begin = filled(200), 200
    while begin < 300:
        end = min(begin + data.draw(st.integers(1, 60)), 300)
        added = feed.add_bars(data.draw(st.permutations(bars_of(begin, end))), NOW)
        if end >= WINDOW:
            assert same_bits(vector_of(added), row_of(end - 1))
        else:
            assert str(added.not_ready).startswith(f"not ready: {end} of 240 bars")
        begin = end
    for index in range(WINDOW - 1, 300):
        assert same_bits(vector_at(feed, index), row_of(index))


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_whatever_order_bars_arrive_in_all_vectors_are_right_in_the_end(
    data: st.DataObject,
) -> None:
    feed = filled(230)
    left = data.draw(st.permutations(bars_of(230, 270)))
    while left:
        count = data.draw(st.integers(1, len(left)))
        feed.add_bars(left[:count], NOW)
        left = left[count:]
    for index in range(WINDOW - 1, 270):
        assert same_bits(vector_at(feed, index), row_of(index))


class TestBeforeThereIsAVector:
    def test_it_says_how_many_bars_are_there(self) -> None:
        feed = new_feed()
        added = feed.add_bars(bars_of(0, 12), NOW)
        assert added.newest is None
        assert str(added.not_ready).startswith("not ready: 12 of 240 bars")
        with pytest.raises(NotReady, match="12 of 240 bars"):
            feed.latest()
        assert str(feed.status().not_ready).startswith("not ready: 12 of 240 bars")
        assert (feed.status().bars, feed.status().needed) == (12, 240)

    def test_an_empty_feed_says_so(self) -> None:
        feed = new_feed()
        with pytest.raises(NotReady, match="0 of 240 bars"):
            feed.latest()
        status = feed.status()
        assert (status.bars, status.newest_bar) == (0, None)
        assert status.macro == dict.fromkeys(MACRO_COLUMNS)
        assert feed.at(NOW, NOW) is None

    def test_one_bar_too_few_is_too_few(self) -> None:
        feed = filled(WINDOW - 1)
        assert feed.at(known_at(WINDOW - 2), NOW) is None
        assert post(feed, WINDOW - 1).newest is not None

    def test_it_says_which_macro_values_are_missing(self) -> None:
        feed = new_feed()
        added = feed.add_bars(bars_of(0, WINDOW), NOW)
        assert "0 of 60 daily values of dxy before 2026-03-05" in str(added.not_ready)
        feed.fill_macro(macro(), LATER)
        assert same_bits(feed.latest().vector, row_of(WINDOW - 1))

    def test_it_says_which_macro_values_are_too_old(self) -> None:
        feed = new_feed()
        feed.add_macro(macro_of(0, MONDAY - 4), NOW)
        added = feed.add_bars(bars_of(0, WINDOW), NOW)
        assert "the last value of dxy before 2026-03-05 is 8 days old" in str(added.not_ready)
        feed.add_macro(macro_of(MONDAY - 4, LAST_DAY), NOW)
        assert same_bits(feed.latest().vector, row_of(WINDOW - 1))

    def test_nothing_kept_of_a_request_gives_no_vector(self) -> None:
        feed = filled(WINDOW)
        evening = Bar(int(market().starts[0]) - 300, 4000.0)
        added = feed.add_bars([evening], NOW)
        assert (added.newest, added.newest_bar, added.superseded_by) == (None, None, None)
        assert added.not_ready == "none of these bars is kept"

    def test_models_without_a_schema_have_no_vector(self) -> None:
        cache = new_cache()
        feed = MarketFeed(MemoryDocuments(), cache, MarketSettings(), HOURS, None)
        added = feed.add_bars(bars_of(0, WINDOW), NOW)
        assert "no feature schema" in str(added.not_ready)
        assert feed.at(known_at(WINDOW - 1), NOW) is None
        cache.put(known_at(WINDOW - 1), row_of(300), NOW)
        assert same_bits(vector_at(feed, WINDOW - 1), row_of(300))


class TestALateBar:
    @pytest.mark.parametrize("late", [50, 239, 240, 270, BARS - 2])
    def test_changes_every_later_vector_also_where_it_is_cached(self, late: int) -> None:
        feed, indices = new_feed(), range(BARS)
        feed.fill_macro(macro(), LATER)
        feed.add_bars(bars_of(0, WINDOW, without=[late]), NOW)
        for index in indices[WINDOW:]:
            if index != late:
                post(feed, index)
        added = feed.add_bars([bar(late)], NOW)
        assert added.screened.counts["late"] == 1
        assert added.superseded_by == at(market().starts[-1])
        if late >= WINDOW - 1:
            assert same_bits(vector_of(added), row_of(late))
        assert same_bits(feed.latest().vector, row_of(BARS - 1))
        for index in indices[WINDOW - 1 :]:
            assert same_bits(vector_at(feed, index), row_of(index))
        for index in indices[-12:]:
            assert same_bits(cached(feed._cache, index), row_of(index))

    def test_that_another_process_had_is_seen(self) -> None:
        documents, cache = MemoryDocuments(), new_cache()
        one, other = filled(WINDOW, documents, cache), new_feed(documents)
        for index in (241, 242, 243):
            post(one, index)
        post(other, 240)
        for index in range(240, 244):
            assert same_bits(vector_at(one, index), row_of(index))

    def test_is_in_the_vector_of_a_newer_bar_of_the_same_request(self) -> None:
        feed = new_feed()
        feed.fill_macro(macro(), LATER)
        feed.add_bars(bars_of(0, 250, without=[244]), NOW)
        added = feed.add_bars([bar(250), bar(244)], NOW)
        assert same_bits(vector_of(added), row_of(250))
        assert added.superseded_by is None
        for index in range(244, 251):
            assert same_bits(cached(feed._cache, index), row_of(index))


def cached(cache: FeatureCache, index: int) -> NDArray[np.float32]:
    found = cache.get(known_at(index), NOW)
    assert found is not None
    return found.vector


class TestACorrection:
    @pytest.mark.parametrize("index", [130, 245, BARS - 1])
    def test_changes_every_later_vector_and_no_earlier_one(self, index: int) -> None:
        feed = filled(WINDOW)
        for number in range(WINDOW, BARS):
            post(feed, number)
        close = float(market().closes[index]) + 7.0
        added = feed.add_bars([Bar(bar(index).start, close)], NOW, confirm=trust)
        assert added.screened.counts["corrected"] == 1
        series = corrected(index, close)
        assert same_bits(feed.latest().vector, row_of(BARS - 1, series))
        assert not same_bits(feed.latest().vector, row_of(BARS - 1))
        for number in range(WINDOW - 1, BARS):
            assert same_bits(vector_at(feed, number), row_of(number, series))
        for number in range(BARS - 12, BARS):
            assert same_bits(cached(feed._cache, number), row_of(number, series))

    def test_without_being_confirmed_changes_nothing(self) -> None:
        feed = filled(BARS)
        with pytest.raises(Conflict):
            feed.add_bars([Bar(bar(300).start, 4000.0)], NOW)
        assert same_bits(feed.latest().vector, row_of(BARS - 1))

    def test_of_another_process_is_seen(self) -> None:
        documents = MemoryDocuments()
        one, other = filled(BARS, documents), new_feed(documents)
        close = float(market().closes[300]) + 7.0
        other.add_bars([Bar(bar(300).start, close)], NOW, confirm=trust)
        assert same_bits(vector_at(one, BARS - 1), row_of(BARS - 1, corrected(300, close)))
        assert same_bits(one.latest().vector, row_of(BARS - 1, corrected(300, close)))


class TestConfirmation:
    def wrong(self) -> Bar:
        return Bar(bar(300).start, float(market().closes[300]) + 7.0)

    def test_is_told_in_words_before_anything_is_taken(self) -> None:
        feed = filled(BARS)
        told: list[tuple[tuple[str, ...], float]] = []

        def note(confirmed: tuple[str, ...]) -> None:
            told.append((confirmed, feed.latest().vector[0]))

        before = feed.latest().vector[0]
        feed.add_bars([self.wrong()], NOW, confirm=note)
        ((confirmed, seen),) = told
        assert "is there with the close" in confirmed[0]
        assert seen == before

    def test_is_not_told_where_nothing_needs_it(self) -> None:
        told: list[tuple[str, ...]] = []
        filled(300).add_bars(bars_of(290, 310), NOW, confirm=told.append)
        filled(300).add_macro(macro_of(MONDAY, LAST_DAY), NOW, confirm=told.append)
        assert told == []

    def test_that_raises_takes_nothing(self) -> None:
        feed = filled(BARS)

        def refuse(confirmed: tuple[str, ...]) -> None:
            raise NotReady("the ledger is away")

        with pytest.raises(NotReady, match="ledger"):
            feed.add_bars([self.wrong()], NOW, confirm=refuse)
        with pytest.raises(NotReady, match="ledger"):
            feed.add_macro({"vix": [(LAST_DAY - 1, 21.0)]}, NOW, confirm=refuse)
        assert same_bits(feed.latest().vector, row_of(BARS - 1))

    def test_is_told_once_also_when_another_process_was_faster(self) -> None:
        documents = MemoryDocuments()
        feed, other = filled(300, documents), new_feed(documents)
        told: list[tuple[str, ...]] = []

        def note(confirmed: tuple[str, ...]) -> None:
            told.append(confirmed)
            if len(told) == 1:
                post(other, 300)

        feed.add_bars([Bar(bar(200).start, 4000.0)], NOW, confirm=note)
        assert len(told) == 1
        assert feed.has_bar(at(market().starts[300]))

    def test_lets_a_jump_through(self) -> None:
        feed = filled(WINDOW)
        told: list[tuple[str, ...]] = []
        jump = Bar(bar(WINDOW).start, float(market().closes[WINDOW]) * 1.5)
        with pytest.raises(InvalidRequest, match="jumps by 5"):
            feed.add_bars([jump], NOW)
        added = feed.add_bars([jump], NOW, confirm=told.append)
        assert added.newest is not None
        assert len(told) == 1


class TestAVectorByItsTime:
    def test_is_found_in_another_zone_too(self) -> None:
        feed = filled(BARS)
        found = feed.at(known_at(300).astimezone(HOURS.zone), NOW)
        assert found is not None
        assert same_bits(found.vector, row_of(300))

    @pytest.mark.parametrize("off", [-300 * BARS * 10, -1, 1, 0.001, 150, 86_400 * 90])
    def test_is_not_found_where_no_bar_ends(self, off: float) -> None:
        assert filled(BARS).at(known_at(300) + timedelta(seconds=off), NOW) is None

    def test_of_the_start_of_a_bar_is_that_of_the_bar_before(self) -> None:
        assert same_bits(vector_at(filled(BARS), 299), row_of(299))
        assert filled(BARS).has_bar(at(market().starts[300]))
        assert not filled(BARS).has_bar(at(market().starts[300] + 1))

    def test_is_that_which_a_caller_has_sent_for_it(self) -> None:
        feed = filled(BARS)
        feed._cache.put(known_at(300), row_of(250), NOW)
        assert same_bits(vector_at(feed, 300), row_of(250))
        assert same_bits(vector_at(feed, 301), row_of(301))

    def test_is_not_believed_when_a_slower_process_cached_it_from_older_bars(self) -> None:
        feed = filled(BARS)
        stale = feed.at(known_at(250), NOW)
        assert stale is not None
        feed._cache.put(known_at(300), stale.vector, NOW, stale.evidence)
        assert same_bits(vector_at(feed, 300), row_of(300))

    def test_is_that_of_the_cache_once_its_bars_are_gone(self) -> None:
        feed = new_feed(buffer_bars=WINDOW)
        feed.fill_macro(macro(), LATER)
        feed.add_bars(bars_of(0, WINDOW), known_at(WINDOW))
        for index in range(WINDOW, WINDOW + 20):
            post(feed, index)
        assert feed.status().bars == WINDOW
        for index in range(WINDOW - 1, WINDOW + 20):
            assert same_bits(vector_at(feed, index), row_of(index))

    def test_is_gone_with_bars_and_cache(self) -> None:
        feed = new_feed(cache=MemoryFeatureCache("desk", CacheSettings()), buffer_bars=WINDOW)
        feed.fill_macro(macro(), LATER)
        feed.add_bars(bars_of(0, WINDOW + 1), known_at(WINDOW))
        assert feed.at(known_at(WINDOW - 1), known_at(WINDOW)) is None
        assert feed.at(known_at(WINDOW), known_at(WINDOW + 20)) is not None


class TestTheBuffer:
    def test_keeps_the_newest_bars(self) -> None:
        feed = new_feed(buffer_bars=WINDOW)
        feed.fill_macro(macro(), LATER)
        added = feed.add_bars(bars_of(0, BARS), NOW)
        assert added.screened.bars.starts.tolist() == market().starts[-WINDOW:].tolist()
        assert same_bits(vector_of(added), row_of(BARS - 1))
        assert feed.add_bars([bar(3)], NOW).screened.counts["too_old"] == 1

    def test_tells_of_a_bar_that_is_there_already(self) -> None:
        feed = filled(BARS)
        again = feed.add_bars([bar(300)], NOW)
        assert again.screened.counts["duplicate"] == 1
        assert same_bits(vector_of(again), row_of(300))
        assert again.superseded_by == at(market().starts[-1])

    def test_refuses_all_of_a_request_with_one_bad_bar(self) -> None:
        feed = filled(WINDOW)
        bad = Bar(bar(WINDOW + 1).start, -1.0)
        with pytest.raises(InvalidRequest):
            feed.add_bars([bar(WINDOW), bad], NOW)
        assert feed.status().bars == WINDOW

    def test_refuses_a_bar_before_its_end(self) -> None:
        with pytest.raises(InvalidRequest, match="once its close is final"):
            filled(WINDOW).add_bars([bar(WINDOW)], known_at(WINDOW) - timedelta(seconds=6))


class TestMacroValues:
    def feed(self) -> MarketFeed:
        """All bars, and the values that are known on the morning of the last session."""
        feed = new_feed()
        feed.add_macro(macro_of(0, LAST_DAY), NOW)
        feed.add_bars(bars_of(0, BARS), NOW)
        return feed

    def test_of_today_change_no_vector_of_today(self) -> None:
        feed = self.feed()
        assert feed.add_macro(macro_of(LAST_DAY, LAST_DAY + 1), NOW).added == 7
        assert same_bits(feed.latest().vector, row_of(BARS - 1))
        assert same_bits(vector_at(feed, BARS - 1), row_of(BARS - 1))
        assert feed.status().macro == dict.fromkeys(MACRO_COLUMNS, "2026-03-09")

    def test_of_yesterday_change_every_vector_of_today_and_none_of_yesterday(self) -> None:
        feed = self.feed()
        value = macro().by_day("vix")[LAST_DAY - 1] * 1.25
        with pytest.raises(Conflict, match="confirm: true"):
            feed.add_macro({"vix": [(LAST_DAY - 1, value)]}, NOW)
        feed.add_macro({"vix": [(LAST_DAY - 1, value)]}, NOW, confirm=trust)
        series = compute_series(market(), with_value("vix", LAST_DAY - 1, value), hours=HOURS)
        for index in range(WINDOW - 1, BARS):
            assert same_bits(vector_at(feed, index), row_of(index, series))
            assert same_bits(row_of(index, series), row_of(index)) is (index < BARS - 60)
        for index in range(BARS - 12, BARS):
            assert same_bits(cached(feed._cache, index), row_of(index, series))

    def test_that_come_late_make_the_feed_ready(self) -> None:
        feed = new_feed()
        assert feed.add_bars(bars_of(0, BARS), NOW).newest is None
        feed.add_macro(macro_of(0, LAST_DAY), NOW)
        assert same_bits(vector_at(feed, BARS - 1), row_of(BARS - 1))
        assert same_bits(cached(feed._cache, BARS - 1), row_of(BARS - 1))

    @pytest.mark.parametrize("ahead", [1, 2, 300])
    def test_of_the_future_are_refused_with_all_the_others(self, ahead: int) -> None:
        feed = self.feed()
        values = {"vix": [(LAST_DAY, 20.0)], "dxy": [(LAST_DAY + ahead, 100.0)]}
        with pytest.raises(InvalidRequest, match=r"dxy is dated .* and today is 2026-03-09"):
            feed.add_macro(values, NOW, confirm=trust)
        assert feed.status().macro == dict.fromkeys(MACRO_COLUMNS, "2026-03-08")

    def test_of_today_are_those_of_the_local_date(self) -> None:
        feed = self.feed()
        midnight = at(LAST_DAY * 86_400 + 86_400)  # 19:00 in Bogotá
        with pytest.raises(InvalidRequest, match="today is 2026-03-09"):
            feed.add_macro({"vix": [(LAST_DAY + 1, 20.0)]}, midnight)
        added = feed.add_macro({"vix": [(LAST_DAY + 1, 20.0)]}, midnight + timedelta(hours=5))
        assert added.added == 1

    def test_sent_again_are_counted_and_change_nothing(self) -> None:
        feed = self.feed()
        taken = feed.add_macro(macro_of(LAST_DAY - 3, LAST_DAY), NOW)
        assert (taken.added, taken.repeated, taken.corrected) == (0, 21, 0)

    def test_are_not_read_where_models_go_without(self) -> None:
        feed = new_feed(without_macro=True)
        added = feed.add_bars(bars_of(0, BARS), NOW)
        plain = compute_series(market(), None, hours=HOURS)
        assert same_bits(vector_of(added), row_of(BARS - 1, plain))
        feed.add_macro(macro_of(0, LAST_DAY), NOW)
        assert same_bits(feed.latest().vector, row_of(BARS - 1, plain))
        assert same_bits(vector_at(feed, BARS - 1), row_of(BARS - 1, plain))
        assert same_bits(cached(feed._cache, BARS - 1), row_of(BARS - 1, plain))
        evidence = feed.latest().evidence
        assert evidence is not None
        assert evidence.macro == {}
        assert feed.status().not_ready is None
        assert feed.status().macro["vix"] == "2026-03-08"


def with_value(name: str, day: int, value: float) -> MacroSeries:
    by_day = macro().by_day(name) | {day: value}
    return MacroSeries({**macro().columns, name: DailySeries.of(by_day)})


class TestFilling:
    def test_takes_what_is_not_there_yet_and_says_how_much(self, open_store: OpenStore) -> None:
        feed = new_feed(open_store())
        assert feed.fill_bars(market(), NOW) == BARS
        assert feed.fill_macro(macro(), LATER) == 7 * 130
        assert feed.fill_bars(market(), NOW) == 0
        assert feed.fill_macro(macro(), LATER) == 0
        assert same_bits(new_feed(open_store()).latest().vector, row_of(BARS - 1))

    def test_with_bars_leaves_what_is_stored(self) -> None:
        feed = filled(300)
        other = BarSeries(market().starts, market().closes + 1.0)
        assert feed.fill_bars(other, NOW) == BARS - 300
        kept = feed.add_bars([bar(299)], NOW).screened.bars
        assert kept.closes[:300].tolist() == market().closes[:300].tolist()
        assert kept.closes[300:].tolist() == other.closes[300:].tolist()

    def test_with_macro_values_leaves_what_is_stored(self) -> None:
        feed = new_feed()
        feed.add_macro({"vix": [(MONDAY, 33.0)]}, NOW)
        assert feed.fill_macro(macro(), LATER) == 7 * 130 - 1
        with pytest.raises(Conflict, match="known as 33"):
            feed.add_macro(macro_of(MONDAY, MONDAY + 1), NOW)

    def test_with_a_value_of_a_day_to_come_takes_none(self) -> None:
        feed = new_feed()
        with pytest.raises(
            InvalidRequest, match=r"dxy is dated 2026-03-31, and today is 2026-03-09"
        ):
            feed.fill_macro(macro(), NOW)
        assert feed.status().macro == dict.fromkeys(MACRO_COLUMNS, None)

    def test_closes_gaps_and_corrects_vectors(self) -> None:
        feed = new_feed()
        feed.fill_macro(macro(), LATER)
        feed.add_bars(bars_of(0, BARS, without=[100, 300, 301]), NOW)
        assert feed.fill_bars(market(), NOW) == 3
        for index in (300, BARS - 1):
            assert same_bits(vector_at(feed, index), row_of(index))

    def test_takes_the_newest_bars_of_a_long_file(self) -> None:
        feed = new_feed(buffer_bars=WINDOW)
        assert feed.fill_bars(market(), NOW) == WINDOW
        assert feed.fill_bars(market(), NOW) == 0
        assert feed.status().newest_bar == at(market().starts[-1])

    def test_takes_newer_macro_values_also_when_all_room_is_used(self) -> None:
        days = np.arange(MONDAY - 500, MONDAY + 10)
        columns = {name: np.full(510, level) for name, level in LEVELS.items()}
        series = MacroSeries.from_table(days, columns)
        feed = new_feed()
        assert feed.fill_macro(before(series, MONDAY), NOW) == 7 * 400
        assert feed.status().macro == dict.fromkeys(MACRO_COLUMNS, "2026-03-01")
        assert feed.fill_macro(series, LATER) == 7 * 10
        assert feed.status().macro == dict.fromkeys(MACRO_COLUMNS, "2026-03-11")
        assert feed.fill_macro(series, LATER) == 0

    def test_with_a_file_that_jumps_takes_nothing_and_says_what_a_start_can_do(self) -> None:
        feed = new_feed()
        closes = market().closes.copy()
        closes[300] = 9000.0
        with pytest.raises(InvalidRequest, match=r"jumps.*Raise market\.max_price_jump"):
            feed.fill_bars(BarSeries(market().starts, closes), NOW)
        assert feed.status().bars == 0

    def test_does_not_take_bars_that_are_not_complete(self) -> None:
        feed = new_feed()
        with pytest.raises(InvalidRequest, match="once its close is final"):
            feed.fill_bars(market(), known_at(BARS - 2))
        assert feed.status().bars == 0


def before(series: MacroSeries, day: int) -> MacroSeries:
    return MacroSeries(
        {
            name: DailySeries.of({at: v for at, v in series.by_day(name).items() if at < day})
            for name in MACRO_COLUMNS
        }
    )


def wait_for(feed: MarketFeed) -> None:
    begun = monotonic()
    while feed.status().degraded is not None:
        assert monotonic() - begun < 20
        sleep(0.01)


class TestAnOutage:
    def test_of_redis_delays_no_vector_and_all_is_shared_after_it(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "redis") as server:
            stores = [RedisDocuments("desk", RedisLink(**server.address)) for _ in range(2)]
            one, other = filled(WINDOW, stores[0]), new_feed(stores[1])
            assert other.status().bars == WINDOW
            server.kill()
            for index in range(WINDOW, WINDOW + 40):
                begun = monotonic()
                added = post(one, index)
                assert monotonic() - begun < 1.0
                assert same_bits(vector_of(added), row_of(index))
            assert "cannot be reached" in str(one.degraded)
            # The other one has had its own bars meanwhile, and its own macro values.
            other.add_bars(bars_of(WINDOW + 40, WINDOW + 60), NOW)
            other.add_macro({"vix": [(MONDAY + 40, 20.0)]}, at((MONDAY + 41) * 86_400))
            assert "cannot be reached" in str(other.status().degraded)
            server.start()
            for feed in (one, other):
                wait_for(feed)
            for feed in (one, other, new_feed(stores[0])):
                assert feed.status().bars == WINDOW + 60
                assert feed.status().macro["vix"] == "2026-04-11"
                assert feed.degraded is None
                for index in range(WINDOW - 1, WINDOW + 60):
                    assert same_bits(vector_at(feed, index), row_of(index))
            for documents in stores:
                documents.close()

    def test_of_redis_from_the_start_is_no_reason_not_to_start(self, tmp_path: Path) -> None:
        server = RedisServer(tmp_path / "redis")
        with closing(RedisDocuments("desk", RedisLink(**server.address))) as documents:
            feed = filled(BARS, documents)
            assert same_bits(feed.latest().vector, row_of(BARS - 1))
            assert "cannot be reached" in str(feed.degraded)
            with server:
                wait_for(feed)
                with closing(RedisDocuments("desk", RedisLink(**server.address))) as again:
                    assert same_bits(new_feed(again).latest().vector, row_of(BARS - 1))

    def test_of_redis_that_comes_back_empty_loses_nothing(self, tmp_path: Path) -> None:
        with (
            RedisServer(tmp_path / "redis") as server,
            closing(RedisDocuments("desk", RedisLink(**server.address))) as documents,
        ):
            feed = filled(300, documents)
            server.client().flushall()
            assert same_bits(vector_of(post(feed, 300)), row_of(300))
            assert same_bits(new_feed(documents).latest().vector, row_of(300))

    def test_while_redis_is_frozen_makes_many_callers_wait_but_once(self, tmp_path: Path) -> None:
        with (
            RedisServer(tmp_path / "redis") as server,
            closing(RedisDocuments("desk", RedisLink(**server.address))) as documents,
        ):
            feed = filled(WINDOW, documents)
            server.freeze()
            begun = monotonic()
            with ThreadPoolExecutor(8) as pool:
                found = list(pool.map(lambda _: feed.latest(), range(8)))
            assert monotonic() - begun < 2.0
            assert all(same_bits(row.vector, row_of(WINDOW - 1)) for row in found)
            server.thaw()
            wait_for(feed)

    def test_of_a_file_that_is_removed_loses_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "market.db"
        with closing(SqliteDocuments(path)) as first, closing(SqliteDocuments(path)) as second:
            one, other = filled(WINDOW, first), new_feed(second)
            other.status()
            path.unlink()
            assert same_bits(vector_of(post(other, WINDOW)), row_of(WINDOW))
            assert same_bits(vector_of(post(one, WINDOW + 1)), row_of(WINDOW + 1))
            for feed in (one, other):
                feed.status()
        with closing(SqliteDocuments(path)) as third:
            assert same_bits(new_feed(third).latest().vector, row_of(WINDOW + 1))

    @pytest.mark.parametrize("name", ["bars", "macro"])
    def test_by_a_damaged_document_is_told_and_leaves_it_as_it_is(self, name: str) -> None:
        documents = MemoryDocuments()
        feed = filled(WINDOW, documents)
        version = documents.read(name).version
        documents.write(name, b'{"bars": [[', expected=version)
        assert same_bits(vector_of(post(feed, WINDOW)), row_of(WINDOW))
        feed.add_macro({"vix": [(LAST_DAY, 20.0)]}, NOW, confirm=trust)
        assert f"the document of {name} in memory is damaged" in str(feed.degraded)
        assert documents.read(name).body == b'{"bars": [['
        fresh = new_feed(documents)
        assert fresh.status().not_ready is not None
        assert "damaged" in str(fresh.status().degraded)
        documents.write(name, b"", expected=version + 1)
        documents._documents.pop(name)
        assert same_bits(feed.latest().vector, row_of(WINDOW))
        assert feed.status().degraded is None
        assert same_bits(fresh.latest().vector, row_of(WINDOW))


class TestCodecs:
    @pytest.mark.parametrize("capacity", [10, 1000])
    def test_give_bars_back_to_the_bit(self, capacity: int) -> None:
        codec = bars_codec(capacity)
        again = codec.decode(codec.encode(market()))
        assert again.starts.tolist() == market().starts.tolist()
        assert again.closes.tobytes() == market().closes.tobytes()
        assert len(codec.decode(codec.encode(codec.empty))) == 0

    def test_give_macro_values_back_to_the_bit(self) -> None:
        codec = macro_codec()
        again = codec.decode(codec.encode(macro()))
        for day in range(MONDAY, MONDAY + 20):
            assert macro_features(again, day).tobytes() == macro_features(macro(), day).tobytes()

    @pytest.mark.parametrize(
        "pairs",
        [
            None,
            {},
            "x",
            [1],
            [[]],
            [[MONDAY]],
            [[300, 4000.0, 1]],
            [["300", "4000.0"]],
            [[300.0, 4000.0]],
            [[True, 4000.0]],
            [[300, None]],
            [[300, "4000"]],
            [[301, 4000.0]],
            [[-300, 4000.0]],
            [[600, 4000.0], [300, 4000.0]],
            [[300, 4000.0], [300, 4000.0]],
            [[300, float("nan")]],
            [[300, 0]],
            [[300, 10**400]],
            [[10**30, 4000.0]],
            [[300 * 10**14, 4000.0]],
            [[300 * 10**16, 4000.0], [300, 4000.0]],
        ],
    )
    def test_refuse_what_are_no_bars(self, pairs: object) -> None:
        with pytest.raises(InvalidRequest):
            bars_codec(1000).decode(json.dumps({"bars": pairs}).encode())

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"null", b"[]", b"1", b'"bars"', b'{"bars"', b"\xff\xfe", b"[" * 100_000],
    )
    def test_refuse_what_is_none_of_theirs(self, body: bytes) -> None:
        with pytest.raises(InvalidRequest):
            bars_codec(1000).decode(body)
        with pytest.raises(InvalidRequest):
            macro_codec().decode(body)

    @given(body=st.binary(max_size=80))
    def test_refuse_any_bytes_without_any_other_error(self, body: bytes) -> None:
        for codec in (bars_codec(1000), macro_codec()):
            with pytest.raises(InvalidRequest):
                codec.decode(body)

    def test_say_what_a_later_value_has_beyond_an_earlier_one(self) -> None:
        codec = bars_codec(1000)
        earlier = BarSeries(market().starts[:5], market().closes[:5])
        later = BarSeries(market().starts[1:6], np.append(market().closes[1:5], 1.0))
        assert codec.since(earlier, later).starts.tolist() == [bar(5).start]
        assert len(codec.since(later, later)) == 0
        of_macro = macro_codec()
        news = of_macro.since(macro(), with_value("vix", MONDAY, 33.0))
        assert {name: news.by_day(name) for name in MACRO_COLUMNS if news.by_day(name)} == {
            "vix": {MONDAY: 33.0}
        }


def test_a_reader_never_sees_half_of_a_request() -> None:
    feed, stop = filled(WINDOW), threading.Event()
    seen: list[CachedVector] = []

    def read() -> None:
        while not stop.is_set():
            seen.append(feed.latest())

    reader = threading.Thread(target=read)
    reader.start()
    for begin in range(WINDOW, WINDOW + 60, 10):
        feed.add_bars(bars_of(begin, begin + 10)[::-1], NOW)
    stop.set()
    reader.join(10)
    whole = {known_at(index): row_of(index) for index in range(WINDOW - 1, WINDOW + 60, 10)}
    assert all(same_bits(found.vector, whole[found.timestamp]) for found in seen)


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    feed = new_feed(SqliteDocuments(tmp_path / "market.db"))
    feed.add_bars([bar(0)], NOW)
    feed.close()
    feed.close()
    assert new_feed(SqliteDocuments(tmp_path / "market.db")).has_bar(at(market().starts[0]))
