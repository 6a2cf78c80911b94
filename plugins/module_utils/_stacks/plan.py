# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: plans what a stack needs, purely."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.evaluation import (
    require_rules,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.model import (
    CREATE,
    KEEP,
    OWNER_TAG,
    PROTECTION_PARAMETER,
    UPDATE,
    Plan,
    StackSpec,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.parameters import (
    GIVEN,
    UNKNOWN,
    equal_value,
    resolve_parameters,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import (
    SETTLED,
    Stack,
    phase,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.template import (
    is_transformed,
    parse_template,
    same_template,
)


def plan(wanted: StackSpec, stack: Stack | None) -> Plan:
    """Return what the stack needs; one that is absent or rolled back is created."""
    content = parse_template(wanted.body)
    definitions = content.get("Parameters") or {}
    exists = stack if phase(stack) == SETTLED else None
    given = _given(wanted, definitions, exists)
    parameters = resolve_parameters(
        definitions, given, exists.parameters if exists else None, wanted.foresee
    )
    if not any(parameter.source == UNKNOWN for parameter in parameters.values()):
        values = {name: parameter.value for name, parameter in parameters.items()}
        require_rules(content, values)
    tags = {**wanted.tags, OWNER_TAG: wanted.owner}
    protect = wanted.protection
    if exists is None:
        return Plan(CREATE, parameters, tags, False, protect or None, list(parameters))
    if protect == exists.protected:
        protect = None
    same = same_template(exists.template, wanted.body)
    differing = [
        name
        for name, parameter in parameters.items()
        if name not in exists.parameters
        or (
            parameter.source == GIVEN
            and not equal_value(definitions[name], parameter.value, exists.parameters[name])
        )
    ]
    # AWS's own tags, such as those of Service Catalog, are not ours to compare.
    own = {key: text for key, text in exists.tags.items() if not key.startswith("aws:")}
    action = KEEP if same and not differing and own == tags else UPDATE
    # A reused template has been transformed already, for the parameters of then.
    reuse = same and not is_transformed(content)
    return Plan(action, parameters, tags, reuse, protect, differing)


def notes(plan_: Plan) -> list[str]:
    """Return notes on these parameters, in sentences."""
    values = plan_.values
    # When an existing database pauses is not up to this stack.
    if values.get("ExistingDatabaseEndpoint") or values.get("MinCapacity") not in ("0", "0.0"):
        return []
    pause = values.get("SecondsUntilAutoPause", "")
    after = f"after {pause} seconds " if pause else ""
    text = (
        f"With MinCapacity 0 the database pauses {after}without a connection, and the next connection "
        "waits 15 seconds for it to resume, after a day 30 or more. Our servers close idle connections; any other open "
        "connection keeps it awake, and so do an RDS Proxy and the binary log, which the template leaves off."
    )
    return [text]


def _given(
    wanted: StackSpec, definitions: t.Mapping[str, t.Any], exists: Stack | None
) -> dict[str, t.Any]:
    """Return the parameters to give: the user's, and the protection's own."""
    given = dict(wanted.given)
    if wanted.protection is None or PROTECTION_PARAMETER not in definitions:
        return given
    chosen = given.get(PROTECTION_PARAMETER)
    if chosen is not None and str(chosen).lower() != str(wanted.protection).lower():
        raise MlflowError(
            f"Parameter '{PROTECTION_PARAMETER}' is {str(chosen).lower()} and protection is "
            f"{str(wanted.protection).lower()}; leave that parameter out."
        )
    # If it were protected from the start, the rollback of a failed create could not delete it.
    given[PROTECTION_PARAMETER] = str(bool(wanted.protection and exists)).lower()
    return given
