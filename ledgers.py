"""Which ledger the settings name, and how far it is trusted: a part of `bootstrap`.

Three uses, three ways of opening it: a start examines it first and waits for it, a worker serves
HOLD while it cannot be reached, and a command acts on it for a person.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from application import World
from config.settings import Environment, Settings
from errors import ConfigurationError, StoreUnavailable
from risk.acts import Act
from risk.calendar import SessionCalendar
from risk.ledger.anchor_file import AnchorFile
from risk.ledger.anchored import Acknowledged, AnchoredLedger
from risk.ledger.protocol import Ledger
from risk.ledger.redis import RedisLedger
from risk.ledger.redis_checks import ServerProblem, check_server
from risk.ledger.reopening import ReopeningLedger
from risk.ledger.sqlite import SqliteLedger
from risk.ledger.sqlite_copy import Copied, copy_good
from risk.ledger.sqlite_reader import SqliteReader, refuse_damaged_file
from risk.operator import halt_regressed
from risk.verification import Readable, refuse_damaged

__all__ = [
    "RawBook",
    "anchored",
    "copy_ledger",
    "free_bytes",
    "open_book",
    "open_ledger",
    "open_raw_book",
    "own_ledger",
    "readable_ledger",
    "served_ledger",
    "served_redis",
    "server_problems",
    "trusted_ledger",
    "unhurried_redis",
]

_LOGGER = logging.getLogger("usdcop.start")
_RETRY_SECONDS = 0.5
_TELL_SECONDS = 10.0
_UNHURRIED_MS = 2_000


def trusted_ledger(settings: Settings) -> Ledger:
    """The ledger of a start, once nothing speaks against it.

    While Redis does not answer it is asked again for `redis.start_wait_seconds`: where both are
    started together it may come later, and one that was started a moment ago loads its data.

    Raises:
        StoreError: it is damaged, or cannot be opened now.
        ConfigurationError: in production, the server may lose what it acknowledged.
    """
    began = told = time.monotonic()
    longest = 0.0 if settings.redis.host is None else settings.redis.start_wait_seconds
    while True:
        try:
            return _examined(settings)
        except StoreUnavailable as error:
            now = time.monotonic()
            if now >= began + longest:
                raise
            if told == began or now >= told + _TELL_SECONDS:
                _LOGGER.warning("the start waits, at most %.0f s: %s", began + longest - now, error)
                told = now
            time.sleep(_RETRY_SECONDS)


def _examined(settings: Settings) -> Ledger:
    _trust_store(settings)
    ledger = _first_opened(settings)
    try:
        if settings.redis.host is not None:
            refuse_damaged(ledger, where=f"the ledger of book {settings.book!r} in Redis")
    except BaseException:
        ledger.close()
        raise
    return ledger


def _first_opened(settings: Settings) -> Ledger:
    """The ledger, made if this host knows of none; one that is gone is not made again."""
    remembered = _remembered(settings)
    try:
        return open_ledger(settings, create=remembered is None)
    except StoreUnavailable as error:
        if remembered is None:
            raise
        raise StoreUnavailable(
            f"{error}. Record {remembered.sequence} was acknowledged to this host before. If the "
            "ledger is lost for good, `usdcop ledger reconcile --reason ...` accepts that"
        ) from error


def served_ledger(settings: Settings) -> Ledger:
    """The ledger of a worker, which starts, and says HOLD, also while it cannot be reached."""
    if settings.redis.host is not None:
        return RedisLedger(settings.book, create=False, lazy=True, **served_redis(settings))
    return ReopeningLedger(SqliteLedger.name, lambda: open_ledger(settings, create=False))


def open_ledger(settings: Settings, *, create: bool) -> Ledger:
    """The ledger that the settings name.

    Raises:
        StoreError: it cannot be opened, or is not there and may not be made.
    """
    if settings.redis.host is None:
        return SqliteLedger(Path(settings.state_path), create=create)
    return _redis_ledger(settings, create=create)


def own_ledger(path: Path) -> Ledger:
    """A new file for a ledger that is no live book's, such as that of a replay.

    Raises:
        StoreError: it cannot be made.
    """
    return SqliteLedger(path, create=True)


def _redis_ledger(settings: Settings, *, create: bool, lazy: bool = False) -> RedisLedger:
    return RedisLedger(settings.book, create=create, lazy=lazy, **unhurried_redis(settings))


def unhurried_redis(settings: Settings) -> dict[str, Any]:
    """Where Redis is, for what nobody waits for: a start, or a command."""
    redis = settings.redis
    return {**served_redis(settings), "timeout_ms": max(redis.timeout_ms, _UNHURRIED_MS)}


def served_redis(settings: Settings) -> dict[str, Any]:
    """Where Redis is, for what a caller waits for."""
    redis = settings.redis
    return {
        "host": redis.host,
        "port": redis.port,
        "db": redis.db,
        "password": None if redis.password is None else redis.password.get_secret_value(),
        "timeout_ms": redis.timeout_ms,
    }


def anchored(settings: Settings, ledger: Ledger) -> AnchoredLedger:
    """A ledger that is held against what it acknowledged to this host before."""
    return AnchoredLedger(
        ledger,
        _memory(settings),
        lambda inner, complaint: halt_regressed(complaint, _act_of(settings, inner, "ledger")),
    )


def _memory(settings: Settings) -> AnchorFile:
    redis = settings.redis
    store = (
        f"sqlite:{settings.state_path}"
        if redis.host is None
        else f"redis://{redis.host}:{redis.port}/{redis.db} {settings.book}"
    )
    return AnchorFile(Path(settings.acknowledged_path), store)


def _remembered(settings: Settings) -> Acknowledged | None:
    memory = _memory(settings)
    try:
        return memory.read()
    finally:
        memory.close()


def server_problems(settings: Settings) -> list[ServerProblem]:
    """What speaks against keeping the ledger on its server; empty for the embedded store.

    Raises:
        StoreUnavailable: it cannot be reached.
    """
    return [] if settings.redis.host is None else check_server(**unhurried_redis(settings))


def _trust_store(settings: Settings) -> None:
    """Look at a store before anything is decided on it.

    Raises:
        StoreCorrupt: it is damaged.
        ConfigurationError: in production, the server may lose what it acknowledged.
    """
    if settings.redis.host is None:
        refuse_damaged_file(Path(settings.state_path))
        return
    for problem in server_problems(settings):
        if problem.severe and settings.environment is Environment.PRODUCTION:
            raise ConfigurationError(problem.message)
        _LOGGER.warning("%s", problem.message)


@dataclass(frozen=True, slots=True)
class RawBook:
    """A book whose ledger is not held against what it acknowledged.

    Attributes:
        act: of a person.
        remembered: the highest place that it acknowledged to this host.
    """

    act: Act
    remembered: Acknowledged | None


def open_book(settings: Settings, actor: str) -> Act:
    """A person acts on the book by command; closing `ledger` is the caller's.

    Raises:
        StoreError: the ledger cannot be opened.
    """
    return _act_of(settings, anchored(settings, open_ledger(settings, create=False)), actor)


def open_raw_book(settings: Settings, actor: str) -> RawBook:
    """The same, to say what is to be done about a ledger that went backwards.

    A file that is gone is made again, empty: to accept that loss is what it is opened for.

    Raises:
        StoreError: the ledger cannot be opened.
    """
    remembered = _remembered(settings)
    ledger = open_ledger(settings, create=remembered is not None)
    return RawBook(_act_of(settings, ledger, actor), remembered)


def readable_ledger(settings: Settings) -> SqliteReader | RedisLedger:
    """The records of the book, however damaged they are; closing it is the caller's.

    Raises:
        StoreError: there is nothing to be read.
    """
    if settings.redis.host is None:
        return SqliteReader(Path(settings.state_path))
    return _redis_ledger(settings, create=False, lazy=True)


def free_bytes(settings: Settings) -> int | None:
    """Room that the disk of an embedded ledger has left; None where nobody knows."""
    if settings.redis.host is not None:
        return None
    try:
        return shutil.disk_usage(Path(settings.state_path).parent).free
    except OSError:
        return None


def copy_ledger(source: Readable, out: Path, progress: Callable[[int], None]) -> Copied:
    """Copy all good records into a new SQLite file.

    Raises:
        StoreUnavailable: something is there, or it cannot be written.
    """
    return copy_good(source, out, progress=progress)


def _act_of(settings: Settings, ledger: Ledger, actor: str) -> Act:
    world = World()
    return Act(
        ledger=ledger,
        own_limits=settings.risk_limits,
        configuration="",
        calendar=SessionCalendar(settings.trading_hours, settings.calendar),
        now=world.clock(),
        new_id=world.new_id,
        actor=actor,
    )
