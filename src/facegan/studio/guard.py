"""Who may ask: this machine's browser alone, from the studio's own page; elsewhere, whoever has the token.

A page of another site could send requests to 127.0.0.1 through the browser of whoever visits it. The Host header shows
a name that was pointed at this machine (DNS rebinding), the Origin header a page of another site.
"""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facegan.studio.wire import failure

COOKIE = "facegan-token"
_LOCAL = ("127.0.0.1", "localhost", "[::1]")
OPEN_TO_OTHERS = "/face/"
"""Pictures under it may be shown by pages of other sites: that is what they are for."""


def _host_of(origin: str) -> str:
    """Return the host and port in an Origin header; "" of what is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


class Guard:
    """Refuse requests from elsewhere, and tell browsers what the page may do."""

    def __init__(self, app: ASGIApp, *, port: int, token: str | None = None) -> None:
        """``token``: what requests must know; None where only this machine can ask."""
        self.app, self.token = app, token
        self.hosts = {f"{name}:{port}" for name in _LOCAL} | ({*_LOCAL} if port == 80 else set())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, path = Headers(scope=scope), scope["path"]
        problem = self._problem(headers, scope)
        if problem is not None:
            await failure(403, problem)(scope, receive, send)
            return
        resource = "cross-origin" if path.startswith(OPEN_TO_OTHERS) else "same-origin"

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                out["x-content-type-options"] = "nosniff"
                out["referrer-policy"] = "no-referrer"
                out["cross-origin-resource-policy"] = resource
                out["x-frame-options"] = "DENY"
                if self.token and self._given(scope) == self.token:
                    out.append("set-cookie", f"{COOKIE}={self.token}; HttpOnly; SameSite=Strict; Path=/")
            await send(message)

        await self.app(scope, receive, sent)

    def _problem(self, headers: Headers, scope: Scope) -> str | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.token is None and host not in self.hosts:
            return f"this studio answers to {' and '.join(sorted(self.hosts))}, not to {host[:80]!r}"
        is_open = scope["path"].startswith(OPEN_TO_OTHERS) and scope["method"] in ("GET", "HEAD")
        if origin is not None and not is_open and _host_of(origin) != host:
            return "this studio answers to its own page alone"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not is_open and scope["path"] != "/":
            return "this studio answers to its own page alone"
        if self.token is not None and not self._knows(headers, scope):
            return "open the address that facegan studio printed: it has a token in it"
        return None

    def _given(self, scope: Scope) -> str | None:
        found = parse_qs(scope["query_string"].decode("latin-1")).get("token")
        return found[0] if found else None

    def _knows(self, headers: Headers, scope: Scope) -> bool:
        assert self.token is not None
        try:
            kept = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            kept = None
        said = [self._given(scope), None if kept is None else kept.value]
        return any(each is not None and secrets.compare_digest(each.encode(), self.token.encode()) for each in said)
