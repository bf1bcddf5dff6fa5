"""Serve the page: find a port, say where it is, go on until Ctrl-C."""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import uvicorn

from ..errors import UsageError
from .app import make_app
from .guard import Guard, is_loopback
from .shelf import Shelf
from .starts import Starts

__all__ = ["Address", "serve"]

PORT = 8765
TRIES = 20  # ports after the one asked for


@dataclass(frozen=True)
class Address:
    """Where the page is."""

    host: str
    port: int
    token: str

    @property
    def url(self) -> str:
        """The address for a browser on this machine, with the token that starting runs needs."""
        return self._at("127.0.0.1" if self.host in ("0.0.0.0", "localhost") else self.host)

    @property
    def elsewhere(self) -> str | None:
        """The address for other machines, where they may ask."""
        return None if is_loopback(self.host) else self._at(socket.gethostname())

    def _at(self, name: str) -> str:
        name = f"[{name}]" if ":" in name else name
        return f"http://{name}:{self.port}/?token={quote(self.token, safe='')}"


def serve(
    shelf: Shelf, *, host: str = "127.0.0.1", port: int | None = None, token: str | None = None,
    default: str | None = None, ready: Callable[[Address, str], None],
) -> None:  # fmt: skip
    """Serve until Ctrl-C; `ready` hears the address, and a word where it is another port than was asked for.

    Raises UsageError where no port is free, or the host is none of this machine.
    """
    if not is_loopback(host) and token is None:
        raise UsageError(
            f"--host {host} can be reached by other machines: give a token with --token, or leave the host out and "
            "forward the port with ssh -L"
        )
    listener, note = _listen(host, PORT if port is None else port)
    address = Address(host, int(listener.getsockname()[1]), token or secrets.token_urlsafe(16))
    app = make_app(shelf, Starts(shelf), default=default, token=address.token, shared=not is_loopback(host))
    guarded = Guard(app, host, address.token)
    config = uvicorn.Config(guarded, log_level="critical", lifespan="off", timeout_graceful_shutdown=1, ws="none")
    server = uvicorn.Server(config)
    ready(address, note)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()


def _listen(host: str, port: int) -> tuple[socket.socket, str]:
    """A socket on that port, or on the next one that is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for step in range(TRIES if port else 1):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port + step))
        except (OSError, OverflowError) as error:
            listener.close()
            if getattr(error, "errno", None) in (errno.EADDRINUSE, errno.EACCES) and port + step < 65535:
                continue
            why = getattr(error, "strerror", None) or error
            raise UsageError(
                f"cannot listen on {host}, port {port + step}: {why}; give another --host or --port"
            ) from None
        listener.listen(128)
        return listener, f"port {port} is in use, so this is the next one that is free" if step else ""
    raise UsageError(f"no port from {port} to {port + TRIES - 1} is free on {host}: give another with --port")
