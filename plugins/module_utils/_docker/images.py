# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: pulls, builds and pushes images through the Docker Engine API.

Passwords go to the engine in headers of single requests, and are kept nowhere.
"""

from __future__ import annotations

import base64
import json
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.errors import (
    SLOW,
    BuildError,
    EngineError,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.references import reference
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.transport import Transport

# A layer may be unpacked without a word.
_IDLE_SECONDS = 300.0
_OUTPUT_LETTERS = 2000
# What credential helpers return as the user of a token.
_IDENTITY = "<token>"


class Login(t.NamedTuple):
    """A user and password for a registry; without a password the registry is used anonymously."""

    username: str
    password: str


class Build(t.NamedTuple):
    """What to build: arguments for the Dockerfile, platform, network (empty for the builder's)."""

    arguments: t.Mapping[str, str]
    platform: str
    network: str


def pull(engine: Transport, name: str, login: Login, timeout: float) -> None:
    """Pull an image from its registry within timeout seconds."""
    wanted = reference(name)
    action = f"pull {wanted}"
    for event in engine.events(
        action,
        "/images/create",
        {"fromImage": wanted.name, "tag": wanted.digest or wanted.tag},
        headers={"X-Registry-Auth": _header(_auth(wanted.registry, login))},
        timeout=timeout,
        idle=_IDLE_SECONDS,
        advice="check that the registry answers and rerun, which continues where it stopped, or raise the timeout",
    ):
        if event.get("error"):
            raise EngineError(action, str(event["error"]))


def build(
    engine: Transport,
    name: str,
    context: bytes,
    how: Build,
    logins: t.Mapping[str, Login],
    timeout: float,
) -> None:
    """Build an image of a context, a tar archive, with the engine's classic builder.

    logins: users and passwords by registry, for base images.
    """
    query = {
        "t": name,
        "buildargs": json.dumps(how.arguments),
        "platform": how.platform,
        "rm": "1",
        "forcerm": "1",
        # The classic builder.
        "version": "1",
    }
    if how.network:
        query["networkmode"] = how.network
    auths = {registry: _auth(registry, login) for registry, login in logins.items()}
    headers = {"X-Registry-Config": _header(auths)}
    _follow(engine, f"build {name}", "/build", query, headers, timeout, body=context)


def push(engine: Transport, name: str, login: Login, timeout: float) -> None:
    """Push an image to its registry within timeout seconds."""
    wanted = reference(name)
    _follow(
        engine,
        f"push {wanted}",
        f"/images/{wanted.name}/push",
        {"tag": wanted.tag},
        {"X-Registry-Auth": _header(_auth(wanted.registry, login))},
        timeout,
        idle=_IDLE_SECONDS,
    )


def _follow(
    engine: Transport,
    action: str,
    path: str,
    query: t.Mapping[str, str],
    headers: t.Mapping[str, str],
    timeout: float,
    **more: t.Any,
) -> None:
    """Follow a build or a push to its end; what had been printed before an error is part of it."""
    output = ""
    try:
        for event in engine.events(
            action, path, query, headers=headers, timeout=timeout, advice=SLOW, **more
        ):
            output = (output + str(event.get("stream") or ""))[-_OUTPUT_LETTERS:]
            if event.get("error"):
                raise BuildError(action, f"{output} {event['error']}")
    except EngineError as error:
        raise BuildError(action, error.message) from error


def _auth(registry: str, login: Login) -> dict[str, str]:
    """Return a login as the engine expects it."""
    if not login.password:
        return {}
    if login.username == _IDENTITY:
        return {"identitytoken": login.password, "serveraddress": registry}
    return {
        "username": login.username,
        "password": login.password,
        "serveraddress": registry,
    }


def _header(value: t.Mapping[str, t.Any]) -> str:
    """Return a value as the engine reads it in a header."""
    return base64.urlsafe_b64encode(json.dumps(value).encode("utf-8")).decode("ascii")
