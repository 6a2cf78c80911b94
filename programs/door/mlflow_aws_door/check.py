# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a request may pass: who sends it, to which project, and what it does there. Purely, but for the files."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote

from . import paths, routes
from .sessions import Sessions
from .settings import Settings
from .store import Store

LOGIN = "/-/login"
# What changes nothing, so that a page of another site may lead to it.
_SAFE = {"GET", "HEAD"}
_BASIC, _BEARER = (
    re.compile(r"basic +(\S+)", re.IGNORECASE),
    re.compile(r"bearer +(\S+)", re.IGNORECASE),
)


class Asked(NamedTuple):
    """What of a request counts; headers that it does not have are empty."""

    method: str
    target: str
    authorization: str = ""
    cookie: str = ""
    origin: str = ""
    fetch_site: str = ""
    accept: str = ""


class Verdict(NamedTuple):
    """What becomes of a request.

    status: 200 if it passes, to upstream, else that of the answer; code and message: what MLflow's API would
    answer with; location: where a browser goes instead.
    """

    status: int
    member: str = ""
    project: str = ""
    code: str = ""
    message: str = ""
    location: str = ""
    upstream: str = ""


class Door:
    """Decides by settings that may be replaced while it runs."""

    def __init__(
        self, settings: Settings, store: Store, table: routes.Table, clock: Callable[[], float]
    ) -> None:
        """Take what it knows; clock returns the Unix time."""
        self.settings = settings
        self.store = store
        self.sessions = Sessions(store.session_key)
        self._table = table
        self._clock = clock

    def member(self, asked: Asked) -> tuple[str, bool]:
        """Return who sends a request, empty if unknown, and whether a browser says so by itself."""
        name = ""
        if asked.authorization:
            name = self._by_token(asked.authorization)
            return (name if name in self.settings.members else ""), False
        if asked.cookie:
            name = self.sessions.member(asked.cookie, self.settings.session)
        return (name if name in self.settings.members else ""), True

    def check(self, asked: Asked) -> Verdict:
        """Return whether a request to a project passes."""
        target = paths.split(asked.target)
        if target is None:
            return Verdict(
                400,
                code="BAD_REQUEST",
                message="The path can be read in several ways; write it without escapes.",
            )
        member, by_browser = self.member(asked)
        if not member:
            return self._unknown(asked)
        if by_browser and asked.method not in _SAFE and not self.is_own_page(asked):
            return Verdict(
                403,
                member,
                target.project,
                "PERMISSION_DENIED",
                "A page of another site cannot change anything here.",
            )
        return self._in_project(asked, target, member)

    def is_own_page(self, asked: Asked) -> bool:
        """Return whether a browser says that one of the door's own pages sends a request."""
        if asked.origin:
            return asked.origin == self.settings.origin
        return asked.fetch_site == "same-origin"

    def _in_project(self, asked: Asked, target: paths.Target, member: str) -> Verdict:
        """Return whether a member may do this in a project."""
        project = target.project
        if not project:
            return Verdict(
                404, member, "", "ENDPOINT_NOT_FOUND", "A path begins with a project's name."
            )
        role = self.settings.role(member, project)
        if not role:
            return Verdict(
                403,
                member,
                project,
                "PERMISSION_DENIED",
                f"There is no project {project} here, or {member} is not a member of it.",
            )
        needed = self._table.role(asked.method, target.path)
        if needed == routes.NONE:
            return Verdict(
                404,
                member,
                project,
                "ENDPOINT_NOT_FOUND",
                f"The door knows no such route of MLflow: {asked.method}.",
            )
        if not routes.allows(role, needed):
            return Verdict(
                403, member, project, "PERMISSION_DENIED", _too_low(project, role, needed)
            )
        if target.bare:
            return Verdict(308, member, project, location=f"/{project}/")
        return Verdict(200, member, project, upstream=self.settings.projects[project].upstream)

    def _unknown(self, asked: Asked) -> Verdict:
        """Answer a request without a login: a browser gets the page for it."""
        if asked.method in _SAFE and "text/html" in asked.accept and not asked.authorization:
            return Verdict(303, location=f"{LOGIN}?next={quote(asked.target, safe='')}")
        return Verdict(
            401,
            code="UNAUTHENTICATED",
            message="Set MLFLOW_TRACKING_TOKEN to a token that is valid here.",
        )

    def _by_token(self, authorization: str) -> str:
        """Return the member of a token, which is a bearer token or a password beside the member's name."""
        now = self._clock()
        if found := _BEARER.fullmatch(authorization):
            return self.store.member_of(found[1], now)
        if found := _BASIC.fullmatch(authorization):
            try:
                name, _colon, token = (
                    base64.b64decode(found[1], validate=True).decode("utf-8").partition(":")
                )
            except (binascii.Error, ValueError):
                return ""
            member = self.store.member_of(token, now)
            return member if member == name else ""
        return ""


def _too_low(project: str, role: str, needed: str) -> str:
    """Return the sentence about what a role does not allow."""
    if needed == routes.ROLES[-1]:
        return "MLflow's assistant works for people on the server's own host alone."
    return f"This needs the role {needed} in the project {project}, and yours is {role}; ask its owner."
