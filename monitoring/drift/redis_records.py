"""What drift checks found, in Redis: `redis-cli GET drift:latest` shows it.

Each key is written by itself, over a link of its own, so that they may lie on different nodes of a
cluster: a link goes to one node at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from monitoring.drift.records import (
    LATEST,
    LOG,
    MOST_ENTRIES,
    REPORT,
    Entry,
    decoded_entry,
    encoded_entry,
)
from stores.redis_link import RedisLink
from stores.redis_script import Script

__all__ = ["RedisDriftRecords"]

_DEFAULT_BOOK: Final = "default"

# ARGV: 1 attempt, 2 value.
_SET = Script("""
redis.call('SET', KEYS[1], ARGV[2])
return {'stored'}
""")

# ARGV: 1 attempt, 2 entry, 3 what all entries of its tick begin with, 4 entries kept. A check is
# told again soon or never: only the newest entries are looked at, to keep the server free.
_ENTER = Script("""
for place, entry in ipairs(redis.call('LRANGE', KEYS[1], 0, 63)) do
  if string.sub(entry, 1, #ARGV[3]) == ARGV[3] then
    redis.call('LSET', KEYS[1], place - 1, ARGV[2])
    return {'replaced'}
  end
end
redis.call('LPUSH', KEYS[1], ARGV[2])
redis.call('LTRIM', KEYS[1], 0, tonumber(ARGV[4]) - 1)
return {'entered'}
""")


class RedisDriftRecords:
    """Records of one book in Redis.

    Args:
        book: whose they are; the keys of `default` bear no name.
        open_link: to the server; closed with this. A report is megabytes: it needs seconds.
        most_entries: that the log keeps.
    """

    name = "redis"

    def __init__(
        self, book: str, open_link: Callable[[], RedisLink], *, most_entries: int = MOST_ENTRIES
    ) -> None:
        self._before = "" if book == _DEFAULT_BOOK else f"{book}:"
        self._links = {name: open_link() for name in (LATEST, LOG, REPORT)}
        self._most_entries = most_entries

    def publish(self, entry: Mapping[str, Any], report: bytes | None) -> None:
        """Tell what a check found. Safe to repeat."""
        text, beginning = encoded_entry(entry)
        if report is not None:
            self._links[REPORT].run(_SET, [self._key(REPORT)], [report])
        self._links[LOG].run(_ENTER, [self._key(LOG)], [text, beginning, self._most_entries])
        self._links[LATEST].run(_SET, [self._key(LATEST)], [text])

    def latest(self) -> Entry | None:
        """What was published last."""
        found = self._links[LATEST].ask("GET", self._key(LATEST))
        return None if found is None else decoded_entry(found, self._key(LATEST))

    def history(self, limit: int = 50) -> list[Entry]:
        """Entries, newest first, at most so many."""
        if limit <= 0:
            return []
        found = self._links[LOG].ask("LRANGE", self._key(LOG), "0", str(limit - 1))
        return [decoded_entry(text, self._key(LOG)) for text in found]

    def report(self) -> bytes | None:
        """The newest page."""
        found: bytes | None = self._links[REPORT].ask("GET", self._key(REPORT))
        return found

    def close(self) -> None:
        """Close the connections. Closing twice is harmless."""
        for link in self._links.values():
            link.close()

    def _key(self, name: str) -> str:
        return f"{self._before}{name}"
