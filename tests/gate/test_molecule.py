# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The molecule scenarios: check mode on nothing, converge, idempotence, verify, clean up."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
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


@pytest.mark.timeout(5 * MINUTES)
def test_check(scenario: Scenario) -> None:
    """Check mode passes where nothing exists yet, in the checkout's version and no other."""
    scenario.run("check")
    assert not scenario.state.exists()


@pytest.mark.thorough(
    "The stages e2e and package deploy, rerun, verify and stop the same projects."
)
@pytest.mark.timeout(20 * MINUTES)
def test_whole(scenario: Scenario) -> None:
    """Two projects go through all steps."""
    output = scenario.run("test")
    for step in ("syntax", "check", "converge", "idempotence", "verify", "cleanup"):
        ended = rf"default > {step}\b.*Executed: Successful"
        assert re.search(ended, output), f"The step {step} did not end well:\n{output}"
    assert not scenario.state.exists()


@dataclass(frozen=True)
class Scenario:
    """A copy of the checkout, and a user with an older copy of the collection in the home."""

    root: Path
    state: Path
    env: dict[str, str]

    def run(self, command: str) -> str:
        """Run a command of molecule, which must succeed, and return its output."""
        program: list[str | Path] = [TOOLS / "molecule", command]
        output = run(program, cwd=self.root, env=self.env, timeout=18 * MINUTES).output
        assert "Missing playbook" not in output
        return output


@pytest.fixture
def scenario(
    tmp_path: Path, short_folder: Path, free_ports: Callable[[int], list[int]]
) -> Scenario:
    """Return the scenario `default`."""
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
    return Scenario(root, short_folder / "state", env)
