# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook verify_aws whole on the twin, image and hosts stack too, beside a team's own stack."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.twin._team import MINUTES, Team

pytestmark = pytest.mark.timeout(30 * MINUTES)

STACK = "mlflow-check"


@pytest.mark.thorough("test_account_check.py runs all but image and hosts every time.")
def test_an_account_is_verified(team: Team) -> None:
    """What an emulator can show passes, what it cannot is reported with its reason, and nothing is left."""
    variables: dict[str, Any] = {
        # This database stands for an existing one, and the emulator has no relay.
        "mlflow_account_check_stack_parameters": team.twin.variables["mlflow_stack_parameters"],
        "mlflow_account_check_platforms": ["linux/amd64"],
        "mlflow_account_check_folder": str(team.home / "reports"),
    }
    team.play("backend")
    aws = team.twin.aws

    def there() -> list[str]:
        stacks = aws.client("cloudformation").describe_stacks()["Stacks"]
        repositories = aws.client("ecr").describe_repositories()["repositories"]
        return [
            *(stack["StackName"] for stack in stacks),
            *(entry["repositoryName"] for entry in repositories),
            *(bucket["Name"] for bucket in aws.client("s3").list_buckets()["Buckets"]),
            *team.places(),
        ]

    before = there()
    team.play("verify_aws", variables=variables)
    assert there() == before, "a plan makes nothing"
    team.play("verify_aws", "-e", f"confirm={STACK}", variables=variables)
    assert there() == before
    (path,) = (team.home / "reports").glob("*.json")
    results = {entry["name"]: entry for entry in json.loads(path.read_text())["checks"]}
    assert not [name for name, entry in results.items() if entry["result"] == "failed"]
    for name in ("stacks", "administrator", "tls", "schema_refused", "image", "removal"):
        assert results[name]["result"] == "passed", results[name]
    # Nothing here enforces IAM or starts instances; what says so was asked.
    assert "does not enforce IAM" in results["objects_refused"]["evidence"]
    assert "started no instance" in results["hosts"]["evidence"]
    assert "was built for linux/amd64" in results["platforms"]["evidence"]
