# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: a project in the database, before and after, for Ansible's diff mode."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import sql_text
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.model import (
    ABSENT,
    ARCHIVED,
    COLLATION,
    IAM,
    PASSWORD,
    USAGE,
    DatabaseState,
    ProjectSpec,
    rights,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.users import (
    keeps_old_password,
)


def current(project: ProjectSpec, found: DatabaseState) -> dict[str, t.Any]:
    """Return a project as it is, for a diff."""
    picture: dict[str, t.Any] = {}
    schema = found.schemas.get(project.schema)
    if schema:
        picture["schema"] = {"name": project.schema, "collation": schema.collation}
    for identity in project.identities:
        user = found.users.get(identity.user)
        if user:
            held = found.grants.get(identity.user, frozenset())
            picture[identity.kind] = {
                "user": identity.user,
                "login": IAM if user.plugin == sql_text.IAM_PLUGIN else PASSWORD,
                "tls": user.tls,
                "usable": user.usable and not user.expired,
                "old_password": user.retained,
                "secret_version": (user.mark or {}).get("version", ""),
                "grants": sorted(
                    f"{grant.privilege} on {grant.on or '*'}{' with grant option' * grant.grantable}"
                    for grant in held
                    if grant.privilege != USAGE
                ),
            }
    return picture


def planned(project: ProjectSpec, found: DatabaseState, retain: int) -> dict[str, t.Any]:
    """Return a project as it will be, for a diff."""
    picture = current(project, found)
    if project.state == ABSENT:
        kept = picture if not project.force_drop else {}
        return {key: value for key, value in kept.items() if key == "schema"}
    if project.state == ARCHIVED and project.schema not in found.schemas:
        return {}
    picture["schema"] = {"name": project.schema, "collation": COLLATION}
    for identity in project.dropped:
        picture.pop(identity.kind, None)
    for identity in project.kept:
        user = found.users.get(identity.user)
        picture[identity.kind] = {
            "user": identity.user,
            "login": identity.login,
            "tls": True,
            "usable": True,
            "old_password": user is not None
            and keeps_old_password(identity, user, found.server, retain),
            "secret_version": identity.version,
            "grants": sorted(
                f"{word} on {sql_text.pattern(schema, found.server.literal_names)}"
                for schema, words in rights(identity.kind, project.schema).items()
                for word in words
            ),
        }
    return picture
