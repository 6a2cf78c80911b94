# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module mlflow_log_retention at an emulated CloudWatch that enforces IAM."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._backend.logs import LOGS
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import Ministack, ministack
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Modules

pytestmark = pytest.mark.timeout(300)

CLUSTER = "mlflow-database-1"
GROUPS = [f"/aws/rds/cluster/{CLUSTER}/{log}" for log in LOGS]
NAME = "mlflow_log_retention"


@pytest.fixture
def aws(
    free_ports: Callable[[int], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ministack]:
    """Return a ministack."""
    with ministack(free_ports(1)[0], tmp_path_factory.mktemp("aws"), auth=True) as server:
        yield server


def test_logs_end(modules: Modules, aws: Ministack) -> None:
    """Those that RDS has made and those that it is yet to make, and of no other cluster."""
    logs = aws.client("logs")
    other = f"/aws/rds/cluster/{CLUSTER}0/audit"
    for name in (GROUPS[0], other):
        logs.create_log_group(logGroupName=name)
    operator = aws.user(
        "operator", "logs:DescribeLogGroups", "logs:CreateLogGroup", "logs:PutRetentionPolicy"
    )
    how: dict[str, Any] = {"diff": True, **aws.environment(*operator)}
    options = {"cluster": CLUSTER, "days": 30, **aws.options()}

    def retention() -> dict[str, int | None]:
        found = logs.describe_log_groups()["logGroups"]
        return {group["logGroupName"]: group.get("retentionInDays") for group in found}

    foretold = modules.call(NAME, options, check=True, **how)
    assert (foretold["changed"], foretold["groups"]) == (True, GROUPS)
    assert retention() == {GROUPS[0]: None, other: None}
    done = modules.call(NAME, options, **how)
    assert done == foretold
    assert retention() == {**dict.fromkeys(GROUPS, 30), other: None}
    again = modules.call(NAME, options, **how)
    assert (again["changed"], again["groups"]) == (False, [])
    longer = modules.call(NAME, options | {"days": 90}, **how)
    assert longer["diff"]["before"] == dict.fromkeys(GROUPS, 30)
    assert retention() == {**dict.fromkeys(GROUPS, 90), other: None}
    stranger = aws.environment(*aws.user("stranger", "logs:DescribeLogGroups"))
    said = modules.refuse(NAME, options, **stranger)
    assert said.startswith(f"Cannot set the retention of the log group {GROUPS[0]}: AWS denied")
