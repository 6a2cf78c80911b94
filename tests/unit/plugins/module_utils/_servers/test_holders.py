# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a port is that a real process holds."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import ports, process_table
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import claims, holders

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Only Linux tells of processes.")

LISTEN = (
    "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); "
    "print(s.getsockname()[1], flush=True); sys.stdin.read()"
)


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no engine of this machine answer."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


@contextlib.contextmanager
def listening(
    *words: str | bytes, folder: Path, python: str = sys.executable
) -> Iterator[tuple[int, int]]:
    """Give the number and the port of a process with these arguments in a folder."""
    command = [python, "-c", LISTEN, *words]
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        yield process.pid, int(process.stdout.readline())
        process.communicate("")


def claim(port: int) -> claims.Claim:
    """Return whose the port is."""
    holder = ports.holder("127.0.0.1", port)
    assert holder
    return holders.claim(holder, "127.0.0.1")


@pytest.mark.parametrize("worker", [False, True])
def test_a_server_of_another_state_folder_is_known(tmp_path: Path, worker: bool) -> None:
    """By its arguments; a worker of it by where it works."""
    folder = tmp_path / "a state" / "servers" / "demo"
    folder.mkdir(parents=True)
    settings = folder / "settings-0123456789abcdef.json"
    settings.write_text("{}")
    words = [] if worker else ["serve", str(settings)]
    with listening(*words, folder=folder if worker else tmp_path) as (pid, port):
        found = claim(port)
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        assert found.who == (
            f"process {pid} ({name}), the server of project 'demo' that another inventory or runtime "
            f"started with mlflow_state_dir {tmp_path}/a state"
        )
        assert found.end == "stop that server there (mlflow_server_state=stopped)"


def test_a_tunnel_of_another_state_folder_is_known(tmp_path: Path) -> None:
    """What carries it, an ssh, works in its folder."""
    folder = tmp_path / "s" / "tunnel" / "database"
    folder.mkdir(parents=True)
    (folder / "settings-0123456789abcdef.json").write_text("{}")
    with listening(folder=folder) as (pid, port):
        found = claim(port)
        assert found.who.startswith(f"process {pid} (")
        assert found.who.endswith(
            "), the tunnel to the database that another inventory opened with mlflow_state_dir "
            f"{tmp_path}/s"
        )
        assert found.end == "end that tunnel there (mlflow_database_tunnel=none)"


def test_anything_else_is_a_process(tmp_path: Path) -> None:
    """Also one that works in a folder of that name which holds no server."""
    folder = tmp_path / "servers" / "web"
    folder.mkdir(parents=True)
    with listening(folder=folder) as (pid, port):
        found = claim(port)
        assert found.who.startswith(f"process {pid} (")
        assert found.who.endswith(")")
        assert found.end == "end it"


def test_a_name_that_is_no_utf8_is_told(tmp_path: Path) -> None:
    """The kernel cuts names off within a letter, and arguments hold any bytes."""
    python = tmp_path / "aäääääääää"
    python.symlink_to(sys.executable)
    with listening(b"\xff", folder=tmp_path, python=str(python)) as (pid, port):
        assert claim(port).who == f"process {pid} (aäääääää)"
        assert "\ufffd" in process_table.arguments(pid)


def test_a_process_that_has_ended_is_told_as_it_was_found(tmp_path: Path) -> None:
    """It may end between the two looks."""
    with listening(folder=tmp_path) as (pid, port):
        pass
    holder = ports.Holder(pid, "python", port)
    assert holders.claim(holder, "127.0.0.1") == (f"process {pid} (python)", "end it")
    unknown = ports.Holder(0, "a process of another user", port)
    assert holders.claim(unknown, "127.0.0.1").who == "a process of another user"
