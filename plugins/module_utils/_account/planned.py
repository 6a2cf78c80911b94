# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the preflight's view of planned stacks: what they add, and what they cost."""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account import costs, lines, quotas
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.evaluation import (
    template_resources,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.template import (
    parse_template,
)

Result = t.Mapping[str, t.Any]


def added(backend: Result, projects: Result) -> dict[str, int]:
    """Return the resources that a run adds and that a quota counts, by type.

    backend and projects are what mlflow_stack and mlflow_project_stacks return in check mode.
    """
    kinds = [
        change["type"]
        for result in (backend, projects)
        for change in result["changes"]
        if change["action"] == "Add"
    ]
    stacks = [backend, *projects["stacks"].values()]
    kinds += [quotas.STACK for stack in stacks if stack["status"] == "ABSENT"]
    return quotas.limited(Counter(kinds))


def cost_notes(
    projects: t.Mapping[str, t.Mapping[str, t.Any]],
    parameters: t.Mapping[str, str],
    login: str | t.Mapping[str, str],
    templates: t.Mapping[str, str],
) -> list[str]:
    """Return the lines of what planned stacks cost in a month.

    projects: the records of all projects of the stacks, by name; parameters: of the backend
    stack; login: parameter DatabaseLogin of the projects' stacks, for projects whose record has
    none yet; templates: text of the templates backend and projects.
    """
    usual = login if isinstance(login, str) else login["create"]
    counts = lines.counted(record.get("login") or usual for record in projects.values())
    backend = template_resources(parse_template(templates["backend"]), parameters)
    content = parse_template(templates["projects"])
    found = {}
    for how in counts or {usual: 0}:
        one, two = (
            template_resources(content, {"Projects": names, "DatabaseLogin": how})
            for names in ("a", "a,b")
        )
        found[how] = costs.costs(backend, one, two)
    return lines.cost_lines(found, counts, parameters)
