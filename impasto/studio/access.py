"""The gate before the page: who may enter, how much may be brought, and that nothing is fetched from elsewhere."""

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
HERE = {"localhost", "127.0.0.1", "::1"}
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; frame-ancestors 'self'; form-action 'self'"
)
"""gradio's page runs scripts of its own within it; nothing may be asked of another machine."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True)
class Gate:
    """An ASGI application around another one.

    Without a token only this machine is let in, under its own names (a page elsewhere may have its name point here);
    with one, whoever brings it: in the address once, then in a cookie, or as `Authorization: Bearer`.
    """

    app: App
    token: str | None
    max_bytes: int
    """Of what one request may bring."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if refusal := self._refusal(scope, headers):
            await _answer(send, *refusal)
        elif self.token and "token" in parse_qs(scope["query_string"].decode("latin-1")):
            cookie = f"{COOKIE}={self.token}; Path=/; HttpOnly; SameSite=Strict"
            await _answer(send, 303, "", {"location": scope["path"] or "/", "set-cookie": cookie})
        else:
            await self.app(scope, self._limited(receive), _dressed(send))

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if self.token is None and urlsplit(f"//{host}").hostname not in HERE:
            return 403, f"this studio is open to this machine only, not as {host[:60]!r}"
        if self.token is not None and not self._brings_token(scope, headers):
            return 401, "this studio asks for its token: open the address that impasto studio printed"
        origin = headers.get("origin")
        if scope["method"] not in ("GET", "HEAD") and origin and urlsplit(origin).netloc != host:
            return 403, f"requests of {origin[:60]!r} are not taken"
        size = headers.get("content-length", "0")
        if not size.isdecimal() or int(size) > self.max_bytes:
            return 413, f"{size[:20]} bytes are over the limit of {self.max_bytes}"
        return None

    def _brings_token(self, scope: Scope, headers: dict[str, str]) -> bool:
        assert self.token is not None
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        brought = [
            *parse_qs(scope["query_string"].decode("latin-1")).get("token", []),
            headers.get("authorization", "").removeprefix("Bearer "),
            cookie.value if cookie else "",
        ]
        return any(hmac.compare_digest(each.encode(), self.token.encode()) for each in brought)

    def _limited(self, receive: Receive) -> Receive:
        """Counts what comes where no length was announced."""
        came = 0

        async def limited() -> MutableMapping[str, Any]:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            return {"type": "http.disconnect"} if came > self.max_bytes else message

        return limited


def _dressed(send: Send) -> Send:
    async def dressed(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message["headers"] = [*message.get("headers", []), *own]
        await send(message)

    return dressed


async def _answer(send: Send, status: int, text: str, headers: dict[str, str] | None = None) -> None:
    every = HEADERS | {"content-type": "text/plain; charset=utf-8"} | (headers or {})
    encoded = [(name.encode(), value.encode("latin-1", "replace")) for name, value in every.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": f"{text}\n".encode() if text else b""})
