# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the statements that one database user lacks, its privileges apart."""

from __future__ import annotations

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import sql_text
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.model import (
    MARK,
    RETAIN,
    VERIFIER,
    VERSION,
    DatabaseState,
    Identity,
    MysqlSettings,
    ProjectSpec,
    Step,
    UserState,
)


def user_steps(
    project: ProjectSpec, identity: Identity, found: DatabaseState, retain: int
) -> list[Step]:
    """Return what one user lacks, its rights apart."""
    user = found.users.get(identity.user)
    account = sql_text.account(identity.user)
    mark = {
        "project": project.name,
        "identity": identity.kind,
        "version": VERSION,
        "since": str(found.server.now),
    }
    attribute = f"ATTRIBUTE {sql_text.document({MARK: mark})}"
    password = f"IDENTIFIED WITH {sql_text.PLUGIN} AS '{VERIFIER}'"
    limits = "REQUIRE SSL PASSWORD EXPIRE NEVER ACCOUNT UNLOCK"
    if user is None:
        sql = f"CREATE USER IF NOT EXISTS {account} {password} {limits} {attribute}"
        return [Step(project.name, f"create user {identity.user}", sql, identity.secret)]
    steps = []
    if _outdated(identity, user):
        keep = RETAIN if retain else ""
        sql = f"ALTER USER {account} {password}{keep} {limits} {attribute}"
        action = f"set the password of user {identity.user}"
        steps.append(Step(project.name, action, sql, identity.secret))
    elif user.retained and not keeps_old_password(identity, user, found.server, retain):
        sql = f"ALTER USER {account} DISCARD OLD PASSWORD"
        steps.append(Step(project.name, f"end the old password of user {identity.user}", sql))
    if not (user.tls and user.usable):
        action = f"require TLS of user {identity.user}, unlocked and without expiry"
        steps.append(Step(project.name, action, f"ALTER USER {account} {limits}"))
    return steps


def _outdated(identity: Identity, user: UserState) -> bool:
    """Return whether the user's password must be set."""
    recorded = (user.mark or {}).get("version")
    return user.expired or user.plugin != sql_text.PLUGIN or recorded != identity.version


def keeps_old_password(
    identity: Identity, user: UserState, server: MysqlSettings, retain: int
) -> bool:
    """Return whether the password before the secret's stays good for now."""
    if _outdated(identity, user):
        return retain > 0
    return user.retained and server.now < _since(user) + retain


def _since(user: UserState) -> int:
    """Return the second in which the password was set."""
    text = str((user.mark or {}).get("since", ""))
    return int(text) if text.isdecimal() else 0
