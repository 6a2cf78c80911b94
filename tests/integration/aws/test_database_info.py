# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module mlflow_database_info at an emulated RDS and CloudWatch that enforce IAM."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._backend import usage
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import Ministack, ministack
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Modules

pytestmark = pytest.mark.timeout(300)

CLUSTER = "mlflow-database-1"
NAME = "mlflow_database_info"
# As the stack's output has it.
ARN = "arn:aws:rds:eu-central-1:000000000000:cluster:mlflow-database-1"


@pytest.fixture
def aws(
    free_ports: Callable[[int], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ministack]:
    """Return a ministack with a cluster that can pause, of which nothing runs."""
    with ministack(free_ports(1)[0], tmp_path_factory.mktemp("aws"), auth=True) as server:
        server.client("rds").create_db_cluster(
            DBClusterIdentifier=CLUSTER,
            Engine="aurora-mysql",
            EngineVersion="8.0.mysql_aurora.3.10.0",
            MasterUsername="admin",
            MasterUserPassword="not-used-here",
            ServerlessV2ScalingConfiguration={"MinCapacity": 0, "MaxCapacity": 4},
        )
        yield server


def measured(aws: Ministack, metric: str, *points: tuple[float, float]) -> None:
    """Put points of a metric, each with its age in seconds."""
    now = datetime.datetime.now(datetime.UTC)
    aws.client("cloudwatch").put_metric_data(
        Namespace="AWS/RDS",
        MetricData=[
            {
                "MetricName": metric,
                "Dimensions": [{"Name": "DBClusterIdentifier", "Value": CLUSTER}],
                "Timestamp": now - datetime.timedelta(seconds=age),
                "Value": value,
            }
            for age, value in points
        ],
    )


def test_what_a_paused_database_uses(modules: Modules, aws: Ministack) -> None:
    """It is not woken, its limits and its month are told, and what is denied is one sentence."""
    measured(aws, usage.CAPACITY, (120, 0.0))
    measured(aws, usage.CONNECTIONS, (120, 0.0))
    measured(aws, usage.STORAGE, (120, 3e9))
    operator = aws.user("operator", "rds:DescribeDBClusters", "cloudwatch:GetMetricData")
    options = {"cluster": ARN, "wake": False, "transport": "data_api", **aws.options()}
    how: dict[str, Any] = aws.environment(*operator)
    found = modules.call(NAME, options, check=True, **how)
    database = found["database"]
    assert (found["changed"], found["problems"], found["asleep"]) == (False, [], True)
    assert (database["cluster"], database["capacity"], database["connections"]) == (CLUSTER, 0, 0)
    assert (database["min_capacity"], database["max_capacity"]) == (0, 4)
    assert database["storage_bytes"] == 3e9
    assert database["acu_hours"] == 0
    assert database["month"] == time.strftime("%Y-%m", time.gmtime())
    assert database["sessions"] is None

    less = aws.environment(*aws.user("less", "rds:DescribeDBClusters"))
    found = modules.call(NAME, options, **less)
    assert found["database"]["max_capacity"] == 4
    assert found["database"]["capacity"] is None
    [denied, unreachable] = found["problems"]
    assert denied.startswith(f"Cannot read the metrics of the cluster '{CLUSTER}': AWS denied")
    assert "cloudwatch:GetMetricData" in denied
    # Whether it sleeps is not known, so it was asked.
    assert "RDS Data API" in unreachable
    assert found["asleep"] is False


def test_hours_are_added_up(modules: Modules, aws: Ministack) -> None:
    """Each hour counts by its average, the one that is not over by its part."""
    now = int(time.time())
    # Earlier points are of another month.
    ages = range(0, min(7200, now - usage.month_start(now) + 1), 300)
    measured(aws, usage.CAPACITY, *((age, 2.0) for age in ages))
    operator = aws.user("operator", "rds:DescribeDBClusters", "cloudwatch:GetMetricData")
    options = {"cluster": CLUSTER, "transport": "data_api", **aws.options()}
    found = modules.call(NAME, options, **aws.environment(*operator))["database"]
    assert found["capacity"] == 2.0
    # Whole hours are asked for, so the hour of the oldest point counts from its beginning.
    hours = (now - (now - ages[-1]) // 3600 * 3600) / 3600
    assert found["measured_hours"] == pytest.approx(hours, abs=0.05)
    assert found["acu_hours"] == pytest.approx(2 * hours, abs=0.1)
