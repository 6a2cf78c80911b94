# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of many projects on the AWS path whole, of which this host serves one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.twin._team import MINUTES, Team, changes

COUNT = 50
STACK = "status"
# What a report of them may take on a machine that runs other tests, too; benchmarks/status.py measures.
MOST_SECONDS = 60


@pytest.mark.thorough("Three projects in MySQL are told every time, without playbooks.")
@pytest.mark.timeout(20 * MINUTES)
def test_fifty_projects_are_told(team: Team, free_ports: Callable[[int], list[int]]) -> None:
    """Each with schema, numbers and artifacts; nothing changes, and what AWS does not tell is said."""
    [port] = free_ports(1)
    entries: list[dict[str, Any]] = [{"name": f"p{number}"} for number in range(COUNT)]
    report = team.twin.folder / "report"
    variables = {
        "mlflow_stack_name": STACK,
        "mlflow_projects": entries,
        "mlflow_server_projects": ["p0"],
        "mlflow_base_port": port,
        # Beside the servers of the twin's other tests.
        "mlflow_server_docker_instance": f"{team.twin.instance}-status",
        "mlflow_state_dir": str(team.twin.folder / "state-status"),
        "mlflow_status_report": str(report),
    }
    team.play("deploy", variables={**variables, "mlflow_projects": entries[:1]})
    team.copy_schema("p0", (entry["name"] for entry in entries[1:]))
    team.play("deploy", variables=variables)
    begun = time.monotonic()
    done = team.play("status", variables=variables)
    seconds = time.monotonic() - begun
    assert changes(done) == []
    document = json.loads(report.with_suffix(".json").read_text())
    assert [row["name"] for row in document["projects"]] == [entry["name"] for entry in entries]
    for row in document["projects"]:
        assert (row["error"], row["schema"], row["host"]) == ("", "current", ""), row
    # The run that verified its server.
    assert document["projects"][0]["counts"]["runs"] >= 1
    assert document["projects"][0]["artifacts"]["objects"] >= 1
    assert document["backend"]["kind"] == "aws"
    # The twin's database is an existing one, of which CloudWatch knows nothing.
    assert document["cost"]["dollars"] > 0
    assert "Estimate for" in done.output
    print(f"status of {COUNT} projects: {seconds:.1f} s")
    assert seconds < MOST_SECONDS
