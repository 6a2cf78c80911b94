# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs and files of a host that do not do what they should: one sentence that says why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.parts.host import (
    HOST_PYTHON,
    Host,
    Modules,
    actions,
)
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, clean_environment

# The first test of a run installs MLflow.
pytestmark = pytest.mark.timeout(600)

TUNNEL = CHECKOUT / "programs" / "tunnel" / "mlflow_tunnel.py"
UNEXPECTED = """
import sys
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module

def work(module):
    raise {raised}

_module.run(AnsibleModule({{}}), work)
"""


def limited(folder: Path, limit: str) -> str:
    """Return a Python whose processes may open no more files than `ulimit` says.

    Without the right to raise that, which root may have.
    """
    path = folder / "python"
    words = f"exec setpriv --bounding-set -sys_resource --inh-caps -sys_resource {HOST_PYTHON}"
    path.write_text(f'#!/bin/sh\nulimit {limit}\n{words} "$@"\n')
    path.chmod(0o700)
    return str(path)


def test_a_limit_below_what_supervisor_needs_is_told(
    new_host: Callable[..., Host], tmp_path: Path
) -> None:
    """In Supervisor's own words, which stand above its hint at help."""
    host = new_host("demo")
    python = limited(tmp_path, "-n 512")
    sentence = host.modules.refuse(
        "mlflow_server", host.options(host.server("demo")), python=python
    )
    assert sentence.startswith(
        "Supervisor did not start (The minimum number of file descriptors required to run this process is 1024"
    )
    assert (
        "); this user may open 512 files at most, so raise the hard limit (nofile in " in sentence
    )
    assert "For help" not in sentence
    assert host.processes() == {}


def test_a_soft_limit_is_raised(new_host: Callable[..., Host], tmp_path: Path) -> None:
    """As on macOS, whose limit is 256 unless somebody raises it."""
    host = new_host("demo")
    options = host.options(host.server("demo"))
    done = host.modules.call("mlflow_server", options, python=limited(tmp_path, "-S -n 256"))
    assert set(actions(done).values()) == {"start"}
    (pid,) = host.pids().values()
    [line] = [
        line
        for line in Path(f"/proc/{pid}/limits").read_text().splitlines()
        if line.startswith("Max open files")
    ]
    assert int(line.split()[3]) >= 1024


@pytest.mark.parametrize("cut", ["", '{"version": "1.20.3", "hea', "[]"])
def test_a_stamp_that_was_cut_short_is_told(modules: Modules, tmp_path: Path, cut: str) -> None:
    """By what reads it to migrate; in check mode MLflow counts as not installed."""
    (tmp_path / "installed.json").write_text(cut)
    options = {
        "schemas": [{"name": "demo", "uri": f"sqlite:///{tmp_path}/mlflow.db"}],
        "python": HOST_PYTHON,
        "entrypoint": str(tmp_path / "mlflow_entry.py"),
    }
    sentence = modules.refuse("mlflow_sqlite_migration", options)
    assert sentence.startswith(
        f"{tmp_path}/installed.json of the installed MLflow cannot be read ("
    )
    assert sentence.endswith("); run the deploy playbook, which installs it again.")
    assert modules.call("mlflow_sqlite_migration", options, check=True)["changed"]
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        (
            "KeyError('statename')",
            "The module mlops.mlflow_aws.unforeseen failed unexpectedly (KeyError: 'statename'), which is ",
        ),
        (
            "OSError(28, 'No space left on device')",
            "The operating system of this host refused a request (No space left on device); ",
        ),
        (
            "PermissionError(13, 'Permission denied', '/a/b')",
            "/a/b cannot be used (Permission denied); check its owner, its mode and the space on its disk",
        ),
    ],
)
def test_what_nobody_foresaw_is_one_sentence(
    modules: Modules, tmp_path: Path, raised: str, sentence: str
) -> None:
    """And the traceback is there for those who ask for it."""
    program = tmp_path / "unforeseen.py"
    program.write_text(UNEXPECTED.format(raised=raised))
    for shown in (True, False):
        arguments = {
            "_ansible_verbosity": 3 if shown else 2,
            "_ansible_module_name": "mlops.mlflow_aws.unforeseen",
        }
        done = subprocess.run(
            [sys.executable, str(program)],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            capture_output=True,
            text=True,
            env=clean_environment(tmp_path) | {"PYTHONPATH": f"{modules.path}{os.pathsep}"},
            cwd=tmp_path,
            check=False,
        )
        told = json.loads(done.stdout)
        assert done.returncode == 1
        assert done.stderr == ""
        assert told["failed"]
        assert told["msg"].startswith(sentence)
        assert ("in work" in " ".join(told.get("traceback", []))) is shown


@pytest.mark.parametrize("cut", ["", "{", "[]", '{"kind": "post"}', '{"kind": "ssh"}'])
def test_settings_of_a_tunnel_that_were_cut_short_are_told(tmp_path: Path, cut: str) -> None:
    """In one line of its log, instead of a traceback at each of Supervisor's attempts."""
    path = tmp_path / "settings-0123456789abcdef.json"
    path.write_text(cut)
    done = subprocess.run(
        [HOST_PYTHON, str(TUNNEL), "serve", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert f" {path} cannot be read (" in line
    assert line.endswith("); run the servers playbook.")


@pytest.mark.parametrize("cut", ["", "[]", '{"pid": 1}', '{"pid": "x", "words": []}', "7"])
def test_a_note_of_a_tunnel_that_was_cut_short_ends_nothing(tmp_path: Path, cut: str) -> None:
    """It tells of no process, so none is ended."""
    (tmp_path / "child.json").write_text(cut)
    command = [HOST_PYTHON, str(TUNNEL), "end", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("request_", ["", "[]", "{}", '{"uri": '])
def test_a_request_that_cannot_be_read_is_told(runtime: Mapping[str, Any], request_: str) -> None:
    """By the program that migrates, which reads it from its input."""
    done = subprocess.run(
        [runtime["python"], runtime["entrypoint"], "migrate"],
        input=request_,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    [loaded, line] = done.stderr.splitlines()
    assert "loads MLflow" in loaded
    assert 'Standard input is not a JSON object with a "uri" (' in line
