# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three hosts of different kinds on this machine, each behind an sshd of its own, and their inventory.

`box` has Docker, an engine of its own; `metal` runs processes as root; `desk` runs processes as a
user who may become nobody else. Root makes them.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.mlops.mlflow_aws.tests.parts import docker_engine
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Engine, Problem
from ansible_collections.mlops.mlflow_aws.tests.parts.host import processes as descendants
from ansible_collections.mlops.mlflow_aws.tests.parts.sshd import sshd
from ansible_collections.mlops.mlflow_aws.tests.support import (
    CHECKOUT,
    Done,
    clean_environment,
    command_line,
    run,
    short_folder,
)
from ansible_collections.mlops.mlflow_aws.tests.twin._team import Team

# What the first host reads for all is of use to others alone: it runs no container.
NAMES = ("metal", "box", "desk")
PROJECT = "demo"
PLAYBOOK_SECONDS = 1200
END_SECONDS = 10
# Where Debian's Python and those of other packages lie, which any user may run.
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3")
PYTHON_PATH = "/usr/local/bin:/usr/bin"
PYTHON_CHECK = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
RECAP = re.compile(r"^(\w+) +: (.*)$", re.MULTILINE)
COUNT = re.compile(r"(\w+)=(\d+)")
TABLE = re.compile(r'"msg": \[\n +"(HOST .*?)"\n +\]', re.DOTALL)
RUN_ID = re.compile(r"[0-9a-f]{32}$")


@dataclass(frozen=True)
class Begun:
    """A playbook that runs, and its output."""

    process: subprocess.Popen[bytes]
    log: Path

    def text(self) -> str:
        """Return what it has told so far."""
        return self.log.read_text(errors="replace")

    def end(self) -> Done:
        """Wait for its end, which is not one with a traceback."""
        try:
            code = self.process.wait(PLAYBOOK_SECONDS)
        finally:
            self.cancel()
        assert "Traceback" not in self.text(), self.text()
        return Done(code, self.text())

    def cancel(self) -> None:
        """Kill it where it still runs, with Ansible's workers, which would stay for ever."""
        for pid in descendants(self.process.pid) if self.process.poll() is None else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(END_SECONDS)


