# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tunnel's program, and the end of a server with the process that started it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import (
    migrate_all,
    processes,
)
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.errors import EntryError

SERVER = Path(__file__).resolve().parents[3] / "programs" / "server"
# A server that is started by a process, which ends.
CHILD = """
import os, sys, time
sys.path.append(sys.argv[1])
from mlflow_aws_server import processes
processes.end_with(os.getppid())
print("started", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("content", "pid"), [("123\n", 123), (None, None), ("", None), ("x", None)]
)
def test_the_supervisor_is_named_by_its_pid_file(
    content: str | None, pid: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file without a number is refused, as nobody would end the server."""
    path = tmp_path / "supervisord.pid"
    monkeypatch.setenv(processes.SUPERVISOR_VARIABLE, str(path))
    if content is not None:
        path.write_text(content)
    if pid is None:
        with pytest.raises(EntryError, match=r"names no supervisor; run the servers playbook\.$"):
            processes.supervisor()
    else:
        assert processes.supervisor() == pid


def test_without_a_supervisor_a_server_lives_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container."""
    monkeypatch.delenv(processes.SUPERVISOR_VARIABLE, raising=False)
    assert processes.supervisor() is None
    processes.end_with(None)


def test_a_parent_that_is_gone_already_is_refused() -> None:
    """Another process has taken this one over meanwhile."""
    with pytest.raises(EntryError, match="has ended; so does the server"):
        processes.end_with(os.getppid() + 1)


def test_a_server_ends_with_its_parent() -> None:
    """Soon after it, rather than at its own end."""
    words = [sys.executable, "-I", "-c", CHILD, str(SERVER)]
    between = "import subprocess, sys; subprocess.run(sys.argv[1:], check=False)"
    parent = subprocess.Popen(
        [sys.executable, "-I", "-c", between, *words], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    assert parent.stdout.readline() == "started\n"
    parent.kill()
    deadline = time.monotonic() + 20
    # Its standard output closes when it has ended.
    assert parent.stdout.read() == ""
    assert time.monotonic() < deadline
    parent.stdout.close()
    parent.wait()


def test_each_schema_becomes_a_job(tmp_path: Path) -> None:
    """With a folder of its own, and without the request's AWS identity."""
    schemas = [{"name": n, "uri": f"mysql+pymysql://h/{n}", "database": {"user": n}} for n in "ab"]
    jobs = migrate_all.plan({"schemas": schemas, "aws": {"profile": "p"}}, tmp_path, 7.0)
    assert [job.name for job in jobs] == ["a", "b"]
    assert [job.folder for job in jobs] == [tmp_path / "0", tmp_path / "1"]
    assert {(job.deadline, job.repair) for job in jobs} == {(7.0, False)}
    assert jobs[1].database == {"user": "b"}
    [job] = migrate_all.plan({"schemas": schemas[:1], "repair": True}, tmp_path, 7.0)
    assert job.repair is True
