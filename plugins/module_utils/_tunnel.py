# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: keeps a tunnel open from a host's loopback to the database.

A program of its own keeps it (programs/tunnel/mlflow_tunnel.py), under
Supervisor as servers are, whatever runs those.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import socket
import time
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import (
    commands,
    files,
    interpreter,
    ports,
    venv,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.crontab import Boot
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.program import Program
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import (
    KEEP,
    FoundServer,
    Step,
    WantedServer,
    plan,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.processes import (
    ProcessRuntime,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._wait import wait

NAME = files.TUNNEL
HOST = "127.0.0.1"
ENTRYPOINT = "mlflow_tunnel.py"
_WHAT = "the tunnel's program"
_IMPORTS = ("boto3", "supervisor.supervisord")
# An agent of the user's, where ssh is to ask one for its key, and whom the session plugin trusts.
_PASSED_ON = ("SSH_AUTH_SOCK", "SSL_CERT_DIR", "SSL_CERT_FILE")
# A paused Aurora cluster takes 15 seconds to answer, after a day 30 or more.
_ANSWER_SECONDS = 60.0
_POLL_SECONDS = 0.2
# Attempts after which a tunnel that does not come up is an error, before the timeout.
_ATTEMPTS = 3
_FAILED = "Reopening it in"
# How ssh says of a connection that its far end went no further.
_NOT_REACHED = "open failed: connect failed"
_PLUGIN = "session-manager-plugin"
# It takes the session's token from its environment from then on.
_PLUGIN_VERSION = (1, 2, 497, 0)
_REMEDIES = {
    "ssh": "check mlflow_database_tunnel_bastion, and that this user can log in there with a key",
    "ssm": "check the credentials of this host",
}


class TunnelResult(t.NamedTuple):
    """What was done: the tunnel's record, and Ansible's changed and diff."""

    record: dict[str, t.Any]
    changed: bool
    diff: dict[str, dict[str, t.Any]]


class Tunnel:
    """The tunnel of one host, in its folder."""

    def __init__(
        self,
        folder: Path,
        requirements: str,
        program: str,
        python: str | None,
        *,
        start_at_boot: bool,
    ) -> None:
        """Take the tunnel's folder in the state folder, and whether the host opens it at boot.

        requirements and program are the contents of the files that its program is installed from.
        """
        self._folder = folder
        self._program = Program(
            what=_WHAT,
            parent=folder,
            requirements=[requirements],
            programs={ENTRYPOINT: program},
            entrypoint=ENTRYPOINT,
            imports=_IMPORTS,
            python=python,
        )
        self._runtime = ProcessRuntime(
            folder, *self._program.command, self._program.folder.name, _PASSED_ON
        )
        self._boot = Boot(folder, self._runtime.command, start_at_boot)

    def open(
        self, options: t.Mapping[str, t.Any], timeout: float, *, check_mode: bool
    ) -> TunnelResult:
        """Open the tunnel, and return when MySQL has answered through it."""
        wanted = wanted_tunnel(options, self._program.folder.name)
        _require_carrier(str(options["kind"]))
        self._require_port(wanted)
        self._program.require_base()
        step, reboots = self._plan(wanted), self._boot.differs(True)
        if check_mode:
            return self._result(step, reboots)
        deadline = time.monotonic() + timeout
        told = self._log_size()
        if step.changed or reboots:
            files.make_folder(self._folder)
            with files.exclusive(self._folder / ".lock", timeout, "changing the tunnel"):
                # Another run may have done it in the meantime.
                step, reboots = self._plan(wanted), self._boot.differs(True)
                self._apply(step, timeout, deadline)
                if reboots:
                    self._boot.write(True)
        self._await_answer(wanted, told, deadline)
        return self._result(step, reboots)

    def close(self, timeout: float, *, check_mode: bool) -> TunnelResult:
        """Close the tunnel and remove its files."""
        step, reboots = self._plan(None), self._boot.differs(False)
        if (step.changed or reboots) and not check_mode:
            with files.exclusive(self._folder / ".lock", timeout, "changing the tunnel"):
                step, reboots = self._plan(None), self._boot.differs(False)
                if reboots:
                    self._boot.write(False)
                self._runtime.apply([step], time.monotonic() + timeout)
                self._end_left_behind(timeout)
                self._program.drop()
        return self._result(step, reboots)

    def _plan(self, wanted: WantedServer | None) -> Step:
        """Return the one step; without a wanted tunnel it is to go."""
        found = self._runtime.observe()
        server = wanted or WantedServer(NAME, "absent", {})
        [step] = plan([server], {NAME: found.get(NAME, FoundServer(NAME))}, KEEP)
        return step

    def _apply(self, step: Step, timeout: float, deadline: float) -> None:
        """Install the tunnel's program, and let Supervisor start it."""
        if not step.changed:
            return
        self._program.install(timeout)
        if not step.found.running:
            self._end_left_behind(timeout)
        self._runtime.apply([step], deadline)
        self._program.drop_others()

    def _end_left_behind(self, timeout: float) -> None:
        """End what a killed program has left, so that the port is free."""
        if (self._folder / NAME).is_dir() and self._program.is_installed():
            place = str(self._folder / NAME)
            command = interpreter.isolated(*self._program.command, "end", place)
            venv.run(command, timeout, _WHAT)

    def _require_port(self, wanted: WantedServer) -> None:
        """Refuse a port that something other than this tunnel uses."""
        if (self._folder / NAME).is_dir():
            # Its own holder is an ssh, which nothing but its arguments tells from another.
            return
        holder = ports.holder(wanted.host, wanted.port)
        if holder:
            claim = self._runtime.claim(holder, wanted.host)
            raise MlflowError(
                f"Port {wanted.port} for the tunnel to the database is in use by {claim.who}; {claim.end}, or "
                "set mlflow_database_tunnel_port to another one."
            )

    def _await_answer(self, wanted: WantedServer, told: int, deadline: float) -> None:
        """Wait until MySQL answers; told is how long the log was before."""

        def answered() -> bool | None:
            if _answers(wanted.host, wanted.port, deadline):
                return True
            if self._log(told).count(_FAILED) >= _ATTEMPTS:
                raise self._broken(wanted, told)
            return None

        wait(answered, deadline, lambda: self._broken(wanted, told), _POLL_SECONDS)

    def _broken(self, wanted: WantedServer, told: int) -> MlflowError:
        """Return the error for a tunnel that does not come up."""
        ending = " | ".join(self._runtime.log_tail(NAME)[-4:]) or "it is empty"
        return MlflowError(
            f"The tunnel to the database does not come up; {_remedy(wanted, self._log(told))} "
            f"(its log {self._runtime.log_path(NAME)} ends: {ending})."
        )

    def _log_size(self) -> int:
        """Return the length of the log in bytes."""
        with contextlib.suppress(OSError):
            return Path(self._runtime.log_path(NAME)).stat().st_size
        return 0

    def _log(self, begin: int) -> str:
        """Return the log from a byte on."""
        with contextlib.suppress(OSError):
            return (
                Path(self._runtime.log_path(NAME)).read_bytes()[begin:].decode("utf-8", "replace")
            )
        return ""

    def _result(self, step: Step, reboots: bool) -> TunnelResult:
        """Return the record, and what changes: by the step, or of what the host starts at boot."""
        now = self._runtime.observe().get(NAME, FoundServer(NAME))
        settings = step.wanted.settings if step.wanted else {}
        record = {
            "state": "running" if now.running else "stopped" if now.known else "absent",
            "kind": settings.get("kind", "none"),
            "address": f"{settings['host']}:{settings['port']}" if settings else "",
            "pid": now.pid or None,
            "log_path": self._runtime.log_path(NAME) if settings else "",
        }
        before: dict[str, t.Any] = {}
        after: dict[str, t.Any] = {}
        if step.changed:
            before["tunnel"], after["tunnel"] = step.found.settings or {}, settings
        if reboots:
            starts = self._boot.wanted and step.wanted is not None
            before["opened at boot"], after["opened at boot"] = not starts, starts
        return TunnelResult(record, step.changed or reboots, {"before": before, "after": after})


def wanted_tunnel(options: t.Mapping[str, t.Any], identity: str) -> WantedServer:
    """Return the tunnel as the module's options want it; identity stands for its program."""
    kind = str(options["kind"])
    settings = {
        "kind": kind,
        "host": HOST,
        "port": options["port"],
        "database": {"host": options["database_host"], "port": options["database_port"]},
        kind: dict(options[kind]),
    }
    digest = hashlib.sha256(json.dumps([identity, settings], sort_keys=True).encode("utf-8"))
    settings["configuration"] = digest.hexdigest()[:16]
    return WantedServer(NAME, "present", settings)


def _remedy(wanted: WantedServer, log: str) -> str:
    """Return what to do about a tunnel that does not come up, by its log."""
    if _NOT_REACHED in log:
        place = "{host}:{port}".format(**wanted.settings["database"])
        return f"its far end cannot reach {place}, so allow it in the database's security group"
    return _REMEDIES[str(wanted.settings["kind"])]


def _require_carrier(kind: str) -> None:
    """Refuse a host that lacks the program that carries the tunnel."""
    if kind == "ssh" and not shutil.which("ssh"):
        raise MlflowError("This host has no ssh for the tunnel; install the OpenSSH client there.")
    if kind == "ssm" and _plugin_version() < _PLUGIN_VERSION:
        oldest = ".".join(map(str, _PLUGIN_VERSION))
        raise MlflowError(
            f"This host has no {_PLUGIN} {oldest} or newer for the tunnel; install AWS's Session "
            "Manager plugin there."
        )


def _plugin_version() -> tuple[int, ...]:
    """Return the version of AWS's plugin, empty where there is none."""
    path = shutil.which(_PLUGIN)
    if not path:
        return ()
    with contextlib.suppress(MlflowError):
        answer = commands.run([path, "--version"], 30, f"{_PLUGIN} failed", "install it again")
        return tuple(map(int, re.findall(r"\d+", answer.output)[:4]))
    return ()


def _answers(host: str, port: int, deadline: float) -> bool:
    """Return whether MySQL answers on a port; it greets each client first."""
    seconds = max(0.1, min(_ANSWER_SECONDS, deadline - time.monotonic()))
    with contextlib.suppress(OSError), socket.create_connection(
        (host, port), seconds
    ) as connection:
        return bool(connection.recv(1))
    return False
