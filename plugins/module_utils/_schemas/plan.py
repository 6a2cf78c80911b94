# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: plans the statements that bring projects to their wanted state, purely."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _names
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import sql_text
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.checks import require_ours
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.diff import current, planned
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.grants import grant_steps
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.model import (
    ABSENT,
    ARCHIVED,
    CHARSET,
    COLLATION,
    DatabaseState,
    Identity,
    ProjectPlan,
    ProjectSpec,
    Step,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.users import user_steps


def plan(wanted: t.Iterable[ProjectSpec], found: DatabaseState, retain: int) -> list[ProjectPlan]:
    """Return what each project needs, in order.

    retain is the time in seconds that a replaced password stays valid. Raises MlflowError,
    before anything is changed, for a schema or user that is not ours.
    """
    plans = []
    for project in wanted:
        require_ours(project, found)
        steps = (
            _absent_steps(project, found)
            if project.state == ABSENT
            else _present_steps(project, found, retain)
        )
        changed = bool(steps)
        plans.append(
            ProjectPlan(
                project,
                tuple(steps),
                current(project, found) if changed else {},
                planned(project, found, retain) if changed else {},
            )
        )
    return plans


def _present_steps(project: ProjectSpec, found: DatabaseState, retain: int) -> list[Step]:
    """Return what a wanted project lacks, and what one that is archived has too much."""
    if project.state == ARCHIVED and project.schema not in found.schemas:
        # It has been removed, or never had any data.
        return _user_drops(project.name, project.identities, found)
    steps = _schema_steps(project, found)
    for identity in project.kept:
        steps += user_steps(project, identity, found, retain)
    for identity in project.kept:
        steps += grant_steps(project, identity, found)
    return steps + _user_drops(project.name, project.dropped, found)


def _schema_steps(project: ProjectSpec, found: DatabaseState) -> list[Step]:
    """Return what the schema lacks."""
    schema = found.schemas.get(project.schema)
    name = sql_text.identifier(project.schema)
    defaults = f"CHARACTER SET {CHARSET} COLLATE {COLLATION}"
    if schema is None:
        sql = f"CREATE DATABASE IF NOT EXISTS {name} {defaults}"
        return [Step(project.name, f"create schema {project.schema}", sql)]
    others = sorted(schema.collations - {COLLATION})
    if others:
        raise MlflowError(
            f"Project '{project.name}': tables of schema {project.schema} have the collation "
            f"{', '.join(others)}, with which MLflow loses data; convert each with ALTER TABLE ... CONVERT "
            f"TO {defaults}, or rename the project. Nothing was changed."
        )
    if schema.collation != COLLATION:
        action = f"set the collation of schema {project.schema} to {COLLATION}"
        return [Step(project.name, action, f"ALTER DATABASE {name} {defaults}")]
    return []


def _absent_steps(project: ProjectSpec, found: DatabaseState) -> list[Step]:
    """Return the steps that remove a project's users, and its schema if that is named."""
    steps = []
    # The schemas first: a trigger names the migrator as its definer. The project's own before all, as it
    # is what tells that there is still something to save.
    if project.force_drop:
        for schema in (project.schema, *_names.schemas_beside(project.schema)):
            if schema in found.schemas:
                sql = f"DROP DATABASE IF EXISTS {sql_text.identifier(schema)}"
                steps.append(Step(project.name, f"drop schema {schema} and its data", sql))
    return steps + _user_drops(project.name, project.dropped, found)


def _user_drops(project: str, identities: t.Iterable[Identity], found: DatabaseState) -> list[Step]:
    """Return the steps that remove users."""
    return [
        Step(
            project,
            f"drop user {identity.user}",
            f"DROP USER IF EXISTS {sql_text.account(identity.user)}",
        )
        for identity in identities
        if identity.user in found.users
    ]
