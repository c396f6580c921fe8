"""Who may talk to the page: this machine's own browser, on this page's own address."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

__all__ = ["HOSTS", "Guard"]

HOSTS = ("127.0.0.1", "localhost")

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


class Guard:
    """ASGI middleware that refuses foreign Hosts and Origins.

    Listening on the loopback address keeps other machines out, not other pages: a page anywhere can send a
    browser to 127.0.0.1 (a foreign Origin), or let its own name point there (a foreign Host).

    Parameters
    ----------
    app : ASGI application
    port : int
        The page's own.
    """

    def __init__(self, app: App, port: int) -> None:
        self.app = app
        self.own = {f"{host}:{port}" for host in HOSTS}

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket") or self._welcome(scope):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            text = f"This page answers only at {' and '.join(sorted(self.own))}.\n".encode()
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text))]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": text})

    def _welcome(self, scope: Message) -> bool:
        headers = [(name, value.decode("latin-1")) for name, value in scope["headers"]]
        hosts = [value for name, value in headers if name == b"host"]
        origins = [urlsplit(value).netloc for name, value in headers if name == b"origin"]
        return len(hosts) == 1 and hosts[0] in self.own and all(origin in self.own for origin in origins)
