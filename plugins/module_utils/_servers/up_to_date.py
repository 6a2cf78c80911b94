# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: says whether a host is up to date, and if not, what it lacks first.

A server is asked for its verification run, over one connection: an answer that holds the run comes
from the database through the API, so it also shows that the server is healthy.
"""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._door.folder import Folder
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files, installation
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import (
    manager,
    probe,
    project_experiments,
    target,
    verification_runs,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import KEEP
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.records import ServersResult

# A server that takes longer is not up to date.
_ASK_SECONDS = 10.0


class HostCheck(t.NamedTuple):
    """What a host lacks first, empty if it is up to date; if so, its server records and their runs."""

    reason: str
    servers: t.Sequence[t.Mapping[str, t.Any]] = ()
    runs: t.Sequence[t.Mapping[str, t.Any]] = ()


class RunSearch:
    """Asks servers for the verification runs of their configurations, and remembers what it found.

    Servers with experiments of their own are asked for those, too.
    """

    def __init__(
        self,
        experiment: str,
        listed: t.Mapping[int, t.Sequence[t.Mapping[str, t.Any]]] | None = None,
        token: str = "",
    ) -> None:
        """Take the experiment that holds these runs, and the experiments of servers by port.

        token: what servers behind a front door want to see.
        """
        self._experiment, self._listed, self._token = experiment, listed or {}, token
        self._found: dict[str, dict[str, t.Any]] = {}

    def ask(self, host: str, port: int) -> probe.Answer:
        """Ask the server on host and port; it is healthy if it knows its run."""
        with probe.conversation(host, port, _ASK_SECONDS, self._token) as talk:
            try:
                run = verification_runs.find(
                    talk.call, lambda: talk.configuration, self._experiment
                )
                if run is None:
                    reason = talk.refusal or "its configuration is not verified by a run"
                    refused = bool(talk.refusal)
                    return probe.Answer(
                        False, talk.configuration, "", reason, refused, talk.confined
                    )
                lacking = project_experiments.lacking(talk, self._listed.get(port, ()))
                if lacking:
                    return probe.Answer(
                        False, talk.configuration, "", lacking, confined=talk.confined
                    )
                self._found[probe.server_url(host, port)] = run
                return probe.Answer(
                    True, talk.configuration, talk.version(), "", confined=talk.confined
                )
            except probe.FAILURES as error:
                return probe.Answer(False, "", "", str(error) or type(error).__name__)

    def runs(self, servers: t.Iterable[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
        """Return the run records of servers that were asked and knew theirs, by their records."""
        requests = verification_runs.requests_of(servers)
        return [
            verification_runs.record(request, self._found[request.url], False)
            for request in requests
        ]


def check(params: t.Mapping[str, t.Any], state: Path) -> HostCheck:
    """Check a host by the options of mlflow_server_check; state is the state folder."""
    try:
        return _check(params, state)
    except MlflowError as error:
        return HostCheck(str(error))


def _check(params: t.Mapping[str, t.Any], state: Path) -> HostCheck:
    """Check the MLflow first, then the servers."""
    beside = _beside(params, state)
    if beside:
        return HostCheck(beside)
    python = entrypoint = ""
    # Ending servers needs no MLflow.
    if params["state"] == "present" and params["runtime"] == "docker":
        if not target.has_image(params):
            return HostCheck("the image is not there")
    elif params["state"] == "present":
        installed = installation.find(
            files.runtimes_folder(state),
            params["runtime_files"],
            params["base_python"],
            params["additional_files"],
        )
        if installed is None:
            return HostCheck("MLflow is not installed")
        python, entrypoint = str(installed.python), str(installed.entrypoint)
    listed = {
        server["port"]: params["experiments"].get(server["name"], ())
        for server in params["servers"]
    }
    wanted = target.target(params, state, python, entrypoint)
    search = RunSearch(params["experiment"], listed, wanted.token)
    found = manager.check(wanted, search.ask)
    return judge(found, search, params["always"])


def _beside(params: t.Mapping[str, t.Any], state: Path) -> str:
    """Return what has to be checked beside the servers, empty for nothing."""
    parts = (
        ("tunnel", params["tunnel"], files.has_tunnel(state)),
        ("front door", params["door"], Folder(state).settings.exists()),
    )
    for name, wanted, there in parts:
        if wanted:
            return f"its {name} has to be checked"
        if there:
            return f"it has a {name} that nothing needs"
    return ""


def judge(found: ServersResult, search: RunSearch, always: bool) -> HostCheck:
    """Judge what check mode reported of servers that were asked for their verification runs.

    always: a new run is wanted in any case.
    """
    reason = lacking(found)
    if reason:
        return HostCheck(reason)
    runs = search.runs(found.servers)
    if always and runs:
        return HostCheck("a new verification run is wanted")
    return HostCheck("", found.servers, runs)


def lacking(found: ServersResult) -> str:
    """Return what would have to be done about the servers, empty for nothing."""
    for record in found.servers:
        about = f"the server of project '{record['name']}'"
        if record["action"] != KEEP:
            return f"{about} has to {record['action']}"
        if record["state"] == "running" and not record["healthy"]:
            return f"{about} is not up to date: {record['reason'] or 'it runs with other settings'}"
    return "a file beside the servers has to change" if found.changed else ""
