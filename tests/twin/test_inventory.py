# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory that the twin puts on top of a team's own; needs no twin."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, run
from ansible_collections.mlops.mlflow_aws.tests.twin.twin import write_inventory

NEEDED = {"Relay": "false", "ExistingDatabasePort": "23456"}
PROXY = {"HTTPS_PROXY": "http://proxy.invalid:3128"}


def variables(team: Path, folder: Path, env: dict[str, str]) -> dict[str, Any]:
    """Return the variables of localhost with the team's inventory and the twin's on top."""
    twin = folder / "inventory"
    given = {"mlflow_stack_parameters": NEEDED, "mlflow_image_build_args": PROXY, "other": "x"}
    write_inventory(twin, given)
    program = Path(sys.executable).with_name("ansible-inventory")
    command: list[str | Path] = [program, "-i", team, "-i", twin, "--host", "localhost"]
    found: dict[str, Any] = json.loads(run(command, cwd=folder, env=env, timeout=60).output)
    return found


@pytest.fixture
def team(tmp_path: Path) -> Path:
    """Return a copy of inventories/aws."""
    return Path(shutil.copytree(CHECKOUT / "inventories" / "aws", tmp_path / "team"))


def test_a_team_keeps_what_the_emulator_does_not_need(
    team: Path, tmp_path: Path, clean_home: dict[str, str]
) -> None:
    """Its own parameters and build arguments arrive; those that lead to the twin are the twin's."""
    path = team / "group_vars" / "mlflow_servers.yml"
    own = yaml.safe_load(path.read_text())
    own["mlflow_stack_parameters"] |= {"NoncurrentVersionDays": 7, "Relay": "true"}
    own["days"] = 9
    own["mlflow_stack_parameters"]["BackupRetentionDays"] = "{{ days }}"
    own["mlflow_image_build_args"] = {"HTTPS_PROXY": "http://mine.invalid", "WORD": "a"}
    path.write_text(yaml.safe_dump(own))
    found = variables(team, tmp_path, clean_home)
    parameters = found["mlflow_stack_parameters"]
    assert parameters.pop("BackupRetentionDays") in (9, "9")
    assert parameters == {
        "MinCapacity": "0",
        "MaxCapacity": "8",
        "NoncurrentVersionDays": 7,
        **NEEDED,
    }
    assert found["mlflow_image_build_args"] == {"HTTPS_PROXY": "http://mine.invalid", "WORD": "a"}
    assert found["other"] == "x"


def test_a_team_without_parameters_gets_the_emulators(
    team: Path, tmp_path: Path, clean_home: dict[str, str]
) -> None:
    """Left out or empty."""
    path = team / "group_vars" / "mlflow_servers.yml"
    own = yaml.safe_load(path.read_text()) | {"mlflow_stack_parameters": None}
    path.write_text(yaml.safe_dump(own))
    found = variables(team, tmp_path, clean_home)
    assert found["mlflow_stack_parameters"] == NEEDED
    assert found["mlflow_image_build_args"] == PROXY
