# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""deploy where the control node reaches no database: schemas by the Data API, servers by a tunnel."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.parts import rds
from ansible_collections.mlops.mlflow_aws.tests.parts.host import experiments
from ansible_collections.mlops.mlflow_aws.tests.parts.sshd import Sshd, sshd
from ansible_collections.mlops.mlflow_aws.tests.twin._team import (
    MINUTES,
    Team,
    changes,
    projects,
    table,
)

pytestmark = pytest.mark.timeout(20 * MINUTES)

PASSWORD = "of %/@:?#&, and a space"
_ESTABLISHED = "01"


def tunnel(bastion: Sshd, port: int) -> dict[str, Any]:
    """Return the variables of a host that goes through a bastion."""
    return {
        "mlflow_database_tunnel": "ssh",
        "mlflow_database_tunnel_port": port,
        "mlflow_database_tunnel_bastion": bastion.destination,
        "mlflow_database_tunnel_ssh_options": bastion.arguments,
    }


def sessions(port: int) -> int:
    """Return how many connections to a port of loopback there are."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = (line.split() for line in lines)
    return sum(one[2].endswith(f":{port:04X}") and one[3] == _ESTABLISHED for one in fields)


@pytest.mark.thorough("test_data_api and test_tunnel.py run every time, with the same modules.")
def test_deploy_without_a_path_to_the_database(
    team: Team,
    mysql_image: str,
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
) -> None:
    """A stack of its own beside the other: servers are proved, and a second run changes nothing."""
    with (
        rds.cluster(team.twin.aws, mysql_image, PASSWORD) as cluster,
        sshd(tmp_path, free_ports(1)[0]) as bastion,
    ):
        (port,) = free_ports(1)
        before = team.twin.aws.client("cloudformation").list_stacks()["StackSummaries"]
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
            **tunnel(bastion, port),
            "mlflow_stack_name": "api",
            "mlflow_stack_parameters": parameters,
            "mlflow_backend_ca": cluster.ca,
            "mlflow_project_transport": "data_api",
            # The other team's servers run on.
            "mlflow_server_docker_instance": f"{team.twin.instance}-api",
            "mlflow_base_port": team.twin.base_port + 10,
        }
        with socket.create_server(("127.0.0.1", port)):
            taken = team.play("deploy", variables=variables, check=False)
        assert f"Port {port} for the tunnel to the database is in use by" in taken.output
        assert team.twin.aws.client("cloudformation").list_stacks()["StackSummaries"] == before
        done = team.play("deploy", "-vvv", variables=variables)
        assert set(table(done)) == {"over-https"}
        for secret, password in team.secrets().items():
            assert password not in done.output, secret
        assert changes(team.play("deploy", variables=variables)) == []
        assert experiments(table(done)["over-https"]) == {"Default", "mlflow-aws-verify"}
        assert sessions(port) > 0
        ended = team.play("servers", variables={**variables, "mlflow_server_state": "absent"})
        # The server, and what nobody needs any more: its credential broker, and the tunnel.
        assert len(changes(ended)) == 3
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5)
