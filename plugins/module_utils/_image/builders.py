# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the two ways to build and push an image.

The classic builder is part of every engine and is used through its API, so it needs no program.
buildx builds for several platforms, and is a plugin of the docker command.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import hosts, images
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.errors import (
    SLOW,
    BuildError,
    DockerError,
    Overdue,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.images import Login
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.transport import Transport
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import commands
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import context, docker_config
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image.wanted import Image

_CLI_SECONDS = 30
# Proxies by the names that Docker's configuration has for them.
_PROXIES = {
    "all_proxy": "allProxy",
    "ftp_proxy": "ftpProxy",
    "http_proxy": "httpProxy",
    "https_proxy": "httpsProxy",
    "no_proxy": "noProxy",
}
# pip's settings may hold a password of a package index, and docker reads no variable of that name.
_BY_ENVIRONMENT = re.compile(r"PIP_\w+")
_NO_BUILDX = (
    "install Docker's command and its buildx plugin, or set mlflow_image_builder to classic"
)


class Settings(t.NamedTuple):
    """How to build: Dockerfile arguments, platforms, network, engine, and seconds for each step."""

    arguments: t.Mapping[str, str]
    platforms: t.Sequence[str]
    network: str
    docker_host: str
    timeout: float


class Builder(t.Protocol):
    """Builds an image and pushes it to its registry."""

    name: str

    def publish(self, image: Image, login: Login) -> None:
        """Build and push; raises MlflowError, best a DockerError, where that fails."""


class Classic:
    """The builder that every engine has; it builds for one platform."""

    name = "classic"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def publish(self, image: Image, login: Login) -> None:
        """Build in the engine, and let it push."""
        how = self._settings
        engine = Transport(how.docker_host or hosts.default_host())
        build = images.Build(how.arguments, how.platforms[0], how.network)
        # Before anything takes minutes.
        engine.ping()
        logins = {**docker_config.logins(), image.host: login}
        data = context.archive(image.files)
        images.build(engine, image.name, data, build, logins, how.timeout)
        images.push(engine, image.name, login, how.timeout)


class Buildx:
    """The plugin of the docker command, which builds and pushes in one step."""

    name = "buildx"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def publish(self, image: Image, login: Login) -> None:
        """Run buildx with a private configuration, and the context in the same folder."""
        proxies, environment, arguments = _sorted_out(self._settings.arguments)
        with docker_config.private(image.host, login, proxies) as folder:
            # It is removed with the token, too.
            place = folder / "context"
            context.write(image.files, place)
            environment["DOCKER_CONFIG"] = str(folder)
            command = [*self._command(image), *arguments, str(place)]
            self._run(command, environment, image)

    def _command(self, image: Image) -> list[str]:
        """Return the command, up to the Dockerfile's arguments."""
        how = self._settings
        command = ["docker", *(["--host", how.docker_host] if how.docker_host else [])]
        command += ["buildx", "build", "--progress", "plain", "--tag", image.name]
        command += ["--platform", ",".join(how.platforms), "--output", "type=image,push=true"]
        return command + (["--network", how.network] if how.network else [])

    def _run(self, command: list[str], environment: t.Mapping[str, str], image: Image) -> None:
        """Run a command to its end; what it printed last says why it failed."""
        action, timeout = f"build and push {image.name}", self._settings.timeout
        try:
            ran = commands.run(
                command,
                timeout,
                f"{image.name} could not be built",
                _NO_BUILDX,
                merged=True,
                environment={
                    **os.environ,
                    **environment,
                    # Its time stamps would give the same build another digest each time.
                    "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
                },
            )
        except commands.Overdue:
            raise Overdue(action, timeout, SLOW) from None
        except commands.ProgramError as error:
            raise DockerError(
                f"Docker could not {action} ({error.why})", error.why, _NO_BUILDX
            ) from None
        if ran.code != 0:
            raise BuildError(action, ran.output)


def choose(wanted: str, settings: Settings) -> Builder:
    """Return the builder to use: buildx where the docker command has it, else classic."""
    if wanted == "buildx" or (wanted == "auto" and _has_buildx()):
        return Buildx(settings)
    return Classic(settings)


def _has_buildx() -> bool:
    """Return whether the docker command has the buildx plugin."""
    try:
        ran = commands.run(
            ["docker", "buildx", "version"], _CLI_SECONDS, "docker failed", "set the builder"
        )
    except MlflowError:
        return False
    return ran.code == 0


def _sorted_out(
    arguments: t.Mapping[str, str],
) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Return the arguments as settings for proxies, as environment, and as options of a command.

    Everybody can read a command line, so nothing goes there that may hold a password.
    """
    proxies, environment, options = {}, {}, []
    for name, value in arguments.items():
        if name.lower() in _PROXIES:
            proxies[_PROXIES[name.lower()]] = value
        elif _BY_ENVIRONMENT.fullmatch(name):
            environment[name] = value
            options += ["--build-arg", name]
        else:
            options += ["--build-arg", f"{name}={value}"]
    return proxies, environment, options
