# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: brings the broker of a host to its wanted state, however it runs."""

from __future__ import annotations

import time
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._broker import (
    options,
    process,
    settings,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._broker.host import (
    FoundBroker,
    Host,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import broker_sockets, files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._wait import wait

Params = t.Mapping[str, t.Any]
_POLL_SECONDS = 0.3
_NAME = "credential broker"


class BrokerResult(t.NamedTuple):
    """What was done: the broker's record, and Ansible's changed and diff."""

    broker: dict[str, t.Any]
    changed: bool
    diff: dict[str, dict[str, t.Any]]


class _Plan(t.NamedTuple):
    """What is to change: the broker, what boots it, and what is there of the other way to run it."""

    wanted: bool
    found: FoundBroker
    starts: bool
    boots: bool
    others: t.Sequence[Host]

    @property
    def changed(self) -> bool:
        """Return whether anything has to change."""
        goes = not self.wanted and self.found.known
        return self.starts or goes or self.boots or bool(self.others)


def converge(params: Params, state: Path, *, check_mode: bool) -> BrokerResult:
    """Bring the broker to its wanted state, and wait until it has asked AWS for each project.

    Raises MlflowError with what the person has to do if the host's identity does not work.
    """
    host = _host(params, state, params["runtime"])
    planned = _plan(params, state, host)
    if planned.starts:
        host.require()
    if check_mode:
        return _result(host, planned, planned.found)
    if planned.changed:
        files.make_folder(state)
        lock = state / ".broker.lock"
        with files.exclusive(lock, params["install_timeout"], "changing the credential broker"):
            # Another run may have done it meanwhile.
            planned = _plan(params, state, host)
            _apply(host, planned, float(params["timeout"]))
    if planned.wanted:
        _await_identity(host, time.monotonic() + float(params["timeout"]))
    return _result(host, planned, host.find())


def lacking(params: Params, state: Path) -> str:
    """Return what would have to be done about the broker, empty for nothing."""
    host = _host(params, state, params["runtime"])
    planned = _plan(params, state, host)
    if planned.changed:
        return f"its {_NAME} has to {'start' if not planned.found.running else 'change'}"
    if planned.wanted:
        answer = host.ask()
        if answer is None:
            return f"its {_NAME} does not answer"
        return str(answer["identity"])
    return ""


def fault(given: t.Mapping[str, t.Any], state: Path) -> str:
    """Return what the broker of these options lacks, or why that cannot be said; empty for nothing."""
    try:
        return lacking(options.validated(given), state)
    except MlflowError as error:
        return str(error)


def _host(params: Params, state: Path, runtime: str) -> Host:
    """Return one way of running the broker."""
    if runtime == broker_sockets.PROCESS:
        return process.ProcessBroker(params, state)
    from ansible_collections.mlops.mlflow_aws.plugins.module_utils._broker import container

    return container.DockerBroker(params)


def _plan(params: Params, state: Path, host: Host) -> _Plan:
    """Read what is there, and plan."""
    wanted = params["state"] == "present" and bool(params["projects"])
    found = host.find()
    same = found.running and wanted and found.configuration == host.wanted["configuration"]
    others = [other for other in _others(params, state) if other.find().known]
    return _Plan(wanted, found, wanted and not same, wanted and host.boots(), others)


def _others(params: Params, state: Path) -> t.Iterator[Host]:
    """Return the way of running the broker that an earlier run may have chosen."""
    if params["runtime"] == broker_sockets.DOCKER:
        if process.folder(state).is_dir():
            yield _host(params, state, broker_sockets.PROCESS)
    elif params["server_runtime"] == broker_sockets.DOCKER:
        yield _host(params, state, broker_sockets.DOCKER)


def _apply(host: Host, planned: _Plan, timeout: float) -> None:
    """Make all changes; timeout is in seconds, apart from what has to be installed."""
    if planned.starts:
        host.prepare()
    deadline = time.monotonic() + timeout
    for other in planned.others:
        other.remove(deadline)
    if planned.starts or planned.boots:
        host.start(deadline)
    elif not planned.wanted and planned.found.known:
        host.remove(deadline)


def _await_identity(host: Host, deadline: float) -> None:
    """Wait until AWS has answered for each project; refuse an identity that does not work."""

    def late() -> MlflowError:
        ending = " | ".join(host.log_tail()[-4:]) or "it is empty"
        return MlflowError(
            f"The {_NAME} of this host did not get ready in time; see its log ({host.log_path()}), which ends: "
            f"{ending}"
        )

    def ready() -> dict[str, t.Any] | None:
        answer = host.ask()
        return answer if answer and answer["ready"] else None

    answer = wait(ready, deadline, late, _POLL_SECONDS)
    if answer["identity"]:
        raise MlflowError(str(answer["identity"]), {"changed": True})


def _result(host: Host, planned: _Plan, now: FoundBroker) -> BrokerResult:
    """Return the record, and what changes; now: the broker as it is then."""
    record = {
        "state": "running" if now.running else "stopped" if now.known else "absent",
        "projects": sorted(host.wanted["projects"]) if planned.wanted else [],
        "log_path": host.log_path() if planned.wanted else "",
    }
    before: dict[str, t.Any] = {}
    after: dict[str, t.Any] = {}
    if planned.starts or (not planned.wanted and planned.found.known):
        before["broker"] = planned.found.settings or {}
        after["broker"] = settings.redacted(host.wanted) if planned.wanted else {}
    if planned.others:
        before["broker of another runtime"], after["broker of another runtime"] = True, False
    if planned.boots:
        before["started at boot"], after["started at boot"] = False, True
    return BrokerResult(record, planned.changed, {"before": before, "after": after})
