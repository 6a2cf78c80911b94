# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: runs servers as processes under Supervisor.

Supervisor (from PyPI, in the runtime's own environment) restarts what dies and rotates logs
without root, on Linux and macOS alike. systemd user units would do the same only where a
user has a session bus and lingering, which containers, CI machines and macOS lack.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shlex
import shutil
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import (
    environ,
    interpreter,
    ports,
    process_table,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files as host_files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import (
    claims,
    holders,
    supervisor_config,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import (
    REMOVE,
    START,
    STOP,
    FoundServer,
    Step,
    WantedServer,
    redacted,
    whole,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.supervisor import (
    DEAD,
    UP,
    Supervisor,
    wait_until,
)

_LOG_LINES = 20
_LOG_TAIL_BYTES = 16384
# How a stopped server ran last.
_LAST = "last.json"
_SETTINGS = re.compile(r"settings-([0-9a-f]{16})\.json")


class ProcessRuntime:
    """Servers as processes under one Supervisor in the state folder."""

    def __init__(
        self,
        folder: Path,
        python: str,
        entrypoint: str,
        identifier: str,
        passed_on: t.Sequence[str] = (),
    ) -> None:
        """Take the servers' folder and the runtime: its Python, mlflow_entry.py and identifier.

        passed_on names further variables of this environment that servers are to have.
        """
        self._folder = folder
        self._python = python
        self._entrypoint = entrypoint
        self._identifier = identifier
        self._passed_on = passed_on
        self._supervisor = Supervisor(folder / "supervisor.sock")

    def observe(self) -> dict[str, FoundServer]:
        """Return all servers on the host, by name, as Supervisor and the folder tell."""
        processes = self._supervisor.processes()
        names = {path.name for path in self._folder.glob("*/") if _is_server(path)}
        return {name: self._found(name, processes.get(name)) for name in names | set(processes)}

    def require(self, steps: t.Sequence[Step]) -> None:
        """Refuse nothing: a process needs no more than its port."""
        del steps

    def owns(self, holder: ports.Holder) -> bool:
        """Return whether who holds a port was started from this folder, or is ending."""
        if not holder.pid:
            return False
        arguments = process_table.arguments(holder.pid)
        # Of one that is ending, or has ended since, there are none: its port is waited for.
        return not arguments or f"{self._folder}{os.sep}" in arguments

    def claim(self, holder: ports.Holder, host: str) -> claims.Claim:
        """Return whose a port is that no server of this folder holds."""
        return holders.claim(holder, host)

    def apply(self, steps: t.Sequence[Step], deadline: float) -> None:
        """Write settings and Supervisor's configuration, then let it start and stop all at once."""
        commands = self._commands(steps)
        host_files.make_folder(self._folder)
        self._remember(steps)
        for server in _running(steps):
            host_files.make_folder(self._folder / server.name)
            host_files.write_private(
                self._settings_path(server), json.dumps(server.settings, indent=2) + "\n"
            )
        self._supervisor.make_key()
        host_files.write_private(self._configuration_path, self._configuration(commands))
        alive = self._supervisor.alive()
        # Another runtime brings its own Supervisor.
        if alive and (not commands or self._supervisor.identifier() != self._identifier):
            self._supervisor.shut_down(deadline)
            alive = False
        if alive:
            started = self._supervisor.update(deadline)
            missing = {step.name for step in steps if step.action == START} - started
            self._supervisor.start(missing)
        elif commands:
            self._await_free_ports(steps, deadline)
            environment = environ.clean(*self._passed_on)
            self._supervisor.launch(self.command, environment, deadline)
        self._tidy(steps)

    def resume(self, names: t.Collection[str], deadline: float) -> list[str]:
        """Start stopped servers as they ran last, by the MLflow of that time; returns which."""
        found = {name: self._folder / name / _LAST for name in names}
        last = {
            name: json.loads(path.read_text(encoding="utf-8"))
            for name, path in found.items()
            if path.is_file()
        }
        up = {
            name: process["command"]
            for name, process in self._supervisor.processes().items()
            if process["statename"] in UP
        }
        due = {name: kept for name, kept in last.items() if name not in up}
        if not due:
            return []
        one = next(iter(due.values()))
        then = ProcessRuntime(
            self._folder, one["python"], self._entrypoint, one["identifier"], self._passed_on
        )
        commands = {**up, **{name: kept["command"] for name, kept in due.items()}}
        then._supervisor.make_key()
        host_files.write_private(then._configuration_path, then._configuration(commands))
        if then._supervisor.alive():
            then._supervisor.start(set(due) - then._supervisor.update(deadline))
        else:
            then._supervisor.launch(then.command, environ.clean(*self._passed_on), deadline)
        return sorted(due)

    def dead(self) -> dict[str, str]:
        """Return the servers that Supervisor has given up, by name, and how they ended."""
        return {
            name: "died at start"
            for name, process in self._supervisor.processes().items()
            if process["statename"] in DEAD
        }

    def log_path(self, name: str) -> str:
        """Return the path of the server's log."""
        return str(supervisor_config.log_path(self._folder, name))

    def log_tail(self, name: str) -> list[str]:
        """Return the last lines of the server's log."""
        path = Path(self.log_path(name))
        try:
            with path.open("rb") as stream:
                stream.seek(max(0, path.stat().st_size - _LOG_TAIL_BYTES))
                text = stream.read().decode("utf-8", "replace")
        except OSError:
            return []
        return [line for line in text.splitlines() if line.strip()][-_LOG_LINES:]

    @property
    def command(self) -> list[str]:
        """Return the command that starts Supervisor, and with it all servers."""
        return interpreter.isolated(
            self._python, "-m", "supervisor.supervisord", "-c", str(self._configuration_path)
        )

    @property
    def _configuration_path(self) -> Path:
        return self._folder / "supervisord.conf"

    def _settings_path(self, wanted: WantedServer) -> Path:
        """Return the settings file; by its name the process's arguments show what is running."""
        return self._folder / wanted.name / f"settings-{wanted.configuration}.json"

    def _found(self, name: str, process: dict[str, t.Any] | None) -> FoundServer:
        """Return one server as it is."""
        folder = self._folder / name
        running = process is not None and process["statename"] in UP
        # Supervisor reports the command it has read last; a run that was killed half way may have
        # left a process of the one before.
        command = process_table.arguments(process["pid"]) if process and running else ""
        match = _SETTINGS.search(command or (process["command"] if process else ""))
        files = (
            [folder / match.group(0)]
            if match
            else sorted(folder.glob("settings-*.json"), key=_modified)
        )
        settings = None
        if files:
            with contextlib.suppress(OSError, ValueError):
                kept = whole(json.loads(files[-1].read_text(encoding="utf-8")))
                settings = redacted(kept) if kept else None
        return FoundServer(
            name=name,
            running=running,
            known=folder.is_dir(),
            configuration=match.group(1) if match else "",
            pid=int(process["pid"]) if process and running else 0,
            settings=settings,
        )

    def _remember(self, steps: t.Sequence[Step]) -> None:
        """Keep how the servers that are stopped ran, for resume()."""
        processes = self._supervisor.processes()
        for step in steps:
            if step.action == STOP and step.name in processes:
                command = processes[step.name]["command"]
                kept = {
                    "command": command,
                    "python": shlex.split(command)[0],
                    "identifier": self._supervisor.identifier(),
                }
                host_files.write_private(self._folder / step.name / _LAST, json.dumps(kept))

    def _commands(self, steps: t.Sequence[Step]) -> dict[str, str]:
        """Return the command line of every server that is to run, by name."""
        touched = {step.name for step in steps}
        commands = {
            name: process["command"]
            for name, process in self._supervisor.processes().items()
            if name not in touched and process["statename"] in UP
        }
        for server in _running(steps):
            settings = str(self._settings_path(server))
            words = interpreter.isolated(self._python, self._entrypoint, "serve", settings)
            commands[server.name] = " ".join(shlex.quote(word) for word in words)
        return commands

    def _configuration(self, commands: t.Mapping[str, str]) -> str:
        """Return Supervisor's configuration for these servers."""
        return supervisor_config.configuration(
            self._folder,
            self._supervisor.path,
            self._supervisor.key,
            self._identifier,
            commands,
        )

    def _await_free_ports(self, steps: t.Sequence[Step], deadline: float) -> None:
        """Wait until servers that lost their Supervisor have ended, as they do by themselves."""
        for server in _running(steps):
            if "port" not in server.settings:
                continue
            free = functools.partial(ports.is_free, server.host, server.port)
            wait_until(
                free, deadline, f"Port {server.port} of project '{server.name}' did not become free"
            )

    def _tidy(self, steps: t.Iterable[Step]) -> None:
        """Delete the folders of removed servers and settings that no server uses any more."""
        for step in steps:
            folder = self._folder / step.name
            if step.action == REMOVE:
                with contextlib.suppress(FileNotFoundError):
                    shutil.rmtree(folder)
        for server in _running(steps):
            for path in (self._folder / server.name).glob("settings-*.json"):
                if path != self._settings_path(server):
                    path.unlink()


def _running(steps: t.Iterable[Step]) -> list[WantedServer]:
    """Return the servers that run when the steps are taken."""
    return [step.wanted for step in steps if step.runs and step.wanted]


def _is_server(folder: Path) -> bool:
    """Return whether the folder is a server's."""
    return folder.is_dir() and any(folder.glob("settings-*.json"))


def _modified(path: Path) -> float:
    """Return when the file was last written."""
    return path.stat().st_mtime
