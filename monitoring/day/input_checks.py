"""Whether what decisions are made of is there: models, market, drift checks, room, a clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from math import isclose
from typing import Any, Final
from zoneinfo import ZoneInfo

from features.bars import BAR_SECONDS
from features.feed import FeedStatus
from features.macro_limits import spec_of
from monitoring.alerts.desk_conditions import IN_USE
from monitoring.day.preflight import Check, armed, not_armed, warned
from monitoring.day.schedule import Opening

__all__ = [
    "calendar_check",
    "clock_check",
    "disk_check",
    "drift_checks",
    "market_checks",
    "models_check",
    "target_checks",
]

_KNOWN_FOR: Final = timedelta(days=30)
_LAST_BARS: Final = timedelta(minutes=30)
_OLD_REFERENCE: Final = timedelta(days=21)
_AHEAD: Final = timedelta(seconds=5)
_MEBIBYTE: Final = 1 << 20


def calendar_check(
    coming: Opening | None, today: date, known_until: date | None, zone: ZoneInfo
) -> Check:
    """Whether today has a session, and when.

    Args:
        coming: the session that is open, or the next one; None when none is known of.
        today: in the desk's time zone.
        known_until: last day whose holidays are known; None when there are no holidays.
        zone: that time zone.
    """
    right = "name the holidays of later days, then set calendar.known_until"
    if coming is None:
        return not_armed("calendar", f"no session of {today} or later is known of", right)
    start, end = (at.astimezone(zone) for at in (coming.starts_at, coming.ends_at))
    hours = f"{start:%H:%M:%S} to {end:%H:%M:%S} {zone.key}"
    if coming.day != today:
        return warned(
            "calendar",
            f"no session is left today; the next one is {coming.day:%A %Y-%m-%d}, {hours}",
            "nothing, if that is meant",
        )
    told = f"{today:%A %Y-%m-%d}, {hours}"
    if known_until is not None and known_until - today < _KNOWN_FOR:
        return warned("calendar", f"{told}; holidays are known until {known_until}", right)
    return armed("calendar", told)


def models_check(
    answers: Mapping[str, Sequence[float]], served: Mapping[str, str], newest: Mapping[str, str]
) -> Check:
    """Whether the models answer, and are those that are live.

    Args:
        answers: model name to its probabilities of an observation.
        served: model name to the version that was loaded.
        newest: the same of what a start would load now.
    """
    names = ", ".join(f"{name}:{version}" for name, version in served.items())
    for name, row in answers.items():
        if not isclose(sum(row), 1.0, abs_tol=1e-6) or not all(0 <= one <= 1 for one in row):
            told = f"{name} answers {list(row)}, which are no probabilities"
            return not_armed("models", told, "export it again, and verify it")
    changed = [name for name, version in newest.items() if served.get(name) != version]
    if changed:
        return warned(
            "models",
            f"{names} answer; a start would now load another version of {', '.join(changed)}",
            "start the service again",
        )
    return armed("models", f"{names} answer")


def market_checks(
    status: FeedStatus, coming: Opening, before: Opening | None, now: datetime, *, macro: bool
) -> Iterator[Check]:
    """Whether bars and macro values are enough and fresh, where bars are used.

    Args:
        status: of the feed.
        coming: the session that this is about.
        before: the session before it; None when none is known of.
        now: aware.
        macro: whether vectors have macro features.
    """
    newest = status.newest_bar
    if newest is None or now - newest > IN_USE:
        yield armed("bars", "none are used: callers bring their vectors")
        return
    yield _bars(status, newest, before)
    if macro:
        yield _macro(status, coming)


def _bars(status: FeedStatus, newest: datetime, before: Opening | None) -> Check:
    ended = newest + timedelta(seconds=BAR_SECONDS)
    told = (
        f"{status.bars} are kept, {status.needed} are needed; the newest ended "
        f"{ended:%Y-%m-%d %H:%M} UTC"
    )
    right = "send what is missing to POST /v1/market/bars, or start with market.bars_file"
    if status.bars < status.needed:
        return not_armed("bars", told, right)
    if before is not None and ended < before.ends_at - _LAST_BARS:
        return warned("bars", f"{told}, before the end of the session of {before.day}", right)
    if status.not_ready is not None:
        return not_armed("bars", f"{told}; {status.not_ready}", right)
    return armed("bars", told)


def _macro(status: FeedStatus, coming: Opening) -> Check:
    old = []
    for name, newest in status.macro.items():
        most = spec_of(name).stale_after_days
        if newest is None:
            old.append(f"{name} has no value")
        elif (coming.day - date.fromisoformat(newest)).days > most:
            old.append(f"{name} is of {newest}, at most {most} days may be between")
    if old:
        right = "send the newest values to POST /v1/market/macro"
        return not_armed("macro", "; ".join(old), right)
    oldest = min(str(newest) for newest in status.macro.values())
    return armed("macro", f"{len(status.macro)} series, the oldest is of {oldest}")


def drift_checks(
    newest: Mapping[str, Any] | None, due: datetime | None, now: datetime, *, enabled: bool
) -> Iterator[Check]:
    """Whether the drift job lives, and what it holds the market against.

    Args:
        newest: entry of the newest check; None before the first.
        due: when the newest was due, aware; None when none was.
        now: aware.
        enabled: whether checks are made on a schedule.
    """
    if not enabled:
        yield warned("drift", "checks are made on demand only", "monitoring.enable_drift_detection")
        return
    if newest is None:
        yield warned("drift", "no check has been made yet", "the first is made in the session")
        return
    yield _drift_job(newest, due)
    yield _drift_reference(newest.get("reference"), now)


def _drift_job(newest: Mapping[str, Any], due: datetime | None) -> Check:
    made_at, state = str(newest.get("at")), str(newest.get("state"))
    told = f"the newest check is of {made_at[:16]}: {state}"
    if due is not None and datetime.fromisoformat(made_at) < due:
        return warned(
            "drift",
            f"{told}; the one that was due at {due:%Y-%m-%d %H:%M} UTC is missing",
            "the service's log says why; `usdcop drift check` makes one",
        )
    if state == "alarm":
        reasons = "; ".join(map(str, newest.get("reasons", ())))
        return warned("drift", f"{told}: {reasons}", "look at /v1/drift/report")
    return armed("drift", told)


def _drift_reference(reference: Mapping[str, Any] | None, now: datetime) -> Check:
    name = "drift reference"
    if not reference:
        right = "record sessions, or add a profile with `usdcop reference build`"
        return warned(name, "there is none to hold the market against", right)
    told = (
        f"{reference['sessions']} sessions ({reference['kind']}), {str(reference['from'])[:10]} to "
        f"{str(reference['to'])[:10]}"
    )
    if reference["kind"] != "recorded":
        return warned(name, told, "it is of training data until 30 sessions are on record")
    if now - datetime.fromisoformat(str(reference["to"])) > _OLD_REFERENCE:
        return warned(name, told, "sessions on record that are newer")
    return armed(name, told)


def disk_check(free: int, least_mb: int, where: str) -> Check:
    """Whether there is room to write.

    Args:
        free: bytes.
        least_mb: MiB that must be free.
        where: of which folder.
    """
    told = f"{free // _MEBIBYTE:,} MiB are free at {where}"
    if free < least_mb * _MEBIBYTE:
        return not_armed("disk", told, f"at least {least_mb:,} MiB (desk.free_disk_mb)")
    return armed("disk", told)


def clock_check(now: datetime, newest: datetime | None) -> Check:
    """Whether the clock is behind what is on record.

    Args:
        now: aware.
        newest: time of the newest record; None when there is none.
    """
    told = f"it is {now:%Y-%m-%d %H:%M:%S} UTC"
    if newest is not None and newest - now > _AHEAD:
        return not_armed(
            "clock",
            f"{told}, and the newest record is of {newest:%Y-%m-%d %H:%M:%S} UTC",
            "set this host's clock; have it kept by NTP",
        )
    return armed("clock", told)


def target_checks(
    targets: Sequence[str], tried: Mapping[str, str | None] | None
) -> Iterator[Check]:
    """Whether somebody would be told.

    Args:
        targets: as they are shown.
        tried: target to why a test message did not arrive, None where it did; None when none was
            sent.
    """
    name = "alerts"
    if not targets:
        yield warned(name, "there is no address: nobody is told", "set alerts.urls")
        return
    if tried is None:
        yield armed(name, f"{', '.join(targets)}; no test message was sent")
        return
    # While one of them takes messages, somebody is told.
    judge = warned if None in tried.values() else not_armed
    for target, error in tried.items():
        if error is None:
            yield armed(f"{name} {target}", "a test message was delivered")
        else:
            yield judge(f"{name} {target}", error, "an address that takes messages")
