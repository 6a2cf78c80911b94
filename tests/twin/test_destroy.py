# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook destroy on the twin: servers, image and backend go, and deploy starts from nothing afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.twin._team import MINUTES, Team, changes, table

pytestmark = pytest.mark.timeout(40 * MINUTES)

STACK = "doomed"


def variables(team: Team) -> dict[str, Any]:
    """Return the variables of a deployment beside the team's own, on the same host."""
    return {
        "mlflow_stack_name": STACK,
        "mlflow_ecr_name": STACK,
        "mlflow_stack_template_bucket": STACK,
        "mlflow_server_docker_instance": STACK,
        "mlflow_state_dir": str(team.twin.folder / STACK),
        "mlflow_base_port": team.twin.base_port + 40,
        "mlflow_projects": [{"name": "doomed-a"}, {"name": "doomed-b"}],
    }


def there(team: Team) -> list[str]:
    """Return everything of this deployment, on AWS, in the database and on the host."""
    aws, docker = team.twin.aws.client, team.twin.engine.docker
    stacks = aws("cloudformation").describe_stacks()["Stacks"]
    parameters = aws("ssm").get_paginator("describe_parameters").paginate()
    secrets = aws("secretsmanager").list_secrets()["SecretList"]
    databases = team.twin.mysql.query("SHOW DATABASES LIKE 'mlflow\\_doomed%'")
    users = team.twin.mysql.query("SELECT user FROM mysql.user WHERE user LIKE 'mlflow%doomed%'")
    found = [
        *(stack["StackName"] for stack in stacks),
        *(bucket["Name"] for bucket in aws("s3").list_buckets()["Buckets"]),
        *(entry["repositoryName"] for entry in aws("ecr").describe_repositories()["repositories"]),
        *(entry["Name"] for page in parameters for entry in page["Parameters"]),
        *(str(entry.get("Tags")) for entry in secrets),
        *docker("ps", "--all", "--format", "{{.Names}}").split(),
        *docker("volume", "ls", "--format", "{{.Name}}").split(),
        *docker("images", "--format", "{{.Repository}}").split(),
    ]
    files = [str(path) for path in team.twin.folder.glob(f"{STACK}*")]
    return [
        *(name for name in found if STACK in name),
        *(row[0] for row in [*databases, *users]),
        *files,
    ]


@pytest.mark.thorough(
    "test_destroy.py of the integration tests removes stacks, and test_host_removal.py servers, every time."
)
def test_everything_goes_and_comes_again(team: Team) -> None:
    """Listed in check mode, removed, gone; a second run changes nothing; deployed once more, and removed."""
    given = variables(team)
    assert set(table(team.play("deploy", variables=given))) == {"doomed-a", "doomed-b"}
    before = there(team)
    assert len(before) > 15
    listed = team.play("destroy", "--check", variables=given).output
    for line in (
        f"AWS: stack {STACK} is deleted",
        "localhost: server doomed-a is deleted: running",
        "localhost: credential broker docker is deleted",
        "localhost: image ",
        f"AWS: ECR repository {STACK} is deleted",
    ):
        assert line in listed
    assert there(team) == before
    refused = team.play("destroy", "-e", "confirm=mlflow", variables=given, check=False)
    assert refused.code != 0
    assert there(team) == before
    word = ("-e", f"confirm={STACK}")
    removed = team.play("destroy", *word, variables=given)
    assert "Remove the stacks and what they retain" in str(changes(removed))
    assert there(team) == []
    assert changes(team.play("destroy", *word, variables=given)) == []
    assert set(table(team.play("deploy", variables=given))) == {"doomed-a", "doomed-b"}
    team.play("destroy", *word, variables=given)
    assert there(team) == []
