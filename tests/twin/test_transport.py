# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""deploy where schemas and identities are made over the Data API, which is the default on AWS."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.mlflow_aws.tests.twin import _rds
from ansible_collections.mlops.mlflow_aws.tests.twin._team import (
    MINUTES,
    Team,
    changes,
    projects,
    table,
)

pytestmark = pytest.mark.timeout(20 * MINUTES)

PASSWORD = "of %/@:?#&, and a space"


def test_deploy_over_the_data_api(team: Team, mysql_image: str) -> None:
    """A stack of its own beside the other: servers are proved, and a second run changes nothing."""
    with _rds.cluster(team.twin.aws, mysql_image, PASSWORD) as cluster:
        parameters = {
            **team.twin.variables["mlflow_stack_parameters"],
            "ExistingDatabaseEndpoint": cluster.host,
            "ExistingDatabasePort": str(cluster.port),
            "ExistingDatabaseUsername": cluster.user,
            "ExistingDatabaseSecretArn": cluster.secret,
            "ExistingDatabaseClusterArn": cluster.arn,
        }
        variables = {
            **projects("over-https"),
            "mlflow_stack_name": "api",
            "mlflow_stack_parameters": parameters,
            "mlflow_backend_ca": cluster.ca,
            "mlflow_project_transport": "data_api",
            # The other team's servers run on.
            "mlflow_server_docker_instance": f"{team.twin.instance}-api",
            "mlflow_base_port": team.twin.base_port + 10,
        }
        done = team.play("deploy", "-vvv", variables=variables)
        assert set(table(done)) == {"over-https"}
        for secret, password in team.secrets().items():
            assert password not in done.output, secret
        assert changes(team.play("deploy", variables=variables)) == []
        ended = team.play("servers", variables={**variables, "mlflow_server_state": "absent"})
        assert len(changes(ended)) == 1
