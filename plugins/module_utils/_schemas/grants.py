# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the statements that give a user its privileges, and revoke any others."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import sql_text
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.model import (
    USAGE,
    DatabaseState,
    Grant,
    Identity,
    ProjectSpec,
    Step,
    rights,
)

_GRANT_OPTION = "GRANT OPTION"


def grant_steps(project: ProjectSpec, identity: Identity, found: DatabaseState) -> list[Step]:
    """Return the steps that revoke what one user has beyond its rights, then grant what it lacks."""
    account = sql_text.account(identity.user)
    wanted = {
        sql_text.pattern(schema, found.server.literal_names): (schema, words)
        for schema, words in rights(identity.kind, project.schema).items()
    }
    held = found.grants.get(identity.user, frozenset())
    allowed = {pattern: words for pattern, (_schema, words) in wanted.items()}
    steps = [
        Step(
            project.name,
            f"revoke {words} from user {identity.user}",
            f"REVOKE {sql} FROM {account}",
        )
        for words, sql in _excess(held, allowed)
    ]
    for pattern, (schema, words) in wanted.items():
        proper = {item.privilege for item in held if item.level == "schema" and item.on == pattern}
        missing = words - proper
        if missing:
            listed = sql_text.privileges(missing)
            sql = f"GRANT {listed} ON {sql_text.quoted(pattern)}.* TO {account}"
            action = f"grant {listed} on schema {schema} to user {identity.user}"
            steps.append(Step(project.name, action, sql))
    return steps


def _excess(
    held: t.Iterable[Grant], allowed: t.Mapping[str, frozenset[str]]
) -> list[tuple[str, str]]:
    """Return what is held beyond what is allowed on patterns of schemas, in words and as REVOKE takes it."""
    unwanted: dict[tuple[str, str], set[str]] = {}
    for grant in held:
        own = allowed.get(grant.on, frozenset()) if grant.level == "schema" else frozenset()
        words = unwanted.setdefault((grant.level, grant.on), set())
        if grant.level == "column":
            words.add(f"{sql_text.privileges([grant.privilege])} ({sql_text.quoted(grant.column)})")
        elif grant.privilege != USAGE and grant.privilege not in own:
            words.add(sql_text.privileges([grant.privilege]))
        if grant.grantable and grant.level != "role":
            words.add(_GRANT_OPTION)
    found = []
    for (level, on), words in sorted(unwanted.items()):
        if level == "role":
            found.append((f"role {on}", on))
        elif words:
            listed = ", ".join(sorted(words))
            target = {"global": "*.*", "schema": f"{sql_text.quoted(on or '-')}.*"}.get(level, on)
            found.append((f"{listed} on {target}", f"{listed} ON {target}"))
    return found
