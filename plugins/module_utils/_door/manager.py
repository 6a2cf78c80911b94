# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: brings the front door of a host to its wanted state."""

from __future__ import annotations

import time
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._door import settings
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._door.folder import (
    SETTINGS,
    STATE,
    Folder,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._door.process import ProcessDoor
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._wait import wait

Params = t.Mapping[str, t.Any]
_POLL_SECONDS = 0.2
_PURPOSE = "changing the front door of this host"


class DoorResult(t.NamedTuple):
    """What was done: the door's record, and Ansible's changed and diff."""

    door: dict[str, t.Any]
    changed: bool
    diff: dict[str, dict[str, t.Any]]


class _Plan(t.NamedTuple):
    """What is to change; before and after are settings, empty for a door that is not there."""

    before: dict[str, t.Any]
    after: dict[str, t.Any]
    starts: bool
    removes: bool
    boots: bool

    @property
    def changed(self) -> bool:
        """Return whether anything has to change."""
        return self.before != self.after or self.starts or self.removes or self.boots


def converge(params: Params, state: Path, *, check_mode: bool) -> DoorResult:
    """Bring the door to its wanted state, and wait until it uses its settings.

    Tokens, passwords and certificates outlive a door that is removed. Raises MlflowError with what the person
    has to do.
    """
    folder = Folder(state)
    host = ProcessDoor(params, folder)
    wanted = params["state"] == "present"
    planned = _plan(params, folder, host)
    if planned.starts:
        host.require()
    if planned.changed and not check_mode:
        with folder.locked(params["install_timeout"], _PURPOSE):
            if wanted:
                folder.make_keys()
            # Another run may have done it meanwhile, and the secret is known now.
            planned = _plan(params, folder, host)._replace(before=planned.before)
            _apply(folder, host, planned, wanted, time.monotonic() + params["timeout"])
    if wanted and not check_mode:
        _await_settings(
            folder, host, planned.after["configuration"], time.monotonic() + params["timeout"]
        )
    return _result(folder, host, planned)


def _plan(params: Params, folder: Folder, host: ProcessDoor) -> _Plan:
    """Read what is there, and plan."""
    wanted = params["state"] == "present"
    before = folder.read(SETTINGS)
    after = settings.settings(params, folder.secret()) if wanted else {}
    return _Plan(
        before,
        after,
        starts=wanted and not host.running(),
        removes=not wanted and host.known(),
        boots=wanted and host.boots(),
    )


def _apply(
    folder: Folder, host: ProcessDoor, planned: _Plan, wanted: bool, deadline: float
) -> None:
    """Make all changes; what has to be installed takes its own time."""
    if planned.starts:
        installing = time.monotonic()
        host.prepare()
        deadline += time.monotonic() - installing
    if not wanted:
        host.remove(deadline)
        folder.settings.unlink(missing_ok=True)
        folder.state.unlink(missing_ok=True)
        return
    folder.write(SETTINGS, planned.after)
    if planned.starts or planned.boots:
        # What an earlier door told of itself would be taken for this one's.
        if planned.starts:
            folder.state.unlink(missing_ok=True)
        host.start(deadline)


def _await_settings(folder: Folder, host: ProcessDoor, configuration: str, deadline: float) -> None:
    """Wait until the door uses its settings; raises MlflowError if it refuses them or does not start."""

    def late() -> MlflowError:
        ending = " | ".join(host.log_tail()[-4:]) or "it is empty"
        return MlflowError(
            f"The front door did not get ready in time; its log {host.log_path()} ends: {ending}"
        )

    def ready() -> bool | None:
        state = folder.read(STATE)
        if state.get("error"):
            raise MlflowError(
                f"The front door goes on with its former settings: {state['error']}",
                {"changed": True},
            )
        if host.ended():
            raise late()
        return state.get("configuration") == configuration or None

    wait(ready, deadline, late, _POLL_SECONDS)


def _result(folder: Folder, host: ProcessDoor, planned: _Plan) -> DoorResult:
    """Return the record, and what changes."""
    state = folder.read(STATE)
    running = host.running()
    record = {
        "state": "running" if running else "stopped" if host.known() else "absent",
        "url": _url(planned.after),
        "authority": str(state.get("authority", "")) if planned.after else "",
        "projects": sorted(planned.after.get("projects", ())),
        "log_path": host.log_path() if planned.after else "",
        "audit_path": str(folder.audit) if planned.after else "",
    }
    diff = {
        "before": settings.redacted(planned.before) if planned.before else {},
        "after": settings.redacted(planned.after) if planned.after else {},
    }
    if planned.starts:
        diff["before"]["started"], diff["after"]["started"] = False, True
    if planned.boots:
        diff["before"]["started at boot"], diff["after"]["started at boot"] = False, True
    return DoorResult(record, planned.changed, diff)


def _url(given: t.Mapping[str, t.Any]) -> str:
    """Return the door's address."""
    if not given:
        return ""
    port = "" if given["port"] == 443 else f":{given['port']}"
    return f"https://{given['host']}{port}/"
