# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A managed host: its modules run as processes, its servers are real, its processes are counted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from ansible_collections.mlops.mlflow_aws.tests.support import (
    CHECKOUT,
    clean_environment,
    command_line,
)

# Servers under test listen on this machine: never ask a proxy for them.
OPENER = build_opener(ProxyHandler({}))
MODULES = CHECKOUT / "plugins" / "modules"
# A host's Python has none of the packages that Ansible runs with.
HOST_PYTHON = os.path.realpath(sys.executable)


def await_(done: Callable[[], object], what: str, seconds: float = 90, pause: float = 0.05) -> None:
    """Wait until done() is true, or fail with what was waited for."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(pause)


def ask(url: str, path: str, body: object = None, host: str | None = None) -> tuple[int, str]:
    """Ask a server once; return status and text, status 0 where nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | ({"Host": host} if host else {})
    try:
        with OPENER.open(Request(url + path, data, headers), timeout=20) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def experiments(url: str, host: str | None = None) -> set[str]:
    """Return the names of a server's experiments, read through its database."""
    status, text = ask(url, "/api/2.0/mlflow/experiments/search", {"max_results": 100}, host)
    assert status == 200, text
    return {experiment["name"] for experiment in json.loads(text)["experiments"]}


@dataclass(frozen=True)
class Modules:
    """Runs module files as processes, with their options as JSON on standard input."""

    path: Path
    home: Path

    def start(
        self,
        name: str,
        options: Mapping[str, Any],
        *,
        check: bool = False,
        diff: bool = False,
        verbosity: int = 0,
        python: str = HOST_PYTHON,
        **environment: str,
    ) -> subprocess.Popen[str]:
        """Start a module as the leader of a process group of its own."""
        arguments = {
            **options,
            "_ansible_check_mode": check,
            "_ansible_diff": diff,
            "_ansible_verbosity": verbosity,
        }
        variables = clean_environment(self.home) | {"PYTHONPATH": str(self.path)} | environment
        with tempfile.TemporaryFile("w+", encoding="utf-8") as stream:
            json.dump({"ANSIBLE_MODULE_ARGS": arguments}, stream)
            stream.seek(0)
            return subprocess.Popen(
                [python, str(MODULES / f"{name}.py")],
                stdin=stream,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=variables,
                cwd=self.home,
                start_new_session=True,
            )

    def finish(self, process: subprocess.Popen[str], seconds: float = 250) -> dict[str, Any]:
        """Return the result of a module that was started; it may have failed, with one sentence."""
        try:
            output, errors = process.communicate(timeout=seconds)
        finally:
            end_group(process)
        assert errors == "", errors
        result: dict[str, Any] = json.loads(output)
        assert process.returncode == (1 if result.get("failed") else 0), output
        assert "Traceback" not in output, output
        return result

    def call(self, name: str, options: Mapping[str, Any], **how: Any) -> dict[str, Any]:
        """Run a module that must succeed and return its result."""
        result = self.finish(self.start(name, options, **how))
        assert not result.get("failed"), result
        return result

    def refuse(self, name: str, options: Mapping[str, Any], **how: Any) -> str:
        """Run a module that must fail and return its one sentence."""
        result = self.finish(self.start(name, options, **how))
        assert result.get("failed"), result
        sentence: str = result["msg"]
        assert "\n" not in sentence, sentence
        return sentence


