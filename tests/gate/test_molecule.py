# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The molecule scenarios: check mode on nothing, converge, idempotence, verify, clean up."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.tests.support import (
    clean_environment,
    copy_collection,
    run,
)

TOOLS = Path(sys.prefix) / "bin"
MINUTES = 60

STALE = """\
---
- name: A copy that was installed long ago
  hosts: all
  gather_facts: false
  tasks:
    - name: Fail
      ansible.builtin.fail:
        msg: Molecule tests a copy under ~/.ansible instead of the checkout.
"""


@pytest.mark.timeout(20 * MINUTES)
def test_default(
    tmp_path: Path, short_folder: Path, free_ports: Callable[[int], list[int]]
) -> None:
    """Two projects go through all steps, in the checkout's version and no other."""
    root = copy_collection(tmp_path)
    home = tmp_path / "home"
    stale = home / ".ansible/collections/ansible_collections/mlops/mlflow_aws/playbooks"
    stale.mkdir(parents=True)
    for name in ("deploy", "servers", "verify"):
        (stale / f"{name}.yml").write_text(STALE)
    env = clean_environment(home, TOOLS)
    env["MLFLOW_AWS_MOLECULE_PORT"] = str(free_ports(2)[0])
    env["MLFLOW_AWS_MOLECULE_STATE"] = str(short_folder / "state")
    env["NO_COLOR"] = "1"
    done = run([TOOLS / "molecule", "test"], cwd=root, env=env, timeout=18 * MINUTES)
    for step in ("syntax", "check", "converge", "idempotence", "verify", "cleanup"):
        ended = rf"default > {step}\b.*Executed: Successful"
        assert re.search(ended, done.output), f"The step {step} did not end well:\n{done.output}"
    assert "Missing playbook" not in done.output
    assert not (short_folder / "state").exists()
