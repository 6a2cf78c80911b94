# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the request for a change set, purely."""

from __future__ import annotations

import typing as t
import uuid

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.model import (
    CHANGE_SET_PREFIX,
    CREATE,
    Plan,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.parameters import PREVIOUS
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.template import (
    capabilities,
    parse_template,
)


def change_set_request(plan: Plan, body: str, url: str) -> dict[str, t.Any]:
    """Return the arguments of CreateChangeSet; url is where a bucket holds the template, else empty."""
    request: dict[str, t.Any] = {
        "ChangeSetName": f"{CHANGE_SET_PREFIX}{uuid.uuid4().hex[:12]}",
        "ChangeSetType": "CREATE" if plan.action == CREATE else "UPDATE",
        "Capabilities": capabilities(parse_template(body)),
        "Tags": [{"Key": key, "Value": text} for key, text in sorted(plan.tags.items())],
        "Parameters": [
            {"ParameterKey": name, "UsePreviousValue": True}
            if parameter.source == PREVIOUS
            else {"ParameterKey": name, "ParameterValue": parameter.value}
            for name, parameter in plan.parameters.items()
        ],
    }
    if plan.reuse_template:
        return {**request, "UsePreviousTemplate": True}
    return {**request, "TemplateURL": url} if url else {**request, "TemplateBody": body}