def processes(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            parents[int(folder.name)] = int(fields[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def end_group(process: subprocess.Popen[str]) -> None:
    """Kill what is left of a module and the processes that it waits for."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


@dataclass(frozen=True)
class Installation:
    """What the runs of mlflow_installation returned, and what was there when one was killed."""

    options: dict[str, Any]
    foretold: dict[str, Any]
    nothing_made: bool
    half: dict[str, Any]
    results: list[dict[str, Any]]

    @property
    def folder(self) -> Path:
        """Return the folder of the runtime."""
        return Path(self.foretold["installation"]["path"])


def install(modules: Modules, options: dict[str, Any]) -> Installation:
    """Install MLflow; a first run is killed at work, and what it started goes on for itself."""
    foretold = modules.call("mlflow_installation", options, check=True)
    nothing_made = not Path(options["state_dir"]).exists()
    folder = Path(foretold["installation"]["path"])
    killed = modules.start("mlflow_installation", options)
    await_((folder / "venv" / "pyvenv.cfg").exists, "no environment was made")
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait(timeout=30)
    half = modules.call("mlflow_installation", options, check=True)
    both = [modules.start("mlflow_installation", options) for _number in range(2)]
    results = [modules.finish(process, seconds=400) for process in both]
    end_group(killed)
    for result in results:
        assert not result.get("failed"), result
    return Installation(options, foretold, nothing_made, half, results)


@dataclass
class Host:
    """A state folder with servers of its own, and an installed MLflow."""

    modules: Modules
    runtime: Mapping[str, Any]
    state: Path
    new_ports: Callable[[int], list[int]]
    known: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Return the folder of the servers' settings and logs."""
        return self.state / "servers"

    @property
    def program(self) -> dict[str, str]:
        """Return the options that name the installed MLflow."""
        return {key: self.runtime[key] for key in ("python", "entrypoint")}

    def backend(self, *names: str, **how: Any) -> dict[str, Any]:
        """Make room for projects; return the result of mlflow_local_backend."""
        options = {"state_dir": str(self.state), "projects": names}
        return self.modules.call("mlflow_local_backend", options, **how)

    def schemas(self, *names: str) -> list[dict[str, str]]:
        """Return the option of mlflow_sqlite_migration for these projects."""
        return [{"name": name, "uri": f"sqlite:///{self.database(name)}"} for name in names]

    def database(self, name: str) -> Path:
        """Return the SQLite file of a project."""
        return self.state / "projects" / name / "mlflow.db"

    def migrate(self, *names: str, **how: Any) -> dict[str, Any]:
        """Bring schemas to the head revision; return the result of mlflow_sqlite_migration."""
        options = {"schemas": self.schemas(*names), **self.program}
        return self.modules.call("mlflow_sqlite_migration", options, **how)

    def make(self, *names: str) -> None:
        """Make projects with a schema and a port each, but run no server."""
        backend = self.backend(*names)["backend"]
        self.migrate(*names)
        for name, port in zip(names, self.new_ports(len(names)), strict=True):
            self.known[name] = {"name": name, "port": port, **backend["projects"][name]}

    def server(self, name: str, **changes: Any) -> dict[str, Any]:
        """Return the options of a project's server."""
        return self.known[name] | changes

    def options(self, *servers: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Return the options of mlflow_server."""
        return {"state_dir": str(self.state), "servers": servers, **self.program, **more}

    def change(self, *servers: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Run mlflow_server as `converge` does, after check mode foretold the same.

        And that changed neither a process nor a file.
        """
        pids, before = self.pids(), files(self.state)
        foretold = self.converge(*servers, how={"check": True, "diff": True}, **more)
        assert (self.pids(), files(self.state)) == (pids, before)
        done = self.converge(*servers, how={"diff": True}, **more)
        assert actions(done) == actions(foretold)
        for key in ("changed", "diff"):
            assert done[key] == foretold[key]
        return done

    def converge(
        self, *servers: Mapping[str, Any], how: Mapping[str, Any] | None = None, **more: Any
    ) -> dict[str, Any]:
        """Run mlflow_server, which must succeed, and return its result."""
        return self.modules.call("mlflow_server", self.options(*servers, **more), **(how or {}))

    def fail(self, *servers: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Run mlflow_server, which must fail with one sentence, and return its result."""
        options = self.options(*servers, **more)
        result = self.modules.finish(self.modules.start("mlflow_server", options))
        assert result.get("failed"), result
        assert "\n" not in result["msg"]
        return result

    def info(self) -> dict[str, dict[str, Any]]:
        """Return the records of mlflow_server_info by name."""
        result = self.modules.call("mlflow_server_info", {"state_dir": str(self.state)})
        assert result["changed"] is False
        return {record["name"]: record for record in result["servers"]}

    def pids(self) -> dict[str, int]:
        """Return the process ids of this host's servers, from the system's own table."""
        found: dict[str, int] = {}
        for pid, words in self.processes().items():
            if len(words) > 3 and words[-2] == "serve":
                name = Path(words[-1]).parent.name
                assert name not in found, f"{name} runs twice: {found[name]} and {pid}"
                found[name] = pid
        return found

    def supervisors(self) -> list[int]:
        """Return the process ids of this host's Supervisors."""
        return [pid for pid, words in self.processes().items() if "supervisor.supervisord" in words]

    def processes(self) -> dict[int, list[str]]:
        """Return the words of every process that belongs to this state folder, by process id.

        Workers do not name it in their arguments, but work in it.
        """
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            # A process may end in the meantime, or be another user's.
            with suppress(OSError):
                words = command_line(process)
                place = f"{self.folder}{os.sep}"
                works_here = f"{os.readlink(process / 'cwd')}{os.sep}".startswith(place)
                # A zombie has no words.
                if words and (works_here or any(place in word for word in words)):
                    found[int(process.name)] = words
        return found

    def close(self) -> None:
        """End every process of this host, Supervisor first."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pids in (self.supervisors(), list(self.processes())):
                for pid in pids:
                    with suppress(ProcessLookupError):
                        os.kill(pid, number)
                deadline = time.monotonic() + 10
                while set(pids) & set(self.processes()) and time.monotonic() < deadline:
                    time.sleep(0.05)
        assert self.processes() == {}


def by_name(result: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a result's server records by name."""
    return {record["name"]: record for record in result["servers"]}


def actions(result: Mapping[str, Any]) -> dict[str, str]:
    """Return what a result says was done, or would be, by name."""
    return {record["name"]: record["action"] for record in result["servers"]}


def traces(secret: str) -> list[str]:
    """Return every process of this machine that shows a text in its arguments or environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            with suppress(OSError):
                if secret.encode() in (process / name).read_bytes():
                    found.append(f"{process}/{name}")
    return found


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Return all that is below a folder, with number and time of change; sockets apart.

    A running server's log and database grow, so those are only named.
    """
    moving = re.compile(r".*\.log|mlflow\.db.*|\.lock")
    return {
        str(path.relative_to(folder)): (0, 0)
        if path.is_dir() or moving.fullmatch(path.name)
        else (path.lstat().st_ino, path.lstat().st_mtime_ns)
        for path in folder.rglob("*")
        if not path.is_socket()
    }


def holding(words: Iterable[str], pattern: str) -> bool:
    """Say whether one of a process's words matches."""
    return any(re.search(pattern, word) for word in words)
