"""Keeping web pages out: a page in the operator's browser reaches loopback too.

A request passes if it names the service by an allowed name (so no other name was bent to its address)
and if it does not come from a page of another origin. There is no CORS.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from milvus_backup_server.http.responses import JsonResponse

_ANY: Final = "*"
_OWN_SITES: Final = frozenset({"same-origin", "none"})
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_AUTHORITY = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?")
_SHOWN = 100


class Guard:
    """Answers 403 to requests of foreign pages and to those that use a name that is not allowed.

    Args:
        app: What serves the others.
        listening: The address that the service listens on.
        allowed: Names besides loopback's; ``*`` for all.
    """

    def __init__(self, app: ASGIApp, *, listening: str, allowed: Sequence[str]) -> None:
        self._app = app
        self._hosts = AllowedHosts(listening, allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or refuse it."""
        if scope["type"] != "http":
            return
        fault = refusal(Headers(scope=scope), self._hosts)
        if fault:
            await JsonResponse({"error": fault}, status_code=403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class AllowedHosts:
    """The names by which requests may call the service.

    Loopback's always; where the service listens on another address, that one, and where it listens on
    all, every IP address: no page can bend an address as it can a name.
    """

    def __init__(self, listening: str, allowed: Sequence[str]) -> None:
        self._names = {"localhost", *(_bare(name) for name in (*allowed, listening))}
        self._any = _ANY in allowed
        address = _address(listening)
        self._any_address = address is not None and address.is_unspecified

    def __contains__(self, name: str) -> bool:
        """Tell whether a host name or address, without a port, is allowed."""
        bare = _bare(name)
        if self._any or bare in self._names:
            return True
        address = _address(bare)
        return address is not None and (self._any_address or address.is_loopback)


def refusal(headers: Mapping[str, str], hosts: AllowedHosts) -> str:
    """Return why a request is refused, empty if it is not.

    Args:
        headers: Of the request, by lower-case name.
        hosts: The names allowed.
    """
    authority = _AUTHORITY.fullmatch(headers.get("host", ""))
    if authority is None or authority["host"] not in hosts:
        shown = headers.get("host", "")[:_SHOWN]
        return f"Host {shown!r} is not allowed; service.http.allowedHosts can allow it"
    site = headers.get("sec-fetch-site")
    if site is not None and site not in _OWN_SITES:
        return f"requests from other sites are not allowed (Sec-Fetch-Site: {site[:_SHOWN]})"
    origin = headers.get("origin")
    if origin is not None and not _is_own(origin, headers["host"]):
        return f"requests from pages of another origin are not allowed (Origin: {origin[:_SHOWN]})"
    return ""


def _is_own(origin: str, host: str) -> bool:
    scheme, _, authority = origin.partition("://")
    port = _DEFAULT_PORTS.get(scheme)
    if port is None:
        return False
    return _with_port(authority, port) == _with_port(host, port)


def _with_port(authority: str, port: str) -> str:
    found = _AUTHORITY.fullmatch(authority)
    return f"{_bare(found['host'])}:{found['port'] or port}" if found else authority


def _bare(name: str) -> str:
    return name.strip("[]").removesuffix(".").lower()


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
