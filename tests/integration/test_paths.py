# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A relative path on a host is refused by every playbook before anything is touched."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.tests.support import (
    CHECKOUT,
    Done,
    clean_environment,
    run,
)

pytestmark = pytest.mark.timeout(300)

SENTENCE = (
    "mlflow_state_dir is 'state', which is not an absolute path; write the full path on the host, "
    "such as /srv/mlflow."
)


def play(folder: Path, name: str, *options: str, **variables: str) -> Done:
    """Run a playbook on this machine from a folder of its own; it may fail."""
    environment = clean_environment(folder, Path(sys.executable).parent)
    environment |= {"ANSIBLE_NOCOLOR": "1"}
    extra = [word for key, text in variables.items() for word in ("-e", f"{key}={text}")]
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    command = [program, str(CHECKOUT / "playbooks" / f"{name}.yml")]
    command += ["-i", str(CHECKOUT / "inventories" / "local")]
    return run([*command, *options, *extra], cwd=folder, env=environment, timeout=200, check=False)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("backend", "--check"),
        ("backend", "--check --extra-vars=mlflow_backend=aws"),
        ("deploy", ""),
        ("deploy", "--check"),
        ("projects", "--check"),
        ("projects", "--check --extra-vars=mlflow_backend=aws"),
        ("servers", "--check"),
        ("verify", "--check"),
    ],
)
def test_a_relative_state_folder_is_refused(name: str, options: str, tmp_path: Path) -> None:
    """With the variable, the value and an example, and no folder anywhere."""
    done = play(tmp_path, name, *options.split(), mlflow_state_dir="state")
    assert done.code != 0
    assert SENTENCE in done.output
    assert "changed=0" in done.output
    for place in (tmp_path, CHECKOUT / "playbooks", CHECKOUT):
        assert not (place / "state").exists()


def test_a_relative_report_is_where_ansible_was_called(tmp_path: Path, short_folder: Path) -> None:
    """A path of the control node may be relative: not to the playbook, which may be installed."""
    state = str(short_folder)
    done = play(tmp_path, "verify", mlflow_state_dir=state, mlflow_verify_report="t.txt")
    assert "No MLflow is installed in" in done.output
    assert "No MLflow is installed in" in (tmp_path / "t.txt").read_text()
    assert not (CHECKOUT / "playbooks" / "t.txt").exists()
