"""Whether a Redis server is set up to keep a ledger: what is looked at before one is trusted to it.

A cache may forget; a ledger may not. A server that evicts keys, or keeps nothing on disk, would
answer every call well until the day it has lost the losses of that day.
"""

from dataclasses import dataclass

from errors import StoreUnavailable
from stores.redis_link import RedisLink

__all__ = ["ServerProblem", "check_server"]


@dataclass(frozen=True, slots=True)
class ServerProblem:
    """Something about a server that a ledger may suffer from.

    Attributes:
        message: what, and what would be right; one line.
        severe: acknowledged events will be lost, or none can be stored; a warning otherwise.
    """

    message: str
    severe: bool


def check_server(
    *, host: str, port: int = 6379, db: int = 0, password: str | None = None, timeout_ms: int = 150
) -> list[ServerProblem]:
    """What speaks against keeping a ledger on this server; empty when nothing does.

    Raises:
        StoreUnavailable: it cannot be reached.
    """
    link = RedisLink(host=host, port=port, db=db, password=password, timeout_ms=timeout_ms)
    try:
        link.ask("PING")
        return _Server(link).problems()
    finally:
        link.close()


class _Server:
    """What a server tells about itself. Many a hosted one forbids CONFIG, some forbid INFO."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._info = {
            **self._facts("memory"),
            **self._facts("persistence"),
            **self._facts("replication"),
        }

    def problems(self) -> list[ServerProblem]:
        found = (self._role(), self._eviction(), self._persistence())
        return [problem for problem in found if problem is not None]

    def _role(self) -> ServerProblem | None:
        role = self._info.get("role")
        if role is None:
            return self._unknown("whether it is a master")
        if role == "master":
            return None
        return self._severe(f"is a replica ({role}) and takes no writes; name its master")

    def _eviction(self) -> ServerProblem | None:
        policy = self._info.get("maxmemory_policy") or self._configured("maxmemory-policy")
        if policy is None:
            return self._unknown("whether it evicts keys (maxmemory-policy)")
        if not policy.startswith("allkeys-"):
            return None
        return self._severe(
            f"may evict the ledger (maxmemory-policy {policy}); set maxmemory-policy noeviction"
        )

    def _persistence(self) -> ServerProblem | None:
        log, snapshots = self._info.get("aof_enabled"), self._configured("save")
        if log == "1":
            return self._log()
        if log is None or (log == "0" and snapshots is None):
            return self._unknown("whether it keeps anything on disk (appendonly, save)")
        if not snapshots:
            return self._severe(
                "keeps nothing on disk (appendonly no, no save points); set appendonly yes and "
                "appendfsync always"
            )
        return self._warning(
            f"keeps snapshots only (save {snapshots}): a crash loses all events since the newest "
            "one; set appendonly yes and appendfsync always"
        )

    def _log(self) -> ServerProblem | None:
        when = self._configured("appendfsync")
        if when is None:
            return self._unknown("when it writes to the disk (appendfsync)")
        if when == "always":
            return None
        return self._warning(
            f"writes to the disk later than it answers (appendfsync {when}): a loss of power "
            "loses acknowledged events; set appendfsync always"
        )

    def _facts(self, section: str) -> dict[str, str]:
        try:
            text = self._link.ask("INFO", section).decode()
        except StoreUnavailable:
            return {}
        pairs = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
        return {name: value for name, _, value in pairs}

    def _configured(self, name: str) -> str | None:
        try:
            answer = self._link.ask("CONFIG", "GET", name)
        except StoreUnavailable:
            return None
        return answer[1].decode() if len(answer) == 2 else None

    def _severe(self, text: str) -> ServerProblem:
        return ServerProblem(f"{self._link.name} {text}", severe=True)

    def _warning(self, text: str) -> ServerProblem:
        return ServerProblem(f"{self._link.name} {text}", severe=False)

    def _unknown(self, what: str) -> ServerProblem:
        return self._warning(f"does not tell {what}")
