# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door's own process behind Caddy: the answer to each request's question, and the pages (an ASGI application)."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from . import pages, paths, sessions
from .attempts import Attempts
from .caddy import ADDRESS, MEMBER, METHOD, PROJECT, UPSTREAM, URI
from .check import LOGIN, Asked, Door, Verdict
from .errors import DoorError, say
from .oidc import CALLBACK, Issuer

_FORM_BYTES = 10_000
# Scrypt takes 64 MiB for each.
_PASSWORDS_AT_ONCE = 2
_CONNECT_SECONDS = 0.3


class Request(NamedTuple):
    """A request as Caddy sent it; the names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    form: dict[str, str]

    @property
    def path(self) -> str:
        """Return the path without what follows it."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """Return what follows the question mark."""
        return self.target.partition("?")[2]

    def asked(self, method: str, target: str) -> Asked:
        """Return what of it counts for a decision."""
        names = ("authorization", "cookie", "origin", "sec-fetch-site", "accept")
        return Asked(method, target, *(self.headers.get(name, "") for name in names))


class Answer(NamedTuple):
    """An answer; headers may repeat."""

    status: int
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    kind: str = "text/html; charset=utf-8"


class Application:
    """What uvicorn serves on the socket that only Caddy knows."""

    def __init__(self, door: Door, attempts: Attempts) -> None:
        """Take what decides."""
        self.door = door
        self._attempts = attempts
        self._passwords = asyncio.Semaphore(_PASSWORDS_AT_ONCE)
        self._issuer: Issuer | None = None
        self._pages: dict[tuple[str, str], Callable[[Request], Awaitable[Answer]]] = {
            ("GET", "/"): self._home,
            ("GET", pages.STYLE_PATH): self._style,
            ("GET", LOGIN): self._login_page,
            ("POST", LOGIN): self._login,
            ("GET", "/-/start"): self._start,
            ("GET", CALLBACK): self._callback,
            ("POST", "/-/logout"): self._logout,
        }

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        if scope["path"] == "/check":
            await _send(send, self._check(_request(scope, b"")))
            return
        request = _request(scope, await _body(receive))
        await _send(send, _as_page(await self._page(request)))

    async def _page(self, request: Request) -> Answer:
        """Return a page."""
        page = self._pages.get((request.method.replace("HEAD", "GET"), request.path))
        if page is None:
            return Answer(404, pages.message("Not found", "There is no such page."))
        try:
            return await page(request)
        except DoorError as error:
            say(str(error))
            return Answer(500, pages.message("Not possible now", "The log of the door says why."))

    def _check(self, request: Request) -> Answer:
        """Answer whether a request passes."""
        verdict = self.door.check(
            request.asked(
                request.headers.get(METHOD.lower(), ""), request.headers.get(URI.lower(), "")
            )
        )
        who = ((MEMBER, verdict.member), (PROJECT, verdict.project))
        if verdict.status == 200:
            return Answer(200, headers=(*who, (UPSTREAM, verdict.upstream)))
        if verdict.location:
            return Answer(
                verdict.status,
                headers=(*who, ("Location", verdict.location), ("Cache-Control", "no-store")),
            )
        return _refusal(verdict, who)

    async def _home(self, request: Request) -> Answer:
        """Show a person's projects."""
        member, _by_browser = self.door.member(request.asked("GET", "/"))
        if not member:
            return _to(LOGIN)
        settings = self.door.settings
        mine = [
            (name, one)
            for name, one in sorted(settings.projects.items())
            if settings.role(member, name)
        ]
        states = await asyncio.gather(
            *(asyncio.to_thread(_state, one.upstream) for _name, one in mine)
        )
        cards = [
            pages.Card(name, settings.role(member, name), state, one.owner, one.description)
            for (name, one), state in zip(mine, states, strict=True)
        ]
        return Answer(200, pages.projects(member, cards))

    async def _style(self, request: Request) -> Answer:
        """Return the style of all pages."""
        del request
        return Answer(
            200, pages.STYLE, (("Cache-Control", "max-age=3600"),), "text/css; charset=utf-8"
        )

    async def _login_page(self, request: Request) -> Answer:
        """Show how to sign in."""
        return self._sign_in(paths.following(parse_qs(request.query).get("next", [""])[0]))

    async def _login(self, request: Request) -> Answer:
        """Sign in by a password."""
        following = paths.following(request.form.get("next", ""))
        if not self.door.is_own_page(request.asked("POST", LOGIN)):
            return self._sign_in(following, "Sign in on this page.", 403)
        name, address = request.form.get("name", ""), request.headers.get(ADDRESS.lower(), "")
        wait = self._attempts.wait(name, address)
        if wait:
            sentence = f"Too many attempts failed; try again in {-(-wait // 60)} minutes."
            return self._sign_in(following, sentence, 429)._replace(
                headers=(("Retry-After", str(wait)),)
            )
        # Noted before, so that attempts at the same time count.
        self._attempts.note(name, address)
        async with self._passwords:
            right = await asyncio.to_thread(
                self.door.store.is_password, name, request.form.get("password", "")
            )
        if not right or name not in self.door.settings.members:
            return self._sign_in(following, "The name or the password is wrong.", 403)
        self._attempts.forget(name, address)
        return self._begin(name, following)

    async def _start(self, request: Request) -> Answer:
        """Send a browser to the sign-in service."""
        issuer = self._current_issuer()
        if issuer is None:
            return _to(LOGIN)
        following = paths.following(parse_qs(request.query).get("next", [""])[0])
        try:
            url, kept = await asyncio.to_thread(issuer.begin)
        except DoorError as error:
            return self._sign_in(following, str(error), 503)
        cookie = self.door.sessions.remember({**kept, "next": following})
        return Answer(303, headers=(("Location", url), ("Set-Cookie", cookie)))

    async def _callback(self, request: Request) -> Answer:
        """Sign in a browser that comes back from the sign-in service."""
        issuer = self._current_issuer()
        kept = self.door.sessions.pending(request.headers.get("cookie", ""))
        if issuer is None or not kept:
            return self._sign_in("/", "The sign-in took too long; begin again.", 403)
        try:
            email = await asyncio.to_thread(issuer.finish, request.query, kept)
        except DoorError as error:
            return self._sign_in(str(kept["next"]), str(error), 403)
        for name, member in self.door.settings.members.items():
            if (
                member.kind == "person"
                and member.email
                and member.email.casefold() == email.casefold()
            ):
                return self._begin(name, str(kept["next"]))
        say(f"{email} signed in at the sign-in service, and is not a member.")
        return self._sign_in("/", f"{email} is not a member here; ask the owner of a project.", 403)

    async def _logout(self, request: Request) -> Answer:
        """End a session."""
        if not self.door.is_own_page(request.asked("POST", "/-/logout")):
            return Answer(
                403, pages.message("Not signed out", "Sign out on the page with the projects.")
            )
        return Answer(303, headers=(("Location", LOGIN), ("Set-Cookie", sessions.end())))

    def _begin(self, member: str, following: str) -> Answer:
        """Begin a session."""
        say(f"{member} signed in.")
        begun = self.door.sessions.begin(member, self.door.settings.session)
        headers = (
            ("Location", following),
            ("Set-Cookie", begun),
            ("Set-Cookie", sessions.forget()),
            (MEMBER, member),
        )
        return Answer(303, headers=headers)

    def _sign_in(self, following: str, wrong: str = "", status: int = 200) -> Answer:
        """Return the page to sign in."""
        oidc = self.door.settings.oidc
        page = pages.sign_in(
            following,
            wrong,
            issuer=oidc.name if oidc else "",
            passwords=self.door.store.has_passwords(),
        )
        return Answer(status, page)

    def _current_issuer(self) -> Issuer | None:
        """Return the issuer of the settings, made anew when they changed."""
        oidc = self.door.settings.oidc
        if oidc is None:
            self._issuer = None
        elif self._issuer is None or not self._issuer.serves(oidc, self.door.settings.origin):
            self._issuer = Issuer(oidc, self.door.settings.origin)
        return self._issuer


