# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what mlflow_project_schema returns, made from plans and the steps that were done."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.checks import obstacles
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.model import (
    DatabaseState,
    ProjectPlan,
    SchemaState,
    Step,
)


class SchemasResult(t.NamedTuple):
    """What was done: one record for each project, and Ansible's changed and diff."""

    projects: list[dict[str, t.Any]]
    changed: bool
    diff: dict[str, dict[str, t.Any]]


def all_steps(plans: t.Iterable[ProjectPlan]) -> list[Step]:
    """Return all steps in order."""
    return [step for plan in plans for step in plan.steps]


def result(
    plans: t.Sequence[ProjectPlan], found: DatabaseState, done: t.Sequence[Step] | None = None
) -> SchemasResult:
    """Return records, changed and diff; done are the steps that were carried out, all by default."""
    carried = all_steps(plans) if done is None else list(done)
    changed = [plan for plan in plans if plan.steps]
    return SchemasResult(
        [_record(plan, found, [step for step in carried if step in plan.steps]) for plan in plans],
        bool(carried),
        {
            "before": {plan.wanted.name: plan.before for plan in changed},
            "after": {plan.wanted.name: plan.after for plan in changed},
        },
    )


def _record(plan: ProjectPlan, found: DatabaseState, done: t.Sequence[Step]) -> dict[str, t.Any]:
    """Return the record of one project; its form is the module's documentation."""
    wanted = plan.wanted
    schema = found.schemas.get(wanted.schema)
    dropped = any(step.sql.startswith("DROP DATABASE") for step in done)
    now = None if dropped else schema
    return {
        "name": wanted.name,
        "schema": wanted.schema,
        "state": wanted.state,
        "actions": [step.action for step in done],
        "tables": now.tables if now else 0,
        "revision": now.revision if now else "",
        "obstacles": obstacles(now or SchemaState(""), found.server),
        "users": {identity.kind: identity.user for identity in wanted.identities},
    }