@dataclass
class Boxes:
    """The hosts, and a team that runs playbooks on them."""

    team: Team
    folder: Path
    engine: Engine
    user: str
    ports: Mapping[str, int]
    inventory: Path
    environment: Mapping[str, str]
    begun: list[Begun] = field(default_factory=list)

    def url(self, name: str) -> str:
        """Return the address of a host's server."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def command(self, playbook: str, *options: str, **variables: Any) -> list[str | Path]:
        """Return the command that runs a playbook on all hosts."""
        extra = self.folder / f"extra-{uuid.uuid4().hex}.yml"
        extra.write_text(yaml.safe_dump(variables))
        program = Path(sys.executable).with_name("ansible-playbook")
        path = CHECKOUT / "playbooks" / f"{playbook}.yml"
        return [program, path, "-i", self.inventory, "-e", f"@{extra}", *options]

    def play(self, playbook: str, *options: str, **variables: Any) -> Done:
        """Run a playbook on all hosts; it may fail, but not with a traceback."""
        done = run(
            self.command(playbook, *options, **variables),
            cwd=self.folder,
            env=self.environment,
            timeout=PLAYBOOK_SECONDS,
            check=False,
        )
        assert "Traceback" not in done.output, done.output
        return done

    def begin(self, playbook: str, **variables: Any) -> Begun:
        """Start a playbook on all hosts, as one more operator."""
        log = self.folder / f"run-{uuid.uuid4().hex}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command(playbook, **variables),
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.begun.append(Begun(process, log))
        return self.begun[-1]

    def containers(self) -> dict[str, str]:
        """Return the ids of box's containers by name, running ones or not."""
        lines = self.engine.docker("ps", "--all", "--no-trunc", "--format", "{{.Names}} {{.ID}}")
        return dict(line.split() for line in lines.splitlines())

    def share_runtime(self) -> None:
        """Let desk use the MLflow that is installed on metal: a minute and 400 MB less."""
        (runtime,) = (self.folder / "metal" / "runtimes").glob("*/")
        above = (runtime.parent.parent, runtime.parent, runtime)
        for place in (*above, *runtime.rglob("*")):
            if not place.is_symlink():
                mode = place.stat().st_mode & 0o777
                place.chmod(mode | (mode & 0o500) >> 6 | (mode & 0o500) >> 3)
        own = self.folder / "desk" / "runtimes"
        own.mkdir()
        shutil.chown(own, self.user)
        (own / runtime.name).symlink_to(runtime)

    @property
    def python(self) -> Path:
        """Return the Python that has MLflow."""
        (found,) = (self.folder / "metal" / "runtimes").glob("*/venv/bin/python")
        return found

    def cut_off(self, *names: str) -> None:
        """Let hosts lose their power: every process there ends at once."""
        for name in names:
            if name == "box":
                docker_engine.cut_off(self.engine)
            else:
                kill(functools.partial(self.processes, name))

    def end_servers(self, name: str) -> None:
        """End a host's processes, Supervisor first, so that its servers take away their secrets."""
        for pid in self.processes(name):
            with contextlib.suppress(OSError):
                if b"supervisor.supervisord" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + END_SECONDS
        while self.processes(name) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.cut_off(name)

    def processes(self, name: str) -> list[int]:
        """Return the processes of a host's servers, and of all its user did where that is none other's."""
        place, owner = f"{self.folder / name}/", pwd.getpwnam(self.user).pw_uid
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            # A process may end meanwhile.
            with contextlib.suppress(OSError):
                words = command_line(process)
                ours = process.stat().st_uid == owner if name == "desk" else False
                if words and (ours or any("/servers/" in w and place in w for w in words)):
                    found.append(int(process.name))
        return found

    def end_docker(self) -> None:
        """Stop box's engine as its administrator would."""
        docker_engine.end(self.engine)

    def start_docker(self) -> None:
        """Start box's engine again."""
        self.engine = docker_engine.resume(self.engine, self.folder / "engine.log")


def kill(listed: Callable[[], list[int]]) -> None:
    """Kill processes, and those that they started meanwhile."""
    deadline = time.monotonic() + END_SECONDS
    while found := listed():
        assert time.monotonic() < deadline, f"{found} do not end"
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def table(done: Done) -> dict[str, list[str]]:
    """Return the closing table: words after the host by host; `HOST failed` has its whole sentence.

    So has `Not in the list, data kept`, which earlier tests on the same stack may have left.
    """
    (text,) = TABLE.findall(done.output)
    found = {}
    for line in text.splitlines()[1:]:
        line = line.strip().strip('",').replace('\\"', '"')
        first, _colon, rest = line.partition(": ")
        if first.endswith((" failed", " kept")):
            found[first] = [rest]
        else:
            name, *words = RUN_ID.sub("RUN", line).split()
            found[name] = words
    return found


def recap(done: Done, name: str) -> str:
    """Return what Ansible counts of one host."""
    found: dict[str, str] = dict(RECAP.findall(done.output))
    return found[name]


def changes(done: Done) -> dict[str, int]:
    """Return the number of changes by host, of a run without failures."""
    assert done.code == 0, done.output
    recaps = {name: dict(COUNT.findall(text)) for name, text in RECAP.findall(done.output)}
    return {name: int(counts["changed"]) for name, counts in recaps.items() if name in NAMES}


