"""What a preflight can tell without any part of the service: a part of `bootstrap`."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from pathlib import Path

from alerting import open_sender
from config.settings import Settings
from errors import ServiceError
from monitoring.alerts.sender import Sender
from monitoring.alerts.trial import try_targets
from monitoring.day.input_checks import calendar_check, disk_check, target_checks
from monitoring.day.preflight import Check, Preflight, not_armed
from monitoring.day.schedule import Opening, coming_session, past_session
from risk.calendar import SessionCalendar

__all__ = ["Surroundings", "checked"]

_LOGGER = logging.getLogger("usdcop.day")


class Surroundings:
    """What a look is about, and what is known without any part of the service.

    Args:
        settings: in force.
        calendar: of sessions.
        now: aware.

    Attributes:
        now: the same.
        coming: the session that is open, or the next one; None when none is known of.
        past: the one before it; None likewise.
    """

    def __init__(self, settings: Settings, calendar: SessionCalendar, now: datetime) -> None:
        self._settings, self._calendar, self.now = settings, calendar, now
        hours, today = settings.trading_hours, calendar.day(now)
        self.coming: Opening | None = coming_session(hours, calendar, now)
        before = today if self.coming is None else self.coming.day
        self.past: Opening | None = past_session(hours, calendar, before)

    def calendar_checks(self) -> Iterator[Check]:
        """Whether there is a session to look forward to."""
        settings = self._settings
        known: date | None = settings.calendar.known_until
        yield calendar_check(
            self.coming,
            self._calendar.day(self.now),
            known if settings.calendar.countries else None,
            settings.trading_hours.zone,
        )

    def outside(self, sender: Sender | None, *, send: bool) -> list[Check]:
        """Whether there is room to write, and whether somebody would be told.

        Args:
            sender: to the targets; None for those of the settings.
            send: a test message to each of them.
        """
        return [
            *checked("disk", self._disk),
            *checked("alerts", lambda: self._targets(sender, send=send)),
        ]

    def _disk(self) -> Iterator[Check]:
        folder = Path(self._settings.state_path).absolute().parent
        while not folder.is_dir():  # with Redis there may be none
            folder = folder.parent
        free = shutil.disk_usage(folder).free
        yield disk_check(free, self._settings.desk.free_disk_mb, str(folder))

    def _targets(self, sender: Sender | None, *, send: bool) -> Iterator[Check]:
        alerts = self._settings.alerts
        sender = sender or open_sender(alerts)
        tried = (
            try_targets(
                sender,
                book=self._settings.book,
                now=self.now,
                timeout_seconds=alerts.timeout_seconds,
                timer=time.monotonic,
            )
            if send
            else None
        )
        yield from target_checks([target.shown for target in sender.targets], tried)

    def preflight(self, actor: str, checks: Iterable[Check]) -> Preflight:
        """The look that these checks add up to."""
        session = None if self.coming is None else self.coming.day
        return Preflight(self._settings.book, self.now, actor, session, tuple(checks))


def checked(name: str, judge: Callable[[], Iterable[Check]]) -> list[Check]:
    """The checks that a judge makes; one that cannot judge is a check that is not armed."""
    found: list[Check] = []
    try:
        found.extend(judge())
    except ServiceError as error:
        found.append(not_armed(name, str(error), "what its message says"))
    except Exception as error:  # an edge: whatever cannot be looked at is not armed
        _LOGGER.exception("preflight: %s could not be looked at", name)
        found.append(not_armed(name, f"{type(error).__name__}: {error}", "the log says why"))
    return found
