"""Where bars, macro values and feature vectors are kept, by the settings: a part of `bootstrap`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from config.settings import Settings
from errors import ConfigurationError, RequestError
from features.cache import FeatureCache, MemoryFeatureCache
from features.fallback_cache import FallbackFeatureCache
from features.feed import MarketFeed
from features.redis_cache import RedisFeatureCache
from features.schema import Schema
from ledgers import served_redis, unhurried_redis
from stores.documents import Documents
from stores.redis_documents import RedisDocuments
from stores.redis_link import RedisLink
from stores.sqlite_documents import SqliteDocuments

__all__ = ["open_cache", "open_feed", "prepare_market"]

Value = TypeVar("Value")

_LOGGER = logging.getLogger("usdcop.start")
_REMEDY = (
    "Correct it; if it is meant, leave it out, and send it to /v1/market/macro with `confirm: true`"
)


def open_cache(settings: Settings) -> FeatureCache:
    """The cache that the settings name. It is there also while Redis is not."""
    memory = MemoryFeatureCache(settings.book, settings.cache)
    if settings.redis.host is None:
        return memory
    link = RedisLink(**served_redis(settings))
    return FallbackFeatureCache(RedisFeatureCache(settings.book, settings.cache, link), memory)


def open_feed(
    settings: Settings,
    cache: FeatureCache,
    schema: Schema | None,
    documents: Documents | None = None,
) -> MarketFeed:
    """The market as the settings have it. It is there also while its store is not.

    Args:
        settings: name store, session and bounds.
        cache: of computed vectors.
        schema: of the vectors; None when the models read something else.
        documents: where bars and macro values are kept; by default the store of the settings.
    """
    return MarketFeed(
        documents or _documents(settings, served_redis(settings)),
        cache,
        settings.market,
        settings.trading_hours,
        schema,
    )


def prepare_market(settings: Settings, now: datetime) -> None:
    """Make the folder of bars and macro values, and read the files that fill them, if any.

    What is stored already holds where a file says otherwise.

    Raises:
        ConfigurationError: a file cannot be read, holds what is refused, or is the ledger's;
            one line.
    """
    market = settings.market
    if settings.redis.host is None:
        _refuse_ledger_file(settings)
        _make_folder(settings)
    if market.bars_file is None and market.macro_file is None:
        return
    # pyarrow behind it is 36 MB, for which a worker has no use.
    from features.files import read_bars, read_macro  # noqa: PLC0415 - see above

    # Nobody waits for this: a busy server may take its time.
    documents = _documents(settings, unhurried_redis(settings))
    memory = MemoryFeatureCache(settings.book, settings.cache)
    feed = open_feed(settings, memory, None, documents)
    try:
        if market.macro_file is not None:
            path = Path(str(market.macro_file))
            macro = _read("macro_file", lambda: read_macro(path, remedy=_REMEDY))
            added = _read("macro_file", lambda: feed.fill_macro(macro, now))
            _LOGGER.info("%s: %d macro values are new", market.macro_file, added)
        if market.bars_file is not None:
            file = _read(
                "bars_file", lambda: read_bars(Path(str(market.bars_file)), settings.trading_hours)
            )
            added = _read("bars_file", lambda: feed.fill_bars(file.bars, now))
            _LOGGER.info("%s: %d bars are new", market.bars_file, added)
        if feed.degraded is not None:
            raise ConfigurationError(f"bars and macro values cannot be stored: {feed.degraded}")
    finally:
        feed.close()


def _read(name: str, read: Callable[[], Value]) -> Value:
    try:
        return read()
    except RequestError as error:
        raise ConfigurationError(f"market.{name}: {error.message}") from error


def _documents(settings: Settings, server: Mapping[str, Any]) -> Documents:
    if settings.redis.host is not None:
        return RedisDocuments(settings.book, RedisLink(**server))
    return SqliteDocuments(_file(settings))


def _file(settings: Settings) -> Path:
    path = settings.market.path
    return Path(settings.state_path).with_name("market.db") if path is None else Path(path)


def _refuse_ledger_file(settings: Settings) -> None:
    if _file(settings).resolve() == Path(settings.state_path).resolve():
        raise ConfigurationError(
            f"market.path: {_file(settings)} is the ledger's file (state_path); bars and macro "
            "values need another"
        )


def _make_folder(settings: Settings) -> None:
    folder = _file(settings).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"market.path: {folder} cannot be made: {error.strerror}"
        ) from None
