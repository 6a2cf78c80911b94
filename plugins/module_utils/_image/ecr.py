# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what is in an ECR repository, and how Docker may get in.

The registry's token goes into a Docker configuration folder of its own, which only this user
can read and which is removed again; the user's own configuration is never written.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import tempfile
import time
import typing as t
from pathlib import Path
from urllib.parse import urlsplit

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import commands, files

_PREFIX = "mlflow_ecr_login."
# A token is of no use any more after twelve hours, and no push takes three.
_LEFT_BEHIND_SECONDS = 3 * 60 * 60
# What the docker command finds by its configuration folder and the build still needs:
# contexts, builders and plugins. Credentials are not among them.
_KEPT_SETTINGS = ("cliPluginsExtraDirs", "currentContext", "proxies")
_KEPT_FOLDERS = ("buildx", "contexts")
_CLI_SECONDS = 30


class Token(t.NamedTuple):
    """A user and password for a registry, and the registry's own host name."""

    username: str
    password: str
    host: str


def find_repository(client: t.Any, name: str) -> str:
    """Return the URI of a repository, or an empty text where there is none."""
    with _aws.explained(f"look for the ECR repository '{name}'", client):
        found = _unless(
            "RepositoryNotFoundException",
            lambda: client.describe_repositories(repositoryNames=[name]),
        )
    repositories = (found or {}).get("repositories") or []
    return str(repositories[0]["repositoryUri"]) if repositories else ""


def find_digest(client: t.Any, name: str, tag: str) -> str:
    """Return the digest of the image with a tag, or an empty text where there is none."""
    with _aws.explained(f"look for the image {name}:{tag} in ECR", client):
        found = _unless(
            "ImageNotFoundException",
            lambda: client.describe_images(repositoryName=name, imageIds=[{"imageTag": tag}]),
        )
    images = (found or {}).get("imageDetails") or []
    return str(images[0]["imageDigest"]) if images else ""


def fetch_token(client: t.Any) -> Token:
    """Return a user and password that let Docker in for twelve hours."""
    with _aws.explained("get a token for the ECR registry", client):
        told = client.get_authorization_token()["authorizationData"][0]
    text = base64.b64decode(told["authorizationToken"]).decode("utf-8")
    username, _colon, password = text.partition(":")
    return Token(username, password, host_of(told.get("proxyEndpoint", "")))


def host_of(address: str) -> str:
    """Return the host, and port if any, of a registry given as a host or as a URL."""
    text = address if "://" in address else f"//{address}"
    return urlsplit(text).netloc.rpartition("@")[2]


def repository_address(uri: str, name: str, registry: str) -> str:
    """Return where Docker finds a repository: its URI, or its name at the registry given."""
    return f"{host_of(registry)}/{name}" if registry else uri


def log_in(registry: str, token: Token) -> Path:
    """Make a private Docker configuration folder that holds the token for a registry."""
    _sweep()
    user = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    secret = f"{token.username}:{token.password}".encode()
    auths = {registry: {"auth": base64.b64encode(secret).decode("ascii")}}
    settings = {**_user_settings(user, registry), "auths": auths}
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        for name in _KEPT_FOLDERS:
            if (user / name).is_dir():
                (folder / name).symlink_to(user / name, target_is_directory=True)
        files.write_private(folder / "config.json", json.dumps(settings))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def log_out(folder: Path) -> bool:
    """Remove a folder that log_in made; returns whether it was there."""
    if not folder.name.startswith(_PREFIX):
        raise MlflowError(
            f"{folder} was not made by mlflow_ecr_login, so it is not removed: give the path that it returned."
        )
    if not folder.is_dir():
        return False
    shutil.rmtree(folder)
    return True


def find_builder(wanted: str) -> str:
    """Return the builder to use: buildx where the docker command has it, else classic."""
    if wanted != "auto":
        return wanted
    try:
        answer = commands.run(
            ["docker", "buildx", "version"], _CLI_SECONDS, "docker failed", "name the builder"
        )
    except MlflowError:
        return "classic"
    return "buildx" if answer.code == 0 else "classic"


def _unless(code: str, call: t.Callable[[], t.Any]) -> t.Any:
    """Return what a call answers, or None where AWS says that the thing is not there."""
    try:
        return call()
    except Exception as error:
        if _aws.error_code(error) == code:
            return None
        raise


def _user_settings(user: Path, registry: str) -> dict[str, t.Any]:
    """Return what a build needs of the user's Docker settings, none of it for this registry."""
    read: t.Any = None
    with contextlib.suppress(OSError, ValueError):
        read = json.loads((user / "config.json").read_text(encoding="utf-8"))
    found = read if isinstance(read, dict) else {}
    settings = {name: found[name] for name in _KEPT_SETTINGS if found.get(name)}
    # A helper would be asked instead of looking at the token.
    helpers = found.get("credHelpers")
    helpers = helpers if isinstance(helpers, dict) else {}
    others = {host: name for host, name in helpers.items() if host != registry}
    if others:
        settings["credHelpers"] = others
    plugins = user / "cli-plugins"
    if plugins.is_dir():
        settings["cliPluginsExtraDirs"] = [
            str(plugins),
            *settings.get("cliPluginsExtraDirs", []),
        ]
    return settings


def _sweep() -> None:
    """Remove this user's folders of runs that were killed before they could log out."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            status = folder.lstat()
            mine = status.st_uid == os.geteuid() and folder.is_dir() and not folder.is_symlink()
            if mine and time.time() - status.st_mtime > _LEFT_BEHIND_SECONDS:
                shutil.rmtree(folder)
