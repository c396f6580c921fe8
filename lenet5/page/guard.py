"""Who may talk to the page, and how much: this machine's own browser, on this page's own address, at a hand's pace."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

__all__ = ["HOSTS", "Guard"]

HOSTS = ("127.0.0.1", "localhost")
# Of each connection messages, and of all together requests: so many at once, and so many more in every second. A hand
# with a mouse makes up to 60 messages a second, a page that is opened 40 requests.
BURST, RATE = 500, 200

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


class Bucket:
    """Takes up to `BURST` things at once, and `RATE` of them a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.left, self.when = clock, float(BURST), clock()

    def take(self) -> bool:
        """Return whether there is room for one more."""
        now = self.clock()
        self.left = min(self.left + (now - self.when) * RATE, BURST)
        self.when = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Guard:
    """ASGI middleware that refuses foreign Hosts and Origins, large bodies, and floods.

    Listening on the loopback address keeps other machines out, not other pages: a page anywhere can send a
    browser to 127.0.0.1 (a foreign Origin), or let its own name point there (a foreign Host).

    Parameters
    ----------
    app : ASGI application
    port : int
        The page's own.
    most : int
        Bytes of a request's body.
    """

    def __init__(self, app: App, port: int, most: int) -> None:
        self.app, self.most, self.requests = app, most, Bucket()
        self.own = {f"{host}:{port}" for host in HOSTS}

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self.app(scope, receive if scope["type"] == "http" else _paced(receive), send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            status, words = refusal
            text = f"{words}\n".encode()
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text))]
            headers.append((b"connection", b"close"))  # what else was being sent is not read
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": text})

    def _refusal(self, scope: Message) -> tuple[int, str] | None:
        """Return status and words for a request that is not passed on."""
        headers = [(name, value.decode("latin-1")) for name, value in scope["headers"]]
        if not self._welcome(headers):
            return 403, f"This page answers only at {' and '.join(sorted(self.own))}."
        if not self.requests.take():
            return 429, f"More than {RATE} requests a second: wait a moment."
        if any(name == b"transfer-encoding" for name, _ in headers):
            return 411, "Send the length of the body in front of it."
        lengths = [value for name, value in headers if name == b"content-length"]
        if not all(value.isdecimal() and len(value) < 20 and int(value) <= self.most for value in lengths):
            return 413, f"This page takes up to {self.most:,} bytes."
        return None

    def _welcome(self, headers: list[tuple[bytes, str]]) -> bool:
        hosts = [value for name, value in headers if name == b"host"]
        origins = [urlsplit(value).netloc for name, value in headers if name == b"origin"]
        return len(hosts) == 1 and hosts[0] in self.own and all(origin in self.own for origin in origins)


def _paced(receive: Callable[[], Awaitable[Message]]) -> Callable[[], Awaitable[Message]]:
    """Return `receive` for one connection, which is closed when messages come faster than the page takes them."""
    bucket = Bucket()

    async def paced() -> Message:
        message = await receive()
        if message["type"] == "websocket.receive" and not bucket.take():
            return {"type": "websocket.disconnect", "code": 1008}
        return message

    return paced
