# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: brings all projects' schemas and users to their wanted state."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.database import (
    SqlError,
    Transport,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.model import (
    RETAIN,
    Credential,
    DatabaseState,
    ProjectPlan,
    ProjectSpec,
    Step,
    nothing_found,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.plan import plan
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.results import (
    SchemasResult,
    all_steps,
    result,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.secret_content import (
    replaced,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.sql_text import IAM_PLUGIN
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.state import read_state

LOCK = "mlops.mlflow_aws.schemas"
# MySQL's numbers for a password that cannot be kept beside the new one.
_NOT_RETAINED = {3878, 3894, 3895}
_BAD_DEFINER = 4006
_NO_PLUGIN = 1524


def converge(
    transport: Transport | None,
    wanted: t.Sequence[ProjectSpec],
    *,
    fetch: t.Callable[[t.Mapping[str, str]], dict[str, Credential]],
    retain: int,
    timeout: float,
    check_mode: bool,
) -> SchemasResult:
    """Bring every project to its wanted state; in check mode only report how.

    transport is None if the database does not exist yet, which only check mode allows.
    fetch returns the credentials of secrets, by the project that owns each.
    """
    if transport is None:
        found = nothing_found()
        return result(plan(wanted, found, retain), found)
    found = read_state(transport)
    plans = plan(wanted, found, retain)
    if check_mode or not all_steps(plans):
        return result(plans, found)
    credentials = fetch(_owners(all_steps(plans)))
    # The list of secrets may lag behind a rotation; what was fetched is certain.
    versions = {secret: item.version for secret, item in credentials.items()}
    current = [replaced(project, versions) for project in wanted]
    with transport.hold(LOCK, timeout):
        # Another run may have done it in the meantime.
        found = read_state(transport)
        plans = plan(current, found, retain)
        owners = _owners(all_steps(plans))
        missing = {name: owner for name, owner in owners.items() if name not in credentials}
        if missing:
            credentials.update(fetch(missing))
        _apply(transport, plans, credentials, found)
    return result(plans, found)


def _apply(
    transport: Transport,
    plans: t.Sequence[ProjectPlan],
    credentials: t.Mapping[str, Credential],
    found: DatabaseState,
) -> None:
    """Carry out all steps; a failure reports what was done before it."""
    done: list[Step] = []
    for step in all_steps(plans):
        try:
            _carry_out(transport, step, credentials.get(step.secret))
        except MlflowError as error:
            outcome = result(plans, found, done)
            raise MlflowError(
                f"Project '{step.project}': failed to {step.action} on {transport.where}: "
                f"{_decapitalized(str(error))}",
                {"projects": outcome.projects, "changed": bool(done)},
            ) from None
        done.append(step)


def _carry_out(transport: Transport, step: Step, credential: Credential | None) -> None:
    """Carry out one step; if the old password cannot be kept, without keeping it."""
    sql = step.statement(credential)
    try:
        transport.execute(sql)
    except SqlError as error:
        if error.code in _NOT_RETAINED and RETAIN in sql:
            transport.execute(sql.replace(RETAIN, ""))
            return
        if error.code == _BAD_DEFINER:
            raise MlflowError(
                "the schema's triggers need that user as long as they exist; grant the login "
                "ALLOW_NONEXISTENT_DEFINER (SET_USER_ID before MySQL 8.2), or drop the schema too."
            ) from None
        if error.code == _NO_PLUGIN and IAM_PLUGIN in sql:
            raise MlflowError(
                "the database knows no login with IAM; turn IAM database authentication on there, or set "
                "mlflow_stack_database_login to password."
            ) from None
        raise


def _owners(steps: t.Iterable[Step]) -> dict[str, str]:
    """Return the secrets that steps need, each with its project."""
    return {step.secret: step.project for step in steps if step.secret}


def _decapitalized(text: str) -> str:
    """Return a sentence as the end of another one."""
    return text[:1].lower() + text[1:] if not text.startswith("MySQL") else text
