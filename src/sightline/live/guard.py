"""Who may ask the page: hosts that it knows, and for anything but reading on this machine those who have the token."""

from __future__ import annotations

import hmac
import ipaddress
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

__all__ = ["Guard", "is_loopback"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
HEADERS = (
    (b"content-security-policy", b"default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host in ("localhost", "ip6-localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Guard:
    """An ASGI application before another: refuses foreign hosts, other methods, and whoever lacks the token where it
    is needed.

    A page elsewhere can make a browser send requests here, and a name can be made to point here: the Host header says
    under which name (DNS rebinding), and only the token that was printed in the terminal proves who asks.
    """

    app: App
    host: str
    token: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with what is missing."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if refusal := self._refusal(scope):
            await _answer(send, *refusal)
            return

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        await self.app(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = _name(headers.get("host", ""))
        if not self._knows(host):
            return 403, f"this server does not answer to the host {host[:80]!r}: open it as it was printed"
        method = scope["method"]
        if method not in ("GET", "HEAD", "POST"):
            return 405, f"the method {method} is not allowed: only reading, and starting a run"
        if method == "POST":
            origin = headers.get("origin", "")
            if _name(origin.partition("://")[2]) != host:
                return 403, "this request comes from another page: start runs from the page itself"
        if (method == "POST" or not is_loopback(self.host)) and not self._has_token(scope, headers):
            return 403, "the token is missing or wrong: open the address as it was printed in the terminal"
        return None

    def _knows(self, host: str) -> bool:
        """Names of this machine; a server for others knows by their tokens who asks, under whatever name."""
        return is_loopback(host) or not is_loopback(self.host)

    def _has_token(self, scope: Scope, headers: dict[str, str]) -> bool:
        asked = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        cookie = headers.get("cookie", "")
        kept = unquote(
            next((c.strip()[16:] for c in cookie.split(";") if c.strip().startswith("sightline-token=")), "")
        )
        return any(
            hmac.compare_digest(given.encode(), self.token.encode())
            for given in (headers.get("x-sightline-token", ""), asked, kept)
            if given
        )


def _name(host: str) -> str:
    """The name in a Host header, without the port.

    >>> _name("[::1]:8765"), _name("localhost:8765")
    ('::1', 'localhost')
    """
    host = host.split("/")[0].strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


async def _answer(send: Send, status: int, text: str) -> None:
    body = json.dumps({"error": text}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
