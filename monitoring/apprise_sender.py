"""Messages through Apprise. The only file that imports apprise, and only once there is a target.

Addresses of Apprise hold secrets. They never leave this file: its own log, which names them, is
silenced, and an error says what happened and not where.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Container, Sequence
from typing import Any, Final

from errors import ConfigurationError
from monitoring.alerts.board import Message, MessageKind, Target
from monitoring.alerts.causes import Severity
from monitoring.alerts.sender import DeliveryFailed

__all__ = ["AppriseSender"]

_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]{0,30})://", re.IGNORECASE)
_MAIL: Final = frozenset({"mailto", "mailtos"})
_MARK_DIGITS: Final = 4
_SILENT: Final = logging.CRITICAL + 10


class AppriseSender:
    """Sends to the targets of some addresses.

    Args:
        urls: of targets that get every message.
        page_urls: of targets that get pages only; their positions come after the others.

    Raises:
        ConfigurationError: one of them is no address that Apprise can send to; says which, and
            does not show it.
    """

    def __init__(self, urls: Sequence[str], page_urls: Sequence[str] = ()) -> None:
        _silence()
        self._services: dict[str, Any] = {}
        self._mail: set[str] = set()
        found: list[Target] = []
        seen: list[str] = []
        for name, entries in (("urls", urls), ("page_urls", page_urls)):
            for number, url in enumerate(entries):
                place = f"alerts.{name}.{number}"
                if url in seen:
                    raise ConfigurationError(f"{place} is there twice; each target needs one entry")
                seen.append(url)
                target = Target(
                    mark=_mark(url, self._services),
                    shown=f"{len(found) + 1} ({_scheme(url, place)})",
                    pages_only=name == "page_urls",
                )
                self._services[target.mark] = _service(url, place)
                if _scheme(url, place) in _MAIL:
                    self._mail.add(target.mark)
                found.append(target)
        self._targets = tuple(found)

    @property
    def targets(self) -> tuple[Target, ...]:
        """Where it can send to."""
        return self._targets

    def send(self, mark: str, message: Message) -> None:
        """Send to one target, on the caller's thread; it may take as long as the target does."""
        import apprise  # noqa: PLC0415 - half a second, for those who have targets

        kind = apprise.NotifyType.FAILURE
        if message.severity is Severity.REPORT:
            kind = apprise.NotifyType.WARNING
        if message.kind is MessageKind.RESOLVED:
            kind = apprise.NotifyType.SUCCESS
        # Only mail shows a page. All else is said to be text, so that nothing in it is taken for
        # markup.
        as_page = bool(message.page) and mark in self._mail
        taken = self._services[mark].notify(
            title=message.title,
            body=message.page if as_page else message.body,
            notify_type=kind,
            body_format=apprise.NotifyFormat.HTML if as_page else apprise.NotifyFormat.TEXT,
        )
        if not taken:
            raise DeliveryFailed("the target cannot be reached, or did not take the message")


def _service(url: str, place: str) -> Any:
    import apprise  # noqa: PLC0415 - see above

    # Nothing is written to disk, and nothing is sent from threads of Apprise's own: they would
    # keep a process from ending while a target hangs.
    asset = apprise.AppriseAsset(
        async_mode=False, service_timeout=0, storage_mode="memory", secure_logging=True
    )
    service = apprise.Apprise(asset=asset)
    plugin = apprise.Apprise.instantiate(url, asset=asset)
    if plugin is None or not service.add(plugin):
        raise ConfigurationError(
            f"{place} is no address that Apprise can send to (its value is not shown); one looks "
            "like json://host:port/path or mailto://user:password@host"
        )
    return service


def _scheme(url: str, place: str) -> str:
    found = _SCHEME.match(url)
    if found is None:
        raise ConfigurationError(
            f"{place} is no address (its value is not shown); one begins with a scheme, like "
            "json:// or mailto://"
        )
    return found[1].lower()


def _mark(url: str, taken: Container[str]) -> str:
    """Tells targets apart after a restart; too short to guess a password by."""
    digest = hashlib.sha256(url.encode()).hexdigest()
    length = _MARK_DIGITS
    while digest[:length] in taken:
        length += 1
    return digest[:length]


def _silence() -> None:
    """Apprise logs addresses, and what it sends with logs their paths."""
    apprise_log = logging.getLogger("apprise")
    apprise_log.setLevel(_SILENT)
    apprise_log.propagate = False
    logging.getLogger("urllib3").setLevel(logging.ERROR)