@contextlib.contextmanager
def boxes(team: Team, new_ports: Callable[[int], list[int]]) -> Iterator[Boxes]:
    """Make the hosts, and remove them with all that runs there; raise Problem where that cannot be."""
    if os.geteuid() != 0:
        raise Problem("Hosts with users and an engine of their own need root: run this as root.")
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(short_folder())
        folder.chmod(0o755)
        user = stack.enter_context(_user())
        python = _python(user)
        engine = docker_engine.launch(folder)
        ports = {name: new_ports(1)[0] for name in NAMES}
        hosts = {}
        for name in NAMES:
            home = _home(folder / name, team, user if name == "desk" else "root")
            place = folder / f"{name}-ssh"
            place.mkdir(mode=0o755)
            server = stack.enter_context(
                sshd(
                    place,
                    new_ports(1)[0],
                    user=user if name == "desk" else "root",
                    environment=_session(home),
                )
            )
            hosts[name] = {
                **server.variables,
                "mlflow_base_port": ports[name],
                "mlflow_state_dir": str(folder / name),
                "mlflow_server_runtime": "docker" if name == "box" else "process",
                # Not the twin's own, which only root may read.
                "mlflow_server_aws_config_dir": str(home / ".aws"),
            }
        inventory = folder / "hosts.yml"
        shared = CHECKOUT / "inventories" / "aws" / "group_vars" / "mlflow_servers.yml"
        written = yaml.safe_load(shared.read_text())
        parameters = "mlflow_stack_parameters"
        variables = {
            **written,
            **team.twin.variables,
            # What the inventory says of the stack stays, but for what the emulator needs.
            parameters: {**(written[parameters] or {}), **team.twin.variables[parameters]},
            "ansible_python_interpreter": python,
            "mlflow_server_base_python": python,
            "mlflow_server_docker_host": engine.host,
            "mlflow_server_projects": [PROJECT],
        }
        for key in ("mlflow_base_port", "mlflow_state_dir"):
            del variables[key]
        told = {"mlflow_servers": {"hosts": hosts, "vars": variables}}
        inventory.write_text(yaml.safe_dump(told, sort_keys=False))
        environment = team.environment | {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_PIPELINING": "1"}
        made = Boxes(team, folder, engine, user, ports, inventory, environment)
        try:
            yield made
        finally:
            for begun in made.begun:
                begun.cancel()
            for name in ("metal", "desk"):
                made.end_servers(name)
            made.cut_off("box")
            docker_engine.stop(made.engine)


@contextlib.contextmanager
def _user() -> Iterator[str]:
    """Make a user of this machine who may become nobody else, and remove it."""
    name = f"mlflow-{uuid.uuid4().hex[:8]}"
    path = docker_engine.root_environment()
    command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/sh", name]
    subprocess.run(command, check=True, env=path)
    try:
        yield name
    finally:
        subprocess.run(["userdel", name], check=True, env=path)


def _python(user: str) -> str:
    """Return a Python for MLflow that the user may run."""
    for name in PYTHONS:
        path = shutil.which(name, path=PYTHON_PATH)
        if path and _may_run([path, "-c", PYTHON_CHECK], user):
            return path
    raise Problem(
        f"No Python 3.11 or newer with venv is in {PYTHON_PATH}, for a user who is not you: install it"
        " (on Debian python3-venv)."
    )


def _may_run(command: list[str], user: str) -> bool:
    """Say whether a command ends well as another user."""
    done = subprocess.run(command, user=user, cwd="/", capture_output=True, check=False)
    return done.returncode == 0


def _home(folder: Path, team: Team, user: str) -> Path:
    """Make a host's folder and a HOME in it with AWS credentials; return the latter."""
    home = folder / "home"
    aws = home / ".aws"
    aws.mkdir(parents=True)
    for name in ("config", "credentials"):
        shutil.copy(team.twin.folder / "aws" / name, aws / name)
    for place in (folder, home, aws, *aws.iterdir()):
        shutil.chown(place, user)
    return home


def _session(home: Path) -> dict[str, str]:
    """Return the variables of a host's sessions: its HOME, and how pip finds packages here."""
    found = clean_environment(home)
    return {name: text for name, text in found.items() if name not in ("PATH", "SHELL", "TERM")}
