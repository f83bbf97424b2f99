"""Who may call what: roles, routes, keys.

A route that is not in `ROUTES` does not exist for a caller, whatever a router would match: so
one that somebody forgets to enter here is unreachable instead of open.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from config.settings import AccessKey, Environment, Role, Settings
from errors import ConfigurationError

__all__ = [
    "ANONYMOUS",
    "LOCAL",
    "OPEN",
    "OTHER",
    "ROUTES",
    "Access",
    "Caller",
    "check_access",
    "current_caller",
    "digest_of",
    "is_loopback",
    "may",
]

OPEN = None
"""In place of a role: served without a key."""

OTHER = "other"
"""In place of a route: of a path that leads nowhere."""

ROUTES: Mapping[str, Role | None] = MappingProxyType(
    {
        "POST /v1/inference": Role.TRADER,
        "POST /v1/inference/batch": Role.TRADER,
        "POST /v1/market/bars": Role.TRADER,
        "POST /v1/market/macro": Role.TRADER,
        "GET /v1/features/latest": Role.VIEWER,
        "GET /v1/features/{timestamp}": Role.VIEWER,
        "GET /v1/risk/summary": Role.VIEWER,
        "POST /v1/risk/trade-result": Role.TRADER,
        "POST /v1/risk/position": Role.TRADER,
        "POST /v1/risk/mark": Role.TRADER,
        "POST /v1/orders/release": Role.TRADER,
        "POST /v1/risk/reset": Role.ADMIN,
        "POST /v1/risk/halt": Role.TRADER,
        "POST /v1/risk/resume": Role.ADMIN,
        "GET /v1/decisions": Role.VIEWER,
        "GET /v1/decisions/{id}": Role.VIEWER,
        "GET /v1/drift/latest": Role.VIEWER,
        "GET /v1/drift/report": Role.VIEWER,
        "POST /v1/drift/check": Role.TRADER,
        "GET /v1/alerts": Role.VIEWER,
        "GET /v1/preflight": Role.VIEWER,
        "GET /v1/live": Role.VIEWER,
        "POST /v1/alerts/acknowledge": Role.TRADER,
        "GET /v1/models": Role.VIEWER,
        "GET /v1/metrics": Role.VIEWER,
        "GET /v1/cache/stats": Role.VIEWER,
        "GET /health": OPEN,
        "GET /livez": OPEN,
        "GET /readyz": OPEN,
        "GET /healthz": OPEN,
        "GET /metrics": Role.VIEWER,
        "GET /": Role.VIEWER,
        "GET /docs.json": Role.VIEWER,
        "GET /schema.json": Role.VIEWER,
        "GET /static_content/{file}": Role.VIEWER,
        # The page is markup without data: a browser cannot send a key when it navigates, so
        # the page asks for one and sends it with the calls that it makes.
        "GET /dashboard": OPEN,
        "GET /dashboard/{file}": OPEN,
    }
)
"""Method and path to the least role. A last segment in braces stands for any one segment."""

RANK: Mapping[Role, int] = MappingProxyType({Role.VIEWER: 0, Role.TRADER: 1, Role.ADMIN: 2})
LOCAL_HOSTS = frozenset({b"localhost", b"127.0.0.1", b"[::1]"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who made a request: goes on record with what the request did."""

    name: str
    role: Role


ANONYMOUS = Caller("anonymous", Role.VIEWER)
"""Whoever calls an open route."""

LOCAL = Caller("local", Role.ADMIN)
"""Whoever calls from this machine while a development service has no keys."""

current_caller: ContextVar[Caller] = ContextVar("current_caller")
"""The caller of the request being served. Unset outside of a request: reading it then fails."""


def may(role: Role, least: Role | None) -> bool:
    """Whether a role is enough where `least` is needed.

    >>> may(Role.TRADER, Role.VIEWER), may(Role.TRADER, Role.ADMIN)
    (True, False)
    """
    return least is OPEN or RANK[role] >= RANK[least]


def digest_of(key: str) -> str:
    """SHA-256 of a key, as it is stored: 64 hexadecimal digits.

    A fast hash is enough, since a key is 32 random bytes and not a password.
    """
    return hashlib.sha256(key.encode()).hexdigest()


@lru_cache(maxsize=1024)  # parsing takes ten microseconds, and every request of a peer asks
def is_loopback(address: str) -> bool:
    """Whether a peer's address is of this machine.

    >>> is_loopback("127.0.0.1"), is_loopback("::ffff:127.0.0.1"), is_loopback("10.0.0.7")
    (True, True, False)
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def is_local_host(host: bytes) -> bool:
    """Whether a `Host` header names this machine, with or without a port.

    >>> is_local_host(b"localhost:8090"), is_local_host(b"[::1]:8090"), is_local_host(b"a.example")
    (True, True, False)
    """
    name = host[: host.find(b"]") + 1] if host.startswith(b"[") else host.partition(b":")[0]
    return name.lower() in LOCAL_HOSTS


def check_access(settings: Settings) -> None:
    """Refuse to start a service that anybody could call.

    Raises:
        ConfigurationError: there are no keys, outside of development.
    """
    if settings.access.keys or settings.environment is Environment.DEVELOPMENT:
        return
    raise ConfigurationError(
        f"environment is {settings.environment} and access.keys is empty: make a key with "
        "`usdcop keys new --name NAME --role trader` and set MLOPS_API_KEYS to the line it "
        "prints, or set MLOPS_ENVIRONMENT=development to serve this machine only"
    )


class Access:
    """Keys and routes of one service, prepared for the hot path.

    Args:
        settings: validated; `check_access` has passed.
    """

    def __init__(self, settings: Settings) -> None:
        check_access(settings)
        self.without_keys = not settings.access.keys
        self.allowed_origins = frozenset(
            origin.encode() for origin in settings.access.allowed_origins
        )
        self._keys = tuple(_stored(key) for key in settings.access.keys)
        routes = dict(ROUTES)
        if settings.access.open_metrics:
            routes["GET /metrics"] = OPEN
        self._methods: dict[str, dict[str, Role | None]] = {}
        for route, role in routes.items():
            method, _, path = route.partition(" ")
            self._methods.setdefault(path, {})[method] = role
        self._last_segment_free = {
            path[: path.rindex("{")]: path for path in self._methods if path.endswith("}")
        }

    def authenticate(self, header: bytes | None) -> Caller | None:
        """The caller that an `Authorization` header proves, or None.

        Every stored digest is compared, in constant time each, so that the time says nothing
        about which key was nearly right. There is no cache: hashing costs less than a
        microsecond, and a cache of keys would be one more place where keys lie in memory.
        """
        scheme, _, key = (header or b"").partition(b" ")
        if scheme.lower() != b"bearer" or not key:
            return None
        digest = hashlib.sha256(key.strip()).digest()
        found: Caller | None = None
        for stored, caller in self._keys:
            if hmac.compare_digest(stored, digest):
                found = caller
        return found

    def methods(self, path: str) -> Mapping[str, Role | None] | None:
        """Methods that a path answers to, each with its least role; None if there is no route.

        Paths are compared whole: a trailing slash or line break is another path.
        """
        return self._methods.get(self.route(path))

    def route(self, path: str) -> str:
        """A path as `ROUTES` has it; `OTHER` for all that lead nowhere."""
        if path in self._methods:
            return path
        above, slash, last = path.rpartition("/")
        return self._last_segment_free.get(above + slash, OTHER) if last else OTHER


def _stored(key: AccessKey) -> tuple[bytes, Caller]:
    return bytes.fromhex(key.sha256), Caller(key.name, key.role)
