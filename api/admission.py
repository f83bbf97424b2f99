"""Whether a request is admitted: from which page, with which key, to which route.

Nothing here reads a body or waits: it is decided from the first line and the headers.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from api.access import ANONYMOUS, LOCAL, OPEN, Access, Caller, is_local_host, is_loopback, may
from api.failures import Failure

__all__ = ["deciding_headers", "judge"]

Scope = MutableMapping[str, Any]

FORWARDED = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip"})
READ_HEADERS = FORWARDED | {
    b"access-control-request-method",
    b"authorization",
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"host",
    b"origin",
}
CHALLENGE = (b"www-authenticate", b'Bearer realm="usdcop"')

NO_KEY = Failure(
    401,
    "this needs a key: send `Authorization: Bearer KEY` with a key that `usdcop keys new` made",
    headers=(CHALLENGE,),
)
WRONG_KEY = Failure(
    401,
    "the Authorization header holds none of this service's keys; it must be `Bearer KEY`",
    headers=((CHALLENGE[0], CHALLENGE[1] + b', error="invalid_token"'),),
)
NOT_LOCAL = Failure(
    403,
    "this service runs without keys and answers this machine only, at localhost and not through "
    "a proxy; for others it needs a key (`usdcop keys new`)",
)
FOREIGN_ORIGIN = Failure(
    403, "pages of another origin may not call this; access.allowed_origins names those that may"
)


def deciding_headers(scope: Scope) -> dict[bytes, bytes]:
    """The headers that decide something. The first of a name counts, as in the frameworks."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in READ_HEADERS:
            found.setdefault(name, value)
    return found


def judge(
    scope: Scope, path: str, headers: Mapping[bytes, bytes], access: Access
) -> Caller | Failure:
    """Who is calling, or why it is refused: by origin, key, route, method and role, in this order.

    Args:
        scope: of the connection.
        path: as the router will see it.
        headers: of `deciding_headers`.
        access: keys and routes.
    """
    method: str = scope["method"]
    origin = headers.get(b"origin")
    if origin is not None and not _knows_origin(origin, headers.get(b"host", b""), access):
        return FOREIGN_ORIGIN
    methods = access.methods(path)
    is_open = methods is not None and method in methods and methods[method] is OPEN
    caller = _caller(scope, headers, access, is_open=is_open)
    if isinstance(caller, Failure):
        return caller
    if methods is None:
        return Failure(404, f"there is no {path[:64]!r}; /docs.json lists what there is")
    if method not in methods:
        takes = ", ".join(methods)
        allow = ((b"allow", takes.encode()),)
        return Failure(405, f"{path} answers to {takes}, not to {method[:16]}", headers=allow)
    least = methods[method]
    if may(caller.role, least):
        return caller
    return Failure(
        403,
        f"{method} {path} needs the role {least}; the key {caller.name!r} has the role "
        f"{caller.role}",
    )


def _caller(
    scope: Scope, headers: Mapping[bytes, bytes], access: Access, *, is_open: bool
) -> Caller | Failure:
    if access.without_keys:
        return LOCAL if _is_local(scope, headers) else NOT_LOCAL
    if is_open:
        return ANONYMOUS
    header = headers.get(b"authorization")
    if header is None:
        return NO_KEY
    return access.authenticate(header) or WRONG_KEY


def _knows_origin(origin: bytes, host: bytes, access: Access) -> bool:
    # Behind a proxy that ends TLS the scheme differs, so only host and port are compared.
    own = origin.partition(b"://")[2].lower() == host.lower() != b""
    return own or origin in access.allowed_origins


def _is_local(scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request comes from this machine, and was meant for it.

    The host must be local because a page can point its own name at 127.0.0.1. A forwarding
    header is never believed, but having one shows that somebody else's request was passed on.
    """
    peer = scope.get("client")
    return (
        peer is not None
        and is_loopback(peer[0])
        and is_local_host(headers.get(b"host", b""))
        and FORWARDED.isdisjoint(headers)
    )
