"""Check who sends a request to the studio and how large it is, and add security headers to every answer."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "impasto_token"
LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'"
)
"""The page loads nothing from another host and has no inline scripts or styles."""
SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True)
class AccessControl:
    """An ASGI middleware that rejects requests of other hosts, without the token, or over the size limit.

    Without a token, only requests to a local host name pass, because a foreign domain name can point to this machine
    (DNS rebinding). With a token, a request needs the token in the query, in the cookie, or as `Authorization: Bearer`.
    """

    app: App
    """The application that handles the accepted requests."""
    token: str | None
    """Token of every request; None for a studio that only this machine reaches."""
    max_bytes: int
    """Largest body of a request in bytes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI event: pass it to the application, or answer with an error status."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if rejection := self._rejection(scope, headers):
            await _answer(send, *rejection)
        elif self.token and "token" in parse_qs(scope["query_string"].decode("latin-1")):
            cookie = f"{COOKIE}={self.token}; Path=/; HttpOnly; SameSite=Strict"
            await _answer(send, 303, "", {"location": scope["path"] or "/", "set-cookie": cookie})
        else:
            await self.app(scope, self._limit_size(receive), _add_headers(send))

    def _rejection(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        """Return the status and the message of a rejected request, or None."""
        host = headers.get("host", "")
        if self.token is None and urlsplit(f"//{host}").hostname not in LOCAL_HOSTS:
            return 403, f"the studio accepts only local host names, not {host[:60]!r}; start it with --host and a token"
        if self.token is not None and not self._has_token(scope, headers):
            return 401, "the token is missing or wrong; open the address that impasto studio printed"
        origin = headers.get("origin")
        if scope["method"] not in ("GET", "HEAD") and origin and urlsplit(origin).netloc != host:
            return 403, f"the studio rejects requests of the origin {origin[:60]!r}"
        size = headers.get("content-length", "0")
        if not size.isdecimal() or int(size) > self.max_bytes:
            return 413, f"the request has {size[:20]} bytes, over the limit of {self.max_bytes}; send a smaller file"
        return None

    def _has_token(self, scope: Scope, headers: dict[str, str]) -> bool:
        assert self.token is not None
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        candidates = [
            *parse_qs(scope["query_string"].decode("latin-1")).get("token", []),
            headers.get("authorization", "").removeprefix("Bearer "),
            cookie.value if cookie else "",
        ]
        return any(hmac.compare_digest(each.encode(), self.token.encode()) for each in candidates)

    def _limit_size(self, receive: Receive) -> Receive:
        """Count the bytes of a body, because a chunked request has no content-length."""
        received = 0

        async def receive_limited() -> MutableMapping[str, Any]:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return {"type": "http.disconnect"} if received > self.max_bytes else message

        return receive_limited


def _add_headers(send: Send) -> Send:
    async def send_with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            own = message.get("headers", [])
            names = {name for name, _ in own}
            security = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
            message["headers"] = [*own, *(header for header in security if header[0] not in names)]
        await send(message)

    return send_with_headers


async def _answer(send: Send, status: int, text: str, headers: dict[str, str] | None = None) -> None:
    all_headers = SECURITY_HEADERS | {"content-type": "text/plain; charset=utf-8"} | (headers or {})
    encoded = [(name.encode(), value.encode("latin-1", "replace")) for name, value in all_headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": f"{text}\n".encode() if text else b""})
