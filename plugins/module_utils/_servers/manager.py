# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: brings all servers of a host to their wanted state, over any runtime."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import ports as host_ports
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import answers, records
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import (
    RESTART,
    START,
    FoundServer,
    Step,
    plan,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.port_owners import PortPlan
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.records import ServersResult
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.runtime import Runtime
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.target import Target


class _Changes(t.NamedTuple):
    """What is to change on a host: its servers, the owners of ports, env files, and what boots."""

    steps: list[Step]
    owners: PortPlan
    texts: dict[str, str | None]
    boots: bool

    @property
    def any(self) -> bool:
        """Return whether anything has to change."""
        return self.serving or self.boots or self.owners.changed or bool(self.texts)

    @property
    def serving(self) -> bool:
        """Return whether any server has to change."""
        return any(step.changed for step in self.steps)

    @property
    def runs(self) -> bool:
        """Return whether any server runs when the steps are done."""
        return any(step.runs for step in self.steps)


def converge(target: Target, timeout: float) -> ServersResult:
    """Bring every server to its wanted state within timeout seconds.

    Raises MlflowError where a port is held by somebody else or was another project's, before
    anything is touched, and where servers do not come up, after all others have.
    """
    changes = _changes(target)
    deadline = time.monotonic() + timeout
    if changes.any:
        files.make_folder(target.lock.parent)
        with files.exclusive(target.lock, timeout, "changing the servers of this host"):
            # Another run may have done it meanwhile.
            changes = _changes(target)
            _apply(target, changes, deadline)
    answered, ended = answers.await_answers(
        target.runtime, changes.steps, deadline, answers.asking(target.token)
    )
    # A server that was just started has another process than the one found.
    done = _result(target, changes, target.runtime.observe(), answered)
    running = {step.name for step in changes.steps if step.runs}
    records.require_healthy(target.runtime, done, running, ended)
    return done


def check(target: Target, ask: answers.Ask | None = None) -> ServersResult:
    """Return what converge would do; `ask` asks a server by its host and port."""
    changes = _changes(target)
    ask = ask or answers.asking(target.token)
    found = {step.name: step.found for step in changes.steps}
    planned = _result(target, changes, found, answers.ask_kept(changes.steps, ask))
    for record, step in zip(planned.servers, changes.steps):
        record["planned"] = step.changed
    return planned


def _changes(target: Target) -> _Changes:
    """Read what is there, and plan."""
    steps, owners = read_plan(target)
    texts = target.env_files.differing(steps)
    runs = any(step.runs for step in steps)
    boots = target.boot is not None and target.boot.differs(runs)
    return _Changes(steps, owners, texts, boots)


def read_plan(target: Target) -> tuple[list[Step], PortPlan]:
    """Read what is there, and plan; refuse ports that are not free for us."""
    found = target.runtime.observe()
    steps = plan(target.servers, found, target.unlisted)
    owners = target.ports.plan(found)
    target.runtime.require(steps)
    _require_ports(target.runtime, steps, found)
    return steps, owners


def _require_ports(
    runtime: Runtime, steps: t.Iterable[Step], found: t.Mapping[str, FoundServer]
) -> None:
    """Refuse a port that somebody else holds."""
    ours = {
        server.settings["port"] for server in found.values() if server.running and server.settings
    }
    for step in steps:
        if step.action in (START, RESTART) and step.wanted:
            server = step.wanted
            holder = host_ports.holder(server.host, server.port)
            if holder and server.port not in ours and not runtime.owns(holder):
                claim = runtime.claim(holder, server.host)
                raise host_ports.taken(server.name, server.port, *claim)


def _apply(target: Target, changes: _Changes, deadline: float) -> None:
    """Make all changes."""
    # First, so that a run that is killed has remembered what it takes away.
    target.ports.write(changes.owners)
    if changes.serving:
        _take(target, changes.steps, deadline)
    target.env_files.write(changes.texts)
    if target.boot and changes.boots:
        target.boot.write(changes.runs)


def _take(target: Target, steps: t.Sequence[Step], deadline: float) -> None:
    """Take the steps; where some could not be taken, report how all servers are then."""
    try:
        target.runtime.apply(steps, deadline)
    except MlflowError as error:
        if not error.details:
            raise
        servers = records.records(target.runtime, target.env_files, target.token)
        raise MlflowError(str(error), {**error.details, "servers": servers}) from error


def _result(
    target: Target,
    changes: _Changes,
    now: t.Mapping[str, FoundServer],
    answered: t.Mapping[str, t.Any],
) -> ServersResult:
    """Return the result of these changes; now: the servers as they are then."""
    done = records.result(
        target.runtime, changes.steps, now, answered, target.env_files, changes.texts
    )
    return done.with_boot(target.boot, changes.boots, changes.runs).with_ports(changes.owners)
