# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the record that mlflow_stack_info returns of a stack."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import Stack


def info(stack: Stack | None) -> dict[str, t.Any]:
    """Return the record of a stack; its form is the documentation of mlflow_stack_info."""
    return {
        "exists": stack is not None,
        "status": stack.status if stack else "ABSENT",
        "stack_id": stack.stack_id if stack else "",
        "outputs": dict(stack.outputs) if stack else {},
        "parameters": dict(stack.parameters) if stack else {},
        "tags": dict(stack.tags) if stack else {},
        "protected": stack.protected if stack else False,
    }
