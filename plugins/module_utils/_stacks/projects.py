# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the projects of a stack, in its list parameter Projects and in its outputs."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _names
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import commands


def project_item(name: str) -> str:
    """Return how the parameter Projects writes a project, in letters and digits alone.

    X stands for each dash. Where the project's database user is not its name, Y and that
    user without its prefix follow. See cloudformation/projects.yml.
    """
    user = _names.runtime_user(name)[len(_names.runtime_user("")) :]
    item = name.replace("-", "X")
    return item if user == name.replace("-", "_") else f"{item}Y{user.replace('_', 'X')}"


def project_name(item: str) -> str:
    """Return the project that an item of the parameter Projects stands for."""
    return item.strip().partition("Y")[0].replace("X", "-")


def foreseen_outputs(names: t.Iterable[str]) -> dict[str, str]:
    """Return the outputs that stacks will have for projects, with their names only."""
    return {f"Project{project_item(name)}": json.dumps(empty_project(name)) for name in names}


_DEPLOY = "run the deploy playbook, or delete that output if it is not MLflow's"
_PROJECT_KEYS = ("runtime_secret", "migrator_secret", "login", "role", "policy", "key")


def projects_of(outputs: t.Mapping[str, str]) -> dict[str, dict[str, t.Any]]:
    """Return the record of each project in a stack's outputs, by the project's name."""
    told = [
        commands.document(text, f"The stack's output {key}", _DEPLOY, {"name": str})
        for key, text in sorted(outputs.items())
        if key.startswith("Project") and text.startswith("{")
    ]
    return {record["name"]: record for record in told}


def empty_project(name: str) -> dict[str, str]:
    """Return the record of a project of which only the name is known."""
    return {"name": name, **dict.fromkeys(_PROJECT_KEYS, "")}
