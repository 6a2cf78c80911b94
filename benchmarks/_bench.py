# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmarks share: environments, one server of either kind, and what it costs.

Every figure is a ratio of two things measured in one run on one machine; the absolute
numbers beside it only help to read it. Linux only: costs are read from /proc.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from ansible_collections.mlops.mlflow_aws.tests.parts import server_program

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".venvs"
ANSWER_SECONDS = 120
STOP_SECONDS = 60
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Kinds:
    """The Pythons of the two ways to serve: `ours` by mlflow_entry.py, `stock` by `mlflow server`."""

    ours: Path
    stock: Path

    @property
    def entry(self) -> str:
        """Return the installed mlflow_entry.py."""
        return str(self.ours.parents[2] / "mlflow_entry.py")


def environments(*, drivers: bool = False) -> Kinds:
    """Install both sets where they are missing; return their Pythons.

    Plain MLflow lacks the drivers of MySQL and AWS, which ours always has. With `drivers` it gets
    them in an environment of its own, at our versions.
    """
    ours = installation()
    folder = ENVIRONMENTS / ("full-drivers" if drivers else "full")
    locks = [ROOT / "requirements/full.txt"]
    if drivers:
        # All but the drivers is in both, at the same versions.
        locks.append(ROOT / "docker/requirements.txt")
    command = [sys.executable, str(ROOT / "scripts/_venv.py"), str(folder), *map(str, locks)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return Kinds(ours, folder / "bin" / "python")


def installation() -> Path:
    """Install our set as the collection does on a host; return its Python."""
    state = ENVIRONMENTS / "benchmark-state"
    options = {**server_program.installation_files(), "state_dir": str(state)}
    return Path(module("mlflow_installation", options)["installation"]["python"])


def module(name: str, options: Mapping[str, object]) -> dict[str, dict[str, str]]:
    """Run one of our modules as Ansible does, by its arguments on standard input."""
    request = json.dumps({"ANSIBLE_MODULE_ARGS": dict(options)})
    command = [sys.executable, str(ROOT / f"plugins/modules/{name}.py")]
    done = subprocess.run(command, input=request, capture_output=True, text=True, check=False)
    answer: dict[str, dict[str, str]] = json.loads(done.stdout or "{}")
    if done.returncode != 0:
        raise SystemExit(f"{name} failed: {answer.get('msg') or done.stderr}")
    return answer


def database(kinds: Kinds, folder: Path) -> Path:
    """Make a database at the head revision, as both kinds find one that is in use."""
    path = folder / "mlflow.db"
    request = json.dumps({"uri": f"sqlite:///{path}"})
    command = [str(kinds.ours), "-I", kinds.entry, "migrate"]
    subprocess.run(command, input=request, text=True, check=True, capture_output=True)
    return path


def command(
    kind: str, kinds: Kinds, folder: Path, template: Path, port: int, *, jobs: bool = False
) -> list[str]:
    """Return the command line that serves a copy of the database on a port, ours with jobs if asked for."""
    copy = folder / f"{kind}-{port}.db"
    shutil.copyfile(template, copy)
    uri, artifacts = f"sqlite:///{copy}", str(folder / f"artifacts-{port}")
    if kind == "stock":
        options = ["--backend-store-uri", uri, "--artifacts-destination", artifacts]
        program = [str(kinds.stock.with_name("mlflow")), "server", *options]
        return [*program, "--host", "127.0.0.1", "--port", str(port)]
    settings = folder / f"settings-{port}.json"
    settings.write_text(
        json.dumps(
            {
                "configuration": "benchmark",
                "host": "127.0.0.1",
                "port": port,
                "workers": 1,
                "backend_store_uri": uri,
                "artifacts_destination": artifacts,
                "allowed_hosts": [],
                "environment": {},
                "jobs": jobs,
            }
        )
    )
    return [str(kinds.ours), "-I", kinds.entry, "serve", str(settings)]


@contextlib.contextmanager
def served(
    arguments: list[str],
    port: int,
    variables: Mapping[str, str] | None = None,
    login: str = "",
) -> Iterator[tuple[int, float]]:
    """Run a server; give its process id and the seconds to its first answer from the database."""
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MALLOC_ARENA_MAX": "2"}
    environment |= variables or {}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    if arguments[1] == "server":
        # The stock server gets none of our settings.
        environment.pop("MALLOC_ARENA_MAX")
    began = time.monotonic()
    process = subprocess.Popen(
        arguments,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while not answers(port, login):
            if process.poll() is not None or time.monotonic() - began > ANSWER_SECONDS:
                raise SystemExit(f"No answer from {' '.join(arguments)}")
            time.sleep(0.02)
        yield process.pid, time.monotonic() - began
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a server and all that it started."""
    family = tree(process.pid)
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait(STOP_SECONDS)


def answers(port: int, login: str = "") -> bool:
    """Say whether the server on the port answers a request that reads its database, with a login if any."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search",
        b'{"max_results": 1}',
        {"Content-Type": "application/json", **({"Authorization": login} if login else {})},
    )
    try:
        with _OPENER.open(request, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def tree(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    parents = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            parents[int(process.name)] = int(fields[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def memory(pid: int) -> float:
    """Return the proportional set size, in MiB, of a process and all its descendants."""
    total = 0
    for one in tree(pid):
        lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def processor_seconds(pid: int) -> float:
    """Return the processor seconds that a process and its descendants have used so far."""
    ticks = 0
    for one in tree(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Return a loopback port that is free now."""
    [port] = free_ports(1)
    return port


def free_ports(count: int) -> list[int]:
    """Return loopback ports that are free now, no two alike."""
    with contextlib.ExitStack() as stack:
        probes = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _number in range(count)
        ]
        return [int(probe.getsockname()[1]) for probe in probes]


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """Give a short temporary folder; a socket's path in it must not be long.

    A benchmark that is told to end by a signal ends what it started, too.
    """

    def stop(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    with tempfile.TemporaryDirectory(prefix="mlflow-bench-") as folder:
        yield Path(folder)


def report(
    what: str, ours: float, other: float, unit: str, aim: float, *, at_least: bool = False
) -> None:
    """Print both figures, the machine, and last their ratio."""
    print(f"machine: {os.cpu_count()} processors, Python {platform.python_version()}")
    compare(what, ours, other, unit, aim, at_least=at_least)


def compare(
    what: str, ours: float, other: float, unit: str, aim: float, *, at_least: bool = False
) -> None:
    """Print two figures and their ratio; with `at_least` a larger one is better."""
    side = "more" if at_least else "less"
    print(f"{what}: {ours:.2f} {unit} against {other:.2f} {unit}")
    print(f"ratio: {ours / other:.3f} (aim: {aim:.2f} or {side})")
