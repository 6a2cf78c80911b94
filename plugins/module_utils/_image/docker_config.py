# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: Docker's configuration: the user's own, and private ones with a token.

A token that the docker command needs goes into a configuration folder of its own, which only this
user can read and which is removed again; the user's own configuration is never written.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import hosts
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.images import Login
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import commands, files

_PREFIX = "mlflow_image."
# A token expires after twelve hours, and no push takes three.
_LEFT_BEHIND_SECONDS = 3 * 60 * 60
# What the docker command finds in its configuration folder and a build still needs: contexts,
# builders and plugins. Credentials are not among them.
_KEPT_SETTINGS = ("cliPluginsExtraDirs", "currentContext", "proxies")
_KEPT_FOLDERS = ("buildx", "contexts")
_HELPER_SECONDS = 30
_ENDS = (signal.SIGHUP, signal.SIGTERM)


@contextlib.contextmanager
def private(registry: str, login: Login, proxies: t.Mapping[str, str]) -> t.Iterator[Path]:
    """Yield a private Docker configuration folder that holds a login for a registry, and remove it.

    proxies: settings for builds by Docker's own names, such as httpProxy.
    """
    _sweep()
    user = hosts.configuration_folder()
    secret = base64.b64encode(f"{login.username}:{login.password}".encode()).decode("ascii")
    settings = _user_settings(user, registry)
    settings["auths"] = {registry: {"auth": secret}}
    if proxies:
        known = settings.get("proxies")
        default = known.get("default") if isinstance(known, dict) else None
        own = default if isinstance(default, dict) else {}
        settings["proxies"] = {"default": {**own, **proxies}}
    with _unkilled(), contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        for name in _KEPT_FOLDERS:
            if (user / name).is_dir():
                (folder / name).symlink_to(user / name, target_is_directory=True)
        files.write_private(folder / "config.json", json.dumps(settings))
        yield folder


def logins() -> dict[str, Login]:
    """Return the user's own logins by registry, those of credential helpers too, for base images.

    As `docker build` does it, a helper that fails is passed over: most builds do not need it.
    """
    found = _read(hosts.configuration_folder())
    result = {}
    for registry, entry in _mapping(found, "auths").items():
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            text = base64.b64decode(entry["auth"]).decode("utf-8") if entry.get("auth") else ""
            username, colon, password = text.partition(":")
            if colon:
                result[registry] = Login(username, password.rstrip("\0"))
    store = found.get("credsStore")
    if isinstance(store, str):
        for registry in _ask(store, "list"):
            result.update(_helped(store, registry))
    for registry, helper in _mapping(found, "credHelpers").items():
        result.update(_helped(str(helper), registry))
    return result


def helper_login(registry: str) -> Login | None:
    """Return what the user's credential helper for a registry gives, None without one or where it fails.

    Other logins of the user are not looked at: those that Docker keeps itself may have expired.
    """
    helper = _mapping(_read(hosts.configuration_folder()), "credHelpers").get(registry)
    return _helped(str(helper), registry).get(registry) if helper else None


def _helped(helper: str, registry: str) -> dict[str, Login]:
    """Return the login that a credential helper has for a registry, none where it fails."""
    answer = _ask(helper, "get", registry)
    user, secret = answer.get("Username"), answer.get("Secret")
    return {registry: Login(str(user), str(secret))} if user and secret else {}


def _ask(helper: str, verb: str, text: str = "") -> dict[str, t.Any]:
    """Return what a credential helper answers, nothing where it fails."""
    command = [f"docker-credential-{helper}", verb]
    with contextlib.suppress(MlflowError, ValueError):
        ran = commands.run(
            command,
            _HELPER_SECONDS,
            f"{command[0]} failed",
            "log in again",
            text=text,
            # Amazon's helper would keep the token in a file.
            environment={**os.environ, "AWS_ECR_DISABLE_CACHE": "true"},
        )
        answer = json.loads(ran.output) if ran.code == 0 else None
        return answer if isinstance(answer, dict) else {}
    return {}


def _read(folder: Path) -> dict[str, t.Any]:
    """Return what a configuration says, nothing where it cannot be read: Docker complains itself."""
    found: t.Any = None
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}


def _mapping(settings: t.Mapping[str, t.Any], key: str) -> dict[str, t.Any]:
    """Return a mapping in a configuration, an empty one where it is something else."""
    found = settings.get(key)
    return found if isinstance(found, dict) else {}


def _user_settings(user: Path, registry: str) -> dict[str, t.Any]:
    """Return what a build needs of the user's Docker settings, none of it for this registry."""
    found = _read(user)
    settings = {name: found[name] for name in _KEPT_SETTINGS if found.get(name)}
    # A helper would be asked instead of looking at the token.
    helpers = _mapping(found, "credHelpers")
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


@contextlib.contextmanager
def _unkilled() -> t.Iterator[None]:
    """End by an exception where something asks this process to end, so that all is cleaned up."""
    before = {number: signal.signal(number, _leave) for number in _ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, _frame: t.Any) -> t.NoReturn:
    """End with the exit code of a process that a signal ended."""
    raise SystemExit(128 + number)


def _sweep() -> None:
    """Remove this user's folders of runs that were killed outright."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            status = folder.lstat()
            mine = status.st_uid == os.geteuid() and folder.is_dir() and not folder.is_symlink()
            if mine and time.time() - status.st_mtime > _LEFT_BEHIND_SECONDS:
                shutil.rmtree(folder)
