"""Keeps other websites out: the browser that shows our pages shows others too, and any of them may send requests here.

A page of another site cannot read our answers, and so knows no token. One whose name was made to lead to 127.0.0.1 (DNS
rebinding) could, and is told by the name it asks for.
"""

import secrets
from collections.abc import Iterable
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost")
TOKEN_FIELD = "token"
MOST_BODY_BYTES = 2**16
HEADERS = {
    # No script, style or picture but our own files, no inline ones, and no way out.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser names the origin of our own forms `null`
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Refused(Exception):
    """A request that changes something and is not ours; its text says why."""


class Guard:
    """Answers requests for another host itself, and adds HEADERS to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *added]
            await send(message)

        if not is_our_host(Request(scope).headers.getlist("host")):
            refusal = PlainTextResponse("This server answers to 127.0.0.1 and localhost alone.\n", 421)
            await refusal(scope, receive, send_with_headers)
            return
        await self.app(scope, receive, send_with_headers)


def is_our_host(hosts: Iterable[str]) -> bool:
    """Whether a request's Host header, of which there must be one, names this machine; at any port, as of a tunnel."""
    given = list(hosts)
    if len(given) != 1:
        return False
    name, _, port = given[0].partition(":")
    return name in HOSTS and (not port or port.isdecimal())


class Tokens:
    """The token that every form of ours holds and no other site can know; another with each start."""

    def __init__(self) -> None:
        self.value = secrets.token_urlsafe(32)

    async def form(self, request: Request) -> dict[str, str]:
        """The fields of a form that is ours. Refused where origin or token say that it is not, and where it is too large."""
        host = request.headers["host"]
        if request.headers.get("origin") != f"http://{host}":
            raise Refused("The request does not come from a page of this server.")
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
            raise Refused("The request is no form.")
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MOST_BODY_BYTES:
                raise Refused("The form is too large.")
        fields = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        if not secrets.compare_digest(fields.get(TOKEN_FIELD, "").encode(), self.value.encode()):
            raise Refused("The page is from an earlier start of this server: load it again.")
        return fields
