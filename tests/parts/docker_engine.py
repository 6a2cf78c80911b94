# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The twin's Docker engine: one that runs here already, or Debian's, started for it as root."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ansible_collections.mlops.mlflow_aws.tests.parts import engine_network
from ansible_collections.mlops.mlflow_aws.tests.parts.engine_network import (
    Problem,
    root_environment,
)
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, command_line

# Others take them from here.
__all__ = ["Problem", "root_environment"]

START_SECONDS = 120
STOP_SECONDS = 60
# What dockerd says when its containerd is slow.
SLOW = "waiting for containerd"
# What an engine consists of.
PROGRAMS = ("dockerd", "containerd")
NEEDED = ("docker", "dockerd", "iptables", "ip")
# Names of Unix sockets end at 107 bytes, and the engine makes sockets below its own folder.
RUN = Path("/run")
RUN_PREFIX = "mlflow-twin-"
LOCK = RUN / "mlflow-twin.lock"
# Locked by the process that started an engine for as long as that lives; holds the data's folder.
OWNER = "owner"
HELP = re.compile(r"(Run|See) 'docker .*--help'")
# Two images may be made at once, and apt serves one at a time.
_INSTALLING = threading.Lock()
# Python complains of a process that runs and that nobody holds any more.
_STARTED: list[subprocess.Popen[bytes]] = []
# The locks on OWNER files, by the engines' folders.
_HELD: dict[str, IO[str]] = {}


@dataclass(frozen=True)
class Engine:
    """A Docker engine, and the process and folders of one that was started for the twin."""

    host: str
    pid: int = 0
    run: str = ""
    data: str = ""
    options: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables by which programs find it."""
        return {"DOCKER_HOST": self.host}

    def docker(
        self,
        *arguments: str,
        stdin: IO[bytes] | None = None,
        timeout: float = 120,
        check: bool = True,
    ) -> str:
        """Run one docker command and return what it printed; a failure is its last line."""
        command = ["docker", *arguments]
        env = root_environment() | self.environment
        try:
            done = subprocess.run(
                command,
                env=env,
                stdin=stdin or subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Problem(
                f"docker {arguments[0]} on {self.host} did not end in {timeout:.0f} s: see whether"
                " the engine still answers, and run this again."
            ) from None
        if check and done.returncode != 0:
            # Newer commands end with how to get help.
            said = [
                line for line in done.stderr.splitlines() if line.strip() and not HELP.match(line)
            ]
            last = (said or ["it said nothing"])[-1]
            raise Problem(f"docker {' '.join(arguments[:3])} failed on {self.host}: {last}")
        return done.stdout

    def answers(self) -> bool:
        """Say whether it answers."""
        with suppress(Problem, OSError):
            return bool(self.docker("version", "--format", "{{.Server.Version}}", timeout=20))
        return False


def install(*programs: str) -> None:
    """Make sure that Debian's programs are there, as scripts/_debian.sh does."""
    command = [str(CHECKOUT / "scripts" / "_debian.sh"), *programs]
    with _INSTALLING:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
        )
    if done.returncode != 0:
        raise Problem((done.stderr.strip().splitlines() or ["_debian.sh failed."])[-1])


def find() -> Engine | None:
    """Return the engine that this user's docker command speaks to, if one answers."""
    if shutil.which("docker") is None:
        return None
    hosts = [os.environ.get("DOCKER_HOST", ""), _context(), "unix:///var/run/docker.sock"]
    for host in dict.fromkeys(filter(None, hosts)):
        engine = Engine(host)
        if engine.answers():
            return engine
    return None


