# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings file of the door (JSON, mode 0600).

    configuration  text; names what the door was configured with
    host           name under which clients reach it, without a port
    listen         addresses to listen on, as Caddy writes them (`:443`, `127.0.0.1:8443`)
    redirect       addresses on which HTTP is redirected to HTTPS; may be empty
    port           port of the URLs that clients use
    tls            `kind` internal (a CA of the door's own), files (with `certificate` and `key`, paths) or acme
                   (with `email` and `directory`, which may be empty)
    secret         what servers know the door by
    projects       name to `upstream` (HOST:PORT), `owner`, `description` and `members` (name or * to role)
    members        name to `kind` (person or service) and `email`, which may be empty
    oidc           null, or `issuer`, `client_id`, `client_secret` and `name`, which the sign-in page shows
    session        seconds after which people have to sign in again
    hold           seconds for which a request waits for a server that does not listen

Beside it in its folder are what else lives longer than the door's process: see store.py.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from . import paths
from .errors import DoorError
from .routes import ROLES

ALL = "*"
# The last one is nobody's.
_ROLES = ROLES[:-1]
_KINDS = ("internal", "files", "acme")
_UPSTREAM = re.compile(r"[A-Za-z0-9.:\[\]-]+:[0-9]+")
_SECRET = 32


class Project(NamedTuple):
    """What is behind a path, and who may do what there."""

    upstream: str
    owner: str
    description: str
    members: dict[str, str]


class Member(NamedTuple):
    """Who may sign in or use tokens."""

    kind: str
    email: str


class Oidc(NamedTuple):
    """Where people sign in."""

    issuer: str
    client_id: str
    client_secret: str
    name: str


class Settings(NamedTuple):
    """What the door does; see the table above."""

    configuration: str
    host: str
    listen: list[str]
    redirect: list[str]
    port: int
    tls: dict[str, str]
    secret: str
    projects: dict[str, Project]
    members: dict[str, Member]
    oidc: Oidc | None
    session: int
    hold: int

    @property
    def origin(self) -> str:
        """Return the address of its pages, as browsers tell origins apart."""
        return f"https://{self.host}" + (f":{self.port}" if self.port != _HTTPS else "")

    def role(self, member: str, project: str) -> str:
        """Return the role of a member in a project, empty for none; one of a removed member too."""
        if member not in self.members or project not in self.projects:
            return ""
        roles = self.projects[project].members
        return roles.get(member, roles.get(ALL, ""))


_HTTPS = 443


def read(path: Path) -> Settings:
    """Read a settings file; raises DoorError."""
    try:
        given: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        made = Settings(
            **{
                **given,
                "projects": {name: Project(**one) for name, one in given["projects"].items()},
                "members": {name: Member(**one) for name, one in given["members"].items()},
                "oidc": Oidc(**given["oidc"]) if given["oidc"] else None,
            }
        )
        _validate(made)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DoorError(f"{path} cannot be read ({error}); run the servers playbook.") from None
    return made


def _validate(made: Settings) -> None:
    """Raise ValueError or TypeError for what would fail, or open something, at a request."""
    for name, project in made.projects.items():
        if not paths.PROJECT.fullmatch(name) or not _UPSTREAM.fullmatch(project.upstream):
            raise ValueError(f"project {name} has no usable name or upstream")
        wrong = set(project.members.values()) - set(_ROLES)
        if wrong:
            raise ValueError(f"project {name} has the role {min(wrong)}")
    # An empty secret would be what anybody sends to a server.
    if not made.secret.isascii() or not made.secret.isprintable() or len(made.secret) < _SECRET:
        raise ValueError("secret is too short, or is not printable")
    if not all(isinstance(number, int) for number in (made.port, made.session, made.hold)):
        raise TypeError("port, session and hold are numbers")
    if made.tls["kind"] not in _KINDS:
        raise ValueError("tls has another kind")
