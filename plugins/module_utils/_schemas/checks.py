# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: refuses projects, schemas and users that must not be touched, before anything is."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import sql_text
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.model import (
    ABSENT,
    COLLATION,
    PREFIX,
    DatabaseState,
    MysqlSettings,
    ProjectSpec,
    SchemaState,
)


def require_sound(wanted: t.Sequence[ProjectSpec]) -> None:
    """Refuse, before anything is read, projects that contradict themselves or each other."""
    seen: dict[str, str] = {}
    for project in wanted:
        for what in (project.schema, *(item.user for item in project.identities)):
            if not sql_text.name(what).startswith(PREFIX):
                raise MlflowError(
                    f"Project '{project.name}': the name {what} does not start with {PREFIX}; rename it, as "
                    "nothing else in the database is touched."
                )
            if seen.setdefault(what, project.name) != project.name:
                raise MlflowError(
                    f"Projects '{seen[what]}' and '{project.name}' share the name {what} in the database; "
                    "rename one of them."
                )
        if len({item.user for item in project.identities}) < len(project.identities):
            raise MlflowError(
                f"Project '{project.name}': its server user and its migrator are the same; name two different users."
            )
        if project.force_drop and project.state != ABSENT:
            raise MlflowError(
                f"Project '{project.name}': force_drop is for 'state: absent' only; set one of them. Nothing "
                "was changed."
            )
        if project.force_drop and project.force_drop != project.schema:
            raise MlflowError(
                f"Project '{project.name}': force_drop is {project.force_drop!r}, but the schema is "
                f"{project.schema}; set that name to delete its data. Nothing was changed."
            )


def obstacles(schema: SchemaState, server: MysqlSettings) -> list[str]:
    """Return the reasons why a migration of this schema would fail half-way."""
    found = []
    if server.binary_log and not server.trusts_creators:
        found.append(
            "the binary log is on and log_bin_trust_function_creators is off, so MySQL rejects MLflow's "
            "triggers (error 1419): change one of them in the parameter group"
        )
    others = sorted(schema.collations - {COLLATION})
    if others:
        found.append(
            f"tables have the collation {', '.join(others)} instead of {COLLATION}, so new tables cannot "
            "reference them: convert them"
        )
    return found


def require_ours(project: ProjectSpec, found: DatabaseState) -> None:
    """Refuse a schema or user that has our name and is not ours."""
    where = f"Project '{project.name}'"
    schema = found.schemas.get(project.schema)
    if schema and schema.tables and not schema.landmarks:
        raise MlflowError(
            f"{where}: schema {project.schema} holds {schema.tables} tables that are not MLflow's; move "
            "them away or rename the project. Nothing was changed."
        )
    for identity in project.identities:
        user = found.users.get(identity.user)
        if user is None:
            continue
        if user.hosts != {"%"}:
            raise MlflowError(
                f"{where}: user {identity.user} also exists for the hosts "
                f"{', '.join(sorted(user.hosts - {'%'}))}; drop that user. Nothing was changed."
            )
        if user.mark is None or user.mark.get("project") != project.name:
            owner = "was not created by this collection"
            if user.mark is not None:
                owner = f"belongs to project '{user.mark.get('project')}'"
            raise MlflowError(
                f"{where}: user {identity.user} is in the database already and {owner}; drop it or rename "
                "the project. Nothing was changed."
            )
