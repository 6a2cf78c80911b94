# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reason why a task failed, as the report shows it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.filter.mlflow_failure_reason import FilterModule

ARGUMENTS = [
    "value of mlflow_server_runtime must be one of: docker, process, got: podman",
    "argument 'mlflow_base_port' is of type str",
]
FILTER = "The filter plugin 'mlops.mlflow_aws.mlflow_project_records' failed: "


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (
            {
                "msg": "Validation of arguments failed:\n" + "\n".join(ARGUMENTS),
                "argument_errors": ARGUMENTS,
            },
            "; ".join(ARGUMENTS),
        ),
        ({"msg": "Validation of arguments failed:\nx", "argument_errors": ["x\n  y"]}, "x y"),
        ({"msg": "Port 5001 is in use; choose another.\n"}, "Port 5001 is in use; choose another."),
        ({"msg": f"Task failed: {FILTER}churn is wrong.\nOrigin: x.yml"}, "churn is wrong."),
        ({"msg": "Task failed: Module failed."}, "Module failed."),
        ({"msg": ""}, "no reason was given"),
        ({"msg": None, "argument_errors": []}, "no reason was given"),
        ({}, "no reason was given"),
    ],
)
def test_the_reason_is_one_line(result: dict[str, Any], reason: str) -> None:
    """The first line, or what the validation of arguments found, without Ansible's words around it."""
    assert FilterModule().filters()["mlflow_failure_reason"](result) == reason