def _to(location: str) -> Answer:
    """Send a browser to another page."""
    return Answer(303, headers=(("Location", location),))


def _refusal(verdict: Verdict, headers: tuple[tuple[str, str], ...]) -> Answer:
    """Return a refusal as MLflow's API reports errors."""
    if verdict.status == 401:
        headers = (*headers, ("WWW-Authenticate", 'Bearer realm="MLflow"'))
    body = json.dumps({"error_code": verdict.code, "message": verdict.message})
    return Answer(verdict.status, body, headers, "application/json")


def _as_page(answer: Answer) -> Answer:
    """Return a page with the headers that all pages have."""
    common = [
        ("Content-Security-Policy", pages.POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
    ]
    if not any(name == "Cache-Control" for name, _value in answer.headers):
        common.append(("Cache-Control", "no-store"))
    return answer._replace(headers=(*answer.headers, *common))


def _request(scope: dict[str, Any], body: bytes) -> Request:
    """Return a request; of a header that repeats, none counts, but for cookies."""
    sent: dict[str, list[str]] = {}
    for raw_name, raw_value in scope["headers"]:
        sent.setdefault(raw_name.decode("latin-1"), []).append(raw_value.decode("latin-1"))
    # Of two logins neither is believed, and what is left of them is not taken for none.
    headers = {name: values[0] if len(values) == 1 else "?" for name, values in sent.items()}
    headers["cookie"] = "; ".join(sent.get("cookie", []))
    target = scope["raw_path"].decode("latin-1")
    if scope["query_string"]:
        target += "?" + scope["query_string"].decode("latin-1")
    form = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
    return Request(scope["method"], target, headers, form)


async def _body(receive: Any) -> bytes:
    """Return a request's body, cut where no form is so long."""
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if (
            message["type"] != "http.request"
            or not message.get("more_body")
            or len(body) > _FORM_BYTES
        ):
            return body[:_FORM_BYTES]


async def _send(send: Any, answer: Answer) -> None:
    """Send an answer."""
    body = answer.body.encode("utf-8")
    headers = [(name.lower().encode("ascii"), _line(value)) for name, value in answer.headers]
    if body:
        headers.append((b"content-type", answer.kind.encode("ascii")))
    headers.append((b"content-length", str(len(body)).encode("ascii")))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _line(value: str) -> bytes:
    """Return the value of a header; raises ValueError for one that would end its line."""
    if not value.isprintable():
        raise ValueError("a header's value is not printable")
    return value.encode("utf-8")


def _state(upstream: str) -> str:
    """Return whether a server listens."""
    host, _colon, port = upstream.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS):
            return "running"
    except OSError:
        return "stopped"
