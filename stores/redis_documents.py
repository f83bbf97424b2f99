"""Documents in Redis, which the processes of many hosts share."""

import uuid

from errors import StoreCorrupt
from stores.documents import ABSENT, Document
from stores.redis_link import RedisLink
from stores.redis_script import Script

__all__ = ["RedisDocuments"]

# ARGV: 1 attempt, 2 expected version, 3 body, 4 mark of this write. A second attempt finds what
# the first has written by its mark: somebody else may have written the very same body.
_WRITE = Script("""
local found = redis.call('HMGET', KEYS[1], 'version', 'mark')
local version, expected = tonumber(found[1] or '0'), tonumber(ARGV[2])
if version == expected then
  redis.call('HSET', KEYS[1], 'version', expected + 1, 'body', ARGV[3], 'mark', ARGV[4])
  return {'stored'}
end
if ARGV[1] == '2' and version == expected + 1 and found[2] == ARGV[4] then return {'stored'} end
return {'moved'}
""")


class RedisDocuments:
    """Documents of one book in Redis.

    Args:
        book: whose they are; different books share nothing but the server.
        link: to the server; closed with this.
    """

    name = "redis"

    def __init__(self, book: str, link: RedisLink) -> None:
        self._book = book
        self._link = link

    def read(self, name: str) -> Document:
        """The newest version."""
        key = self._key(name)
        version, body = self._link.ask("HMGET", key, "version", "body")
        if version is None:
            return ABSENT
        if body is None or not version.isdigit():
            raise StoreCorrupt(
                f"{key} in {self._link.name} is damaged; delete it: what was in it can be sent "
                "again"
            )
        return Document(int(version), body)

    def write(self, name: str, body: bytes, *, expected: int) -> bool:
        """Store the next version, if `expected` is the newest."""
        reply = self._link.run(_WRITE, [self._key(name)], [expected, body, uuid.uuid4().hex])
        return bool(reply[0] == b"stored")

    def close(self) -> None:
        """Close the connections. Closing twice is harmless."""
        self._link.close()

    def _key(self, name: str) -> str:
        return f"usdcop:{{{self._book}}}:document:{name}"
