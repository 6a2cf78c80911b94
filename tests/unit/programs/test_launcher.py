# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The launcher: it runs isolated, from any folder, and hides nothing that is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SERVER = Path(__file__).resolve().parents[3] / "programs" / "server"
ENTRY = SERVER / "mlflow_entry.py"
# What a program sees that is started as the launcher starts the package.
LOOK = """
import json, runpy, sys
before = list(sys.path)
sys.argv = [sys.argv[1]]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as end:
    added = [place for place in sys.path if place not in before]
    print(json.dumps([end.code, added, sys.path[-1]]))
"""


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run this Python, isolated, and with nothing but a PATH."""
    command = [sys.executable, "-I", *map(str, arguments)]
    environment = {"PATH": os.defpath}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [(), ("help",), ("serves", "x.json"), ("serve",), ("describe", "x"), ("serve", "a", "b")],
)
def test_what_is_no_verb_gets_one_line(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """With all verbs, or what keeps this one from running."""
    done = run(ENTRY, *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("mlflow_entry: ")
    if arguments in ((), ("help",)):
        assert line == (
            "mlflow_entry: Usage: mlflow_entry.py serve | check | health | credentials | jobs | job | "
            "migrate-all | info | backup | restore | rehearse | upgrade | import | gc | prove | packages FILE, or "
            "describe | migrate | survey | warm"
        )


def test_it_needs_the_mlflow_of_its_own_python(tmp_path: Path) -> None:
    """The tests' Python has none."""
    done = run(ENTRY, "describe", cwd=tmp_path)
    assert done.stderr == (
        "mlflow_entry: MLflow is not installed for this Python; run the deploy playbook.\n"
    )


def test_a_server_that_does_not_answer_is_not_healthy(tmp_path: Path) -> None:
    """Health needs no MLflow, so that it costs little."""
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"host": "127.0.0.1", "port": 1, "allowed_hosts": []}))
    done = run(ENTRY, "health", settings, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_its_folder_is_the_last_on_the_path(tmp_path: Path) -> None:
    """A module of any name in it hides none that is installed; a link to it leads there too."""
    link = tmp_path / "link.py"
    link.symlink_to(ENTRY)
    for entry in (ENTRY, link):
        done = run("-c", LOOK, entry, cwd=tmp_path)
        assert json.loads(done.stdout) == [2, [str(SERVER)], str(SERVER)], done.stderr


def test_a_copy_without_the_checkout_runs(tmp_path: Path) -> None:
    """The package imports nothing of the collection."""
    copy = tmp_path / "copy"
    shutil.copytree(SERVER, copy)
    done = run(copy / "mlflow_entry.py", cwd=tmp_path)
    assert "Usage: " in done.stderr
    for path in SERVER.rglob("*.py"):
        assert "ansible" not in path.read_text(encoding="utf-8"), path
