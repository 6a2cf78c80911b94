# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: has MLflow's program carry out a request, on a host or in a container."""

from __future__ import annotations

import json
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import container_spec, jobs
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import (
    commands,
    environ,
    files,
    interpreter,
)

VERB = "migrate-all"

# Takes a line about how far the program is.
Progress = t.Callable[[str], None]
_REQUEST = "request.json"
_RECORD = {"name": str}


class Access(t.NamedTuple):
    """How migrations reach the broker of the migrators' role.

    socket: its path, where they run; user: UID:GID of their container; binds and volumes: what is
    mounted there for it, by folder or name. Without a socket, they have the host's identity.
    """

    socket: str = ""
    user: str = ""
    binds: t.Mapping[str, str] = {}
    volumes: t.Mapping[str, str] = {}

    def of(self, aws: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Return the `aws` of a request: by the socket, if there is one."""
        if not self.socket:
            return dict(aws)
        named = {name: text for name, text in aws.items() if name != "profile"}
        return {**named, "broker": self.socket}


class MigrationRunner(t.Protocol):
    """Has MLflow's program carry out a request of one of its verbs."""

    def run(
        self, request: t.Mapping[str, t.Any], timeout: float, verb: str = VERB
    ) -> list[dict[str, t.Any]]:
        """Return the program's records, one for each schema or project that it came to."""


class ProcessRunner:
    """Runs the program of an MLflow that is installed on this host."""

    def __init__(
        self,
        python: str,
        entrypoint: str,
        access: Access | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Use this interpreter and mlflow_entry.py."""
        self._access = access or Access()
        self._show = _shown(progress)
        self._python = python
        self._entrypoint = entrypoint

    def run(
        self, request: t.Mapping[str, t.Any], timeout: float, verb: str = VERB
    ) -> list[dict[str, t.Any]]:
        """Return the program's records; the request lies in a folder of this user's for that long."""
        with tempfile.TemporaryDirectory(prefix="mlflow-migrate-") as folder:
            path = Path(folder) / _REQUEST
            files.write_private(path, json.dumps(request))
            answer = commands.run(
                interpreter.isolated(self._python, self._entrypoint, verb, str(path)),
                timeout,
                f"MLflow's {verb} failed",
                "rerun, or raise the timeout",
                environment=(
                    environ.clean_for_broker() if self._access.socket else environ.clean_for_aws()
                ),
                show=self._show,
            )
        return parse(verb, answer.code, answer.output, answer.errors)


class DockerRunner:
    """Runs the program in a container of the image that will serve the schemas."""

    def __init__(
        self,
        engine: Engine,
        image: str,
        access: Access,
        *,
        network: str,
        aws_config_dir: str,
        user: str,
        progress: Progress | None = None,
    ) -> None:
        """Use an image of this engine; without a broker, with the host's AWS configuration if a folder is given."""
        self._access = access
        self._engine = engine
        self._image = image
        self._network = network
        self._aws_config_dir = aws_config_dir
        self._user = user
        self._show = _shown(progress)

    def run(
        self, request: t.Mapping[str, t.Any], timeout: float, verb: str = VERB
    ) -> list[dict[str, t.Any]]:
        """Return the program's records; the request lies in the container's own volume for that long."""
        access = self._access
        binds, environment = container_spec.aws_access(
            "" if access.socket else self._aws_config_dir
        )
        answer = jobs.run_once(
            self._engine,
            self._image,
            [verb, f"{container_spec.VOLUME_PATH}/{_REQUEST}"],
            {_REQUEST: json.dumps(request)},
            binds={**binds, **access.binds},
            volumes=access.volumes,
            network=self._network,
            user=access.user or self._own_user(),
            environment=environment,
            timeout=timeout,
            show=self._show,
        )
        return parse(verb, answer.code, answer.stdout, answer.stderr)

    def _own_user(self) -> str:
        """Return the user of a container that reads the AWS configuration itself."""
        rootless = bool(self._aws_config_dir) and self._engine.rootless
        return container_spec.container_user(self._user, self._aws_config_dir, rootless)


def _shown(progress: Progress | None) -> Progress | None:
    """Return what takes the lines of a log, and passes on what the program itself says."""
    if progress is None:
        return None

    def show(line: str) -> None:
        sentence = commands.sentence_of(line)
        if sentence:
            progress(sentence)

    return show


def parse(verb: str, code: int, output: str, errors: str) -> list[dict[str, t.Any]]:
    """Return the records that a verb printed; raises MlflowError if it failed itself."""
    if code != 0:
        reason = commands.reason(errors, output)
        raise MlflowError(f"MLflow's {verb} failed with code {code} ({reason}); rerun.")
    return [
        commands.document(line, f"The output of MLflow's {verb}", "rerun", _RECORD)
        for line in output.splitlines()
        if line.startswith("{")
    ]
