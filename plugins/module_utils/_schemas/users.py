# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the statements that one database user lacks, its privileges apart."""

from __future__ import annotations

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import sql_text
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.model import (
    IAM,
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

_LIMITS = "REQUIRE SSL PASSWORD EXPIRE NEVER ACCOUNT UNLOCK"
# Only what AWS documents for such a user; it has no password that could expire.
_IAM_LIMITS = "REQUIRE SSL ACCOUNT UNLOCK"


def user_steps(
    project: ProjectSpec, identity: Identity, found: DatabaseState, retain: int
) -> list[Step]:
    """Return what one user lacks, its rights apart."""
    user = found.users.get(identity.user)
    account = sql_text.account(identity.user)
    if user is None or _outdated(identity, user):
        return [_login_step(project, identity, found, retain)]
    steps = []
    if user.retained and not keeps_old_password(identity, user, found.server, retain):
        sql = f"ALTER USER {account} DISCARD OLD PASSWORD"
        steps.append(Step(project.name, f"end the old password of user {identity.user}", sql))
    if not (user.tls and user.usable):
        action = f"require TLS of user {identity.user}, unlocked and without expiry"
        limits = _IAM_LIMITS if identity.login == IAM else _LIMITS
        steps.append(Step(project.name, action, f"ALTER USER {account} {limits}"))
    return steps


def _login_step(
    project: ProjectSpec, identity: Identity, found: DatabaseState, retain: int
) -> Step:
    """Return the step that creates a user, or sets how it logs in."""
    user = found.users.get(identity.user)
    iam = identity.login == IAM
    mark = {
        "project": project.name,
        "identity": identity.kind,
        "version": "" if iam else VERSION,
        "since": str(found.server.now),
    }
    keep = RETAIN if user and retain and user.plugin != sql_text.IAM_PLUGIN and not iam else ""
    login = (
        f"IDENTIFIED WITH {sql_text.IAM_PLUGIN} AS 'RDS' {_IAM_LIMITS}"
        if iam
        else f"IDENTIFIED WITH {sql_text.PLUGIN} AS '{VERIFIER}'{keep} {_LIMITS}"
    )
    if user is None:
        verb, action = "CREATE USER IF NOT EXISTS", f"create user {identity.user}"
    elif iam:
        verb, action = "ALTER USER", f"let user {identity.user} log in with IAM"
    else:
        verb, action = "ALTER USER", f"set the password of user {identity.user}"
    attribute = f"ATTRIBUTE {sql_text.document({MARK: mark})}"
    sql = f"{verb} {sql_text.account(identity.user)} {login} {attribute}"
    return Step(project.name, action, sql, "" if iam else identity.secret)


def _outdated(identity: Identity, user: UserState) -> bool:
    """Return whether the user's login must be set."""
    if identity.login == IAM:
        return user.plugin != sql_text.IAM_PLUGIN
    recorded = (user.mark or {}).get("version")
    return user.expired or user.plugin != sql_text.PLUGIN or recorded != identity.version


def keeps_old_password(
    identity: Identity, user: UserState, server: MysqlSettings, retain: int
) -> bool:
    """Return whether the password before the secret's stays good for now."""
    if identity.login == IAM or user.plugin == sql_text.IAM_PLUGIN:
        return False
    if _outdated(identity, user):
        return retain > 0
    return user.retained and server.now < _since(user) + retain


def _since(user: UserState) -> int:
    """Return the second in which the password was set."""
    text = str((user.mark or {}).get("since", ""))
    return int(text) if text.isdecimal() else 0
