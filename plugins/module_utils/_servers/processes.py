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
import http.client
import json
import os
import re
import resource
import shlex
import shutil
import socket
import time
import typing as t
import xml.parsers.expat
import xmlrpc.client
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import (
    commands as host_commands,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import (
    environ,
    interpreter,
    ports,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files as host_files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.unix_http import UnixConnection
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import holders
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import (
    REMOVE,
    START,
    Found,
    Step,
    Wanted,
    redacted,
    whole,
)

# A server that lives this long has started; one that dies earlier is retried a few times.
_START_SECONDS = 10
_START_RETRIES = 3
_STOP_SECONDS = 30
_LOG_BYTES = "10MB"
_LOG_BACKUPS = 3
_LOG_LINES = 20
_LOG_TAIL_BYTES = 16384
_RPC_SECONDS = 10.0
_PS_SECONDS = 10
# sun_path holds 104 bytes on macOS and 108 on Linux; Supervisor first binds NAME.PID.
_SOCKET_LENGTH = 104 - len(".4194304") - 1
_UP = ("STARTING", "RUNNING", "BACKOFF")
# EXITED is not among them: Supervisor starts such a server again at once.
_DEAD = ("FATAL", "UNKNOWN")
# What a call can end with, also where Supervisor dies in the middle of its answer.
_NO_ANSWER = (
    OSError,
    http.client.HTTPException,
    xmlrpc.client.Error,
    xml.parsers.expat.ExpatError,
    ValueError,
)
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
        self._supervisor = _Supervisor(folder / "supervisor.sock")
        _require_fitting(folder, self._supervisor.path)

    def observe(self) -> dict[str, Found]:
        """Return all servers on the host, by name, as Supervisor and the folder tell."""
        processes = self._supervisor.processes()
        names = {path.name for path in self._folder.glob("*/") if _is_server(path)}
        return {name: self._found(name, processes.get(name)) for name in names | set(processes)}

    def require(self, steps: t.Sequence[Step]) -> None:
        """Refuse nothing: a process needs no more than its port."""
        del steps

    def owns(self, holder: ports.Holder) -> bool:
        """Say whether who holds a port was started from this folder, or is ending."""
        if not holder.pid:
            return False
        arguments = _arguments(holder.pid)
        # Of one that is ending, or has ended since, there are none: its port is waited for.
        return not arguments or f"{self._folder}{os.sep}" in arguments

    def claim(self, holder: ports.Holder, host: str) -> holders.Claim:
        """Return whose a port is that no server of this folder holds."""
        return holders.claim(holder, host)

    def apply(self, steps: t.Sequence[Step], deadline: float) -> None:
        """Write settings and Supervisor's configuration, then let it start and stop all at once."""
        commands = self._commands(steps)
        host_files.make_folder(self._folder)
        for server in _running(steps):
            host_files.make_folder(self._folder / server.name)
            host_files.write_private(
                self._settings_path(server), json.dumps(server.settings, indent=2) + "\n"
            )
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
            self._launch(deadline)
        self._tidy(steps)

    def dead(self) -> dict[str, str]:
        """Return the servers that Supervisor has given up, by name, and how they ended."""
        return {
            name: "died at start"
            for name, process in self._supervisor.processes().items()
            if process["statename"] in _DEAD
        }

    def log_path(self, name: str) -> str:
        """Return the path of the server's log."""
        return str(self._folder / name / "server.log")

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

    def _settings_path(self, wanted: Wanted) -> Path:
        """Return the settings file; its name tells in the process's arguments what is running."""
        return self._folder / wanted.name / f"settings-{wanted.configuration}.json"

    def _found(self, name: str, process: dict[str, t.Any] | None) -> Found:
        """Return one server as it is."""
        folder = self._folder / name
        running = process is not None and process["statename"] in _UP
        # Supervisor tells the command it has read last; a run that was killed half way may have
        # left a process of the one before.
        command = _arguments(process["pid"]) if process and running else ""
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
        return Found(
            name=name,
            running=running,
            known=folder.is_dir(),
            configuration=match.group(1) if match else "",
            pid=int(process["pid"]) if process and running else 0,
            settings=settings,
        )

    def _commands(self, steps: t.Sequence[Step]) -> dict[str, str]:
        """Return the command line of every server that is to run, by name."""
        touched = {step.name for step in steps}
        commands = {
            name: process["command"]
            for name, process in self._supervisor.processes().items()
            if name not in touched and process["statename"] in _UP
        }
        for server in _running(steps):
            settings = str(self._settings_path(server))
            words = interpreter.isolated(self._python, self._entrypoint, "serve", settings)
            commands[server.name] = " ".join(shlex.quote(word) for word in words)
        return commands

    def _configuration(self, commands: t.Mapping[str, str]) -> str:
        """Return Supervisor's configuration file for these servers."""
        pidfile = self._folder / "supervisord.pid"
        # Each thread's own arena would cost tens of MiB for nothing here. By the pid file a
        # server knows whose end is its own: see programs/server/mlflow_entry.py.
        environment = f'MALLOC_ARENA_MAX="2",MLFLOW_AWS_SUPERVISOR="{pidfile}"'
        sections: dict[str, dict[str, t.Any]] = {
            "unix_http_server": {"file": self._supervisor.path, "chmod": "0700"},
            "rpcinterface:supervisor": {
                "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
            },
            "supervisord": {
                "identifier": self._identifier,
                "pidfile": pidfile,
                "logfile": self._folder / "supervisord.log",
                "logfile_maxbytes": _LOG_BYTES,
                "logfile_backups": _LOG_BACKUPS,
                "childlogdir": self._folder,
                "directory": self._folder,
                "umask": "077",
            },
        }
        for name, command in sorted(commands.items()):
            sections[f"program:{name}"] = {
                "command": command,
                "directory": self._folder / name,
                "autostart": "true",
                "autorestart": "true",
                "startsecs": _START_SECONDS,
                "startretries": _START_RETRIES,
                "stopwaitsecs": _STOP_SECONDS,
                "stopasgroup": "true",
                "killasgroup": "true",
                "redirect_stderr": "true",
                "stdout_logfile": self.log_path(name),
                "stdout_logfile_maxbytes": _LOG_BYTES,
                "stdout_logfile_backups": _LOG_BACKUPS,
                "environment": environment,
            }
        lines = ["; Written by the module mlflow_server, which overwrites changes."]
        for section, options in sections.items():
            lines += ["", f"[{section}]"]
            lines += [f"{key} = {str(value).replace('%', '%%')}" for key, value in options.items()]
        return "\n".join(lines) + "\n"

    def _launch(self, deadline: float) -> None:
        """Start Supervisor, which goes into the background by itself, and wait for its socket."""
        answer = host_commands.run(
            self.command,
            _remaining(deadline),
            f"Supervisor did not start by {self._python}",
            "run the deploy playbook",
            environment=environ.clean(*self._passed_on),
            folder=str(self._folder),
            merged=True,
        )
        if answer.code != 0:
            raise MlflowError(
                f"Supervisor did not start: {answer.reason}: {_start_remedy(answer.reason)}; its log is "
                f"{self._folder}/supervisord.log."
            )
        _wait(self._supervisor.alive, deadline, f"Supervisor did not open {self._supervisor.path}")

    def _await_free_ports(self, steps: t.Sequence[Step], deadline: float) -> None:
        """Wait until servers that lost their Supervisor have ended, as they do by themselves."""
        for server in _running(steps):
            free = functools.partial(ports.is_free, server.host, server.port)
            _wait(
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


class _Supervisor:
    """One Supervisor, spoken to over its socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        transport = _UnixTransport(str(path))
        self._rpc = xmlrpc.client.ServerProxy("http://supervisor", transport=transport).supervisor

    def alive(self) -> bool:
        """Say whether it answers."""
        if not self.path.exists():
            return False
        try:
            state: t.Any = self._rpc.getState()
            return isinstance(state, dict) and state.get("statename") == "RUNNING"
        except (ConnectionError, FileNotFoundError, xmlrpc.client.Fault):
            # It refuses all calls while it shuts down, and one that dies hangs up.
            return False
        except _NO_ANSWER as error:
            raise MlflowError(
                f"Supervisor does not answer on {self.path} ({error}): run as the user who started it, "
                "or end its process and run again."
            ) from error

    def is_gone(self) -> bool:
        """Say whether nobody listens on its socket, not even one that is shutting down."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            return connection.connect_ex(str(self.path)) != 0

    def identifier(self) -> str:
        """Return the identifier of the runtime that it was started from."""
        return str(self._call("getIdentification"))

    def processes(self) -> dict[str, dict[str, t.Any]]:
        """Return its servers by name: state, pid and command line."""
        if not self.alive():
            # One that another run is ending, or was when it was killed, still has servers.
            limit = time.monotonic() + _STOP_SECONDS + _RPC_SECONDS
            _wait(self.is_gone, limit, f"Supervisor did not close {self.path}")
            return {}
        try:
            configured = self._call("getAllConfigInfo")
            running = self._call("getAllProcessInfo")
            with self._understanding("getAllProcessInfo"):
                commands = {str(info["name"]): str(info["command"]) for info in configured}
                return {
                    info["name"]: {
                        "statename": str(info["statename"]),
                        "pid": int(info["pid"]),
                        "command": commands.get(info["name"], ""),
                    }
                    for info in running
                }
        except MlflowError:
            if self.alive():
                raise
            return self.processes()

    def update(self, deadline: float) -> set[str]:
        """Read the configuration again; replace, add and drop servers, all stops side by side.

        Returns the names of those that it is starting now.
        """
        told = self._call("reloadConfig")
        with self._understanding("reloadConfig"):
            ((added, changed, removed),) = told
        for name in changed + removed:
            self._call("stopProcessGroup", name, False)
        for name in changed + removed:
            _wait(functools.partial(self._ended, name), deadline, f"Server '{name}' did not stop")
            self._call("removeProcessGroup", name)
        for name in changed + added:
            self._call("addProcessGroup", name)
        return set(changed + added)

    def start(self, names: t.Iterable[str]) -> None:
        """Start those servers that are not up, without waiting for them."""
        for name in names:
            if self._state(name) not in _UP:
                self._call("startProcess", name, False)

    def shut_down(self, deadline: float) -> None:
        """Stop all servers and Supervisor itself."""
        with self._understanding("getPID"):
            pid = int(self._call("getPID"))
        self._call("shutdown")
        _wait(lambda: not _exists(pid), deadline, f"Supervisor (process {pid}) did not end")

    def _call(self, method: str, *arguments: t.Any) -> t.Any:
        """Call one of Supervisor's methods."""
        try:
            return getattr(self._rpc, method)(*arguments)
        except _NO_ANSWER as error:
            said = str(error) or type(error).__name__
            raise MlflowError(
                f"Supervisor refused {method} ({said}): look at supervisord.log in {self.path.parent}, "
                "then run again."
            ) from error

    def _ended(self, name: str) -> bool:
        """Say whether a server's process is gone."""
        return self._state(name) in ("STOPPED", "EXITED", *_DEAD)

    def _state(self, name: str) -> str:
        """Return the state of one of its servers."""
        process = self.processes().get(name)
        if process is None:
            raise MlflowError(
                f"Supervisor ended, or lost server '{name}', while the servers of this host were changed: see "
                f"supervisord.log in {self.path.parent}, then rerun."
            )
        return str(process["statename"])

    @contextlib.contextmanager
    def _understanding(self, method: str) -> t.Iterator[None]:
        """Turn an answer of another form into one sentence."""
        try:
            yield
        except (LookupError, TypeError, ValueError) as error:
            raise MlflowError(
                f"Supervisor answered {method} in a form that is not its own ({error!r}): end whatever listens "
                f"on {self.path}, then rerun."
            ) from error


class _UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over a Unix socket; Supervisor's own transport is not on the host's Python."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: t.Any) -> http.client.HTTPConnection:
        """Return a connection to the socket; there is but one host behind it."""
        del host
        return UnixConnection(self._path, _RPC_SECONDS)


def _require_fitting(folder: Path, path: Path) -> None:
    """Refuse a folder whose path is too long for a socket in it."""
    if len(os.fsencode(str(path))) > _SOCKET_LENGTH:
        limit = _SOCKET_LENGTH - len("/servers/supervisor.sock")
        raise MlflowError(
            f"mlflow_state_dir is too long for a socket in it ({folder.parent}): choose a path of "
            f"{limit} characters at most."
        )


def _running(steps: t.Iterable[Step]) -> list[Wanted]:
    """Return the servers that run when the steps are taken."""
    return [step.wanted for step in steps if step.runs and step.wanted]


def _is_server(folder: Path) -> bool:
    """Say whether the folder is a server's."""
    return folder.is_dir() and any(folder.glob("settings-*.json"))


def _modified(path: Path) -> float:
    """Return when the file was last written."""
    return path.stat().st_mtime


def _arguments(pid: int) -> str:
    """Return the command line of a process, empty where there is none."""
    if not pid:
        return ""
    if Path("/proc/self/cmdline").exists():
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
            return words.replace("\0", " ")
        return ""
    # macOS has ps alone, a slim Linux none.
    command = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    return host_commands.run(
        command, _PS_SECONDS, f"The command line of process {pid} cannot be read", "rerun"
    ).output


def _exists(pid: int) -> bool:
    """Say whether the process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _start_remedy(reason: str) -> str:
    """Return what to do about a Supervisor that does not start for this reason."""
    if "minfds" not in reason:
        return "fix that and rerun"
    # It raises the soft limit by itself, and tells a hard one that it would have liked to have.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return (
        f"this user may open {hard} files at most: raise the hard limit (nofile in "
        "/etc/security/limits.conf), log in again and rerun"
    )


def _remaining(deadline: float) -> float:
    """Return the seconds until the deadline, at least one."""
    return max(1.0, deadline - time.monotonic())


def _wait(done: t.Callable[[], bool], deadline: float, failure: str) -> None:
    """Wait until done() is true, or fail at the deadline."""
    while not done():
        if time.monotonic() > deadline:
            raise MlflowError(f"{failure} in time: look at its log, or raise the timeout.")
        time.sleep(0.1)
