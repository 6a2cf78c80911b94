# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shared options of the modules of servers, and the role that sets them in one place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.mlops.mlflow_aws.plugins.doc_fragments.servers import ModuleDocFragment
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import options

ROOT = Path(__file__).resolve().parents[5]
# The test of a fragment's options is the sanity test of each module; these are of other fragments.
ELSEWHERE = {
    "state_dir",
    "docker_host",
    "image",
    "docker_network",
    "aws_config_dir",
    "container_user",
}


def load(path: str) -> Any:
    """Read a YAML file of the collection."""
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_each_option_is_documented_once() -> None:
    """In the fragment of servers or in one that others use too."""
    parts = (ModuleDocFragment.DOCUMENTATION, ModuleDocFragment.INSTANCE)
    own = [name for part in parts for name in yaml.safe_load(part)["options"]]
    assert len(own) == len(set(own))
    assert set(own) | ELSEWHERE == set(options.SERVERS)


def test_the_role_sets_each_option_in_one_place() -> None:
    """All but the servers, which each task names."""
    shared = load("roles/mlflow_server/vars/main.yml")["__mlflow_server_module_defaults"]
    assert set(shared) | {"servers"} == set(options.SERVERS)
    for path in (ROOT / "roles/mlflow_server/tasks").glob("*.yml"):
        for task in yaml.safe_load(path.read_text(encoding="utf-8")):
            given = task.get("mlops.mlflow_aws.mlflow_server")
            given = given or task.get("mlops.mlflow_aws.mlflow_server_check")
            if given:
                assert "group/mlops.mlflow_aws.servers" in task["module_defaults"], task["name"]
                assert set(given) & set(shared) == set(), task["name"]


def test_the_action_group_is_the_modules_that_take_these_options() -> None:
    """Its defaults would be refused by any other."""
    group = load("meta/runtime.yml")["action_groups"]["servers"]
    takes = re.compile(r"^ +\*\*options\.SERVERS,$", re.MULTILINE)
    paths = (ROOT / "plugins/modules").glob("*.py")
    assert group == sorted(path.stem for path in paths if takes.search(path.read_text()))


def test_values_of_the_environment_are_secrets() -> None:
    """Whatever their type."""
    servers = [{"environment": {"A": "text", "B": 5}}, {"environment": {}}]
    assert list(options.secrets({"servers": servers})) == ["text", "5"]