def _context() -> str:
    """Return the endpoint of the docker command's current context, such as a desktop's."""
    done = subprocess.run(
        ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def start(folder: Path) -> Engine:
    """Start Debian's engine with a socket, data, process and network of its own; only root can.

    Where installing it has started one, return that.
    """
    install(*NEEDED)
    found = find()
    if found:
        return found
    if os.geteuid() != 0:
        raise Problem(
            "No Docker engine answers this user: start one, or run this as root, who can start"
            " Debian's."
        )
    return _launch(folder)


def launch(folder: Path) -> Engine:
    """Start an engine with a socket, data, process and network of its own, beside any; as root."""
    install(*NEEDED)
    if os.geteuid() != 0:
        raise Problem("An engine of a test's own needs root: run this as root.")
    return _launch(folder)


def _launch(folder: Path) -> Engine:
    """Start an engine on a network of its own."""
    data = folder / "engine"
    data.mkdir(parents=True, exist_ok=True)
    engine = _claim(data)
    try:
        return resume(engine, folder / "engine.log")
    except Problem:
        stop(engine)
        raise


def _claim(data: Path) -> Engine:
    """Make the folder and the network of an engine, which are this process's while it lives."""
    with engine_network.alone(LOCK):
        _reclaim()
        # Its last part names a bridge and namespaces too, which takes letters and digits alone.
        run = str(RUN / f"{RUN_PREFIX}{uuid.uuid4().hex[:8]}")
        Path(run).mkdir(0o700)
        owner = engine_network.hold(Path(run, OWNER))
        if owner is None:
            raise Problem(f"Another process took {run}: run this again.")
        owner.write(str(data))
        owner.flush()
        _HELD[run] = owner
        engine = Engine(f"unix://{run}/docker.sock", run=run, data=str(data))
        try:
            Path(run, "daemon.json").write_text(engine_network.settings())
            network = engine_network.make(engine_network.name_of(run))
        except Problem:
            stop(engine)
            raise
    return dataclasses.replace(engine, options=network.options)


def _reclaim() -> None:
    """End the engines whose owner was killed, and remove what they left; the caller is alone."""
    for path in RUN.glob(f"{RUN_PREFIX}*/{OWNER}"):
        owner = engine_network.hold(path)
        if owner is None:
            continue
        with owner:
            owner.seek(0)
            run = str(path.parent)
            left = Engine(f"unix://{run}/docker.sock", run=run, data=owner.read())
            _kill(left)
            stop(left)


def resume(engine: Engine, log: Path) -> Engine:
    """Start the process of an engine of a test's own, on the data that it has."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        started = _start(engine, log)
        while not started.answers():
            if _has_ended(started.pid) or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        else:
            return started
        reason = _reason(log)
        end(started)
        # A busy machine may take longer over it than dockerd waits for it.
        if SLOW not in reason or time.monotonic() > deadline:
            raise Problem(f"Debian's Docker engine did not start: {reason} (see {log}).")


def _has_ended(pid: int) -> bool:
    """Say whether a process of ours has ended."""
    with suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return True


def _start(engine: Engine, log: Path) -> Engine:
    """Start an engine's process."""
    name = engine_network.name_of(engine.run)
    command = [
        "dockerd",
        # Instead of the settings of the machine's own engine.
        *("--config-file", f"{engine.run}/daemon.json"),
        *("--host", engine.host),
        *("--data-root", engine.data),
        *("--exec-root", f"{engine.run}/exec"),
        *("--pidfile", f"{engine.run}/docker.pid"),
        # Where the machine has a containerd already, all engines use that.
        *("--containerd-namespace", name, "--containerd-plugins-namespace", f"{name}-plugins"),
        *engine.options,
    ]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=root_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _STARTED.append(process)
    return dataclasses.replace(engine, pid=process.pid)


def stop(engine: Engine) -> None:
    """End an engine that start() started, by its process id, and remove what it left."""
    if not engine.run:
        return
    end(engine)
    engine_network.remove(engine_network.name_of(engine.run))
    for folder in filter(None, (engine.data, engine.run)):
        _unmount(folder)
        shutil.rmtree(folder, ignore_errors=True)
    held = _HELD.pop(engine.run, None)
    if held:
        held.close()
    for process in _STARTED:
        process.poll()


def end(engine: Engine) -> None:
    """End the process of an engine, which ends its containers; its data stays."""
    if not _is_ours(engine):
        return
    os.kill(engine.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _is_ours(engine) and time.monotonic() < deadline:
        time.sleep(0.1)
    if _is_ours(engine):
        os.kill(engine.pid, signal.SIGKILL)


def cut_off(engine: Engine) -> None:
    """End an engine and all its containers at once, as where a machine loses its power."""
    _kill(engine)
    # A dead child keeps its number, for which the next engine would take it to be alive.
    with suppress(ChildProcessError):
        os.waitpid(engine.pid, 0)
    # No mount outlives a machine.
    for folder in (engine.run, engine.data):
        _unmount(folder)


def _kill(engine: Engine) -> None:
    """Kill an engine and all that it started."""
    found = set(_below(engine))
    while found:
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
        found = set(_below(engine))


def _below(engine: Engine) -> Iterator[int]:
    """Give the processes of an engine: its programs, by its folder, and all they started."""
    parents, programs = {}, set()
    name = engine_network.name_of(engine.run)
    for folder in Path("/proc").glob("[0-9]*"):
        # A process may end meanwhile.
        with suppress(OSError):
            pid = int(folder.name)
            state, parent = (
                (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            )
            words = command_line(folder)
            # Zombies are dead already.
            if state != "Z":
                parents[pid] = int(parent)
            ours = name in words or f"{engine.run}/" in " ".join(words)
            if ours and words and Path(words[0]).name.startswith(PROGRAMS):
                programs.add(pid)
    for pid in parents:
        ancestor = pid
        while ancestor in parents and ancestor not in programs:
            ancestor = parents[ancestor]
        if ancestor in programs:
            yield pid


def _is_ours(engine: Engine) -> bool:
    """Say whether the process lives and is that engine, not one that got its number since."""
    with suppress(ChildProcessError):
        os.waitpid(engine.pid, os.WNOHANG)
    try:
        arguments = Path(f"/proc/{engine.pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return False
    return f"{engine.run}/docker.pid" in arguments


def _unmount(folder: str) -> None:
    """Release a folder and mounts below it, which an engine that was killed leaves behind."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    places = [line.split()[1] for line in lines]
    ours = [place for place in places if place == folder or place.startswith(f"{folder}/")]
    for place in sorted(ours, reverse=True):
        subprocess.run(["umount", "--lazy", place], capture_output=True, check=False)


def _reason(log: Path) -> str:
    """Return the last thing that the engine said."""
    lines: Sequence[str] = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def to_record(engine: Engine) -> Mapping[str, object]:
    """Return what down() has to know of it."""
    return {"host": engine.host, "pid": engine.pid, "run": engine.run, "data": engine.data}
