# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An Aurora cluster of the emulator: its Data API speaks to a real MySQL that it starts itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ansible_collections.mlops.mlflow_aws.tests.twin import _mysql
from ansible_collections.mlops.mlflow_aws.tests.twin._ministack import Ministack

# The emulator puts it before the names of the images that it starts, so that nobody's own image is
# taken; it wants the setting MINISTACK_IMAGE_PREFIX.
IMAGE_PREFIX = "mlflow-rds"
_IMAGE = f"{IMAGE_PREFIX}/mysql:8.0"
_NAME, _INSTANCE = "mlflow", "mlflow-1"
_USER = "admin"


@dataclass(frozen=True)
class Cluster:
    """A cluster with the Data API, the secret of its administrator, and the CA of its server."""

    arn: str
    host: str
    port: int
    user: str
    secret: str
    ca: str


@contextmanager
def cluster(aws: Ministack, mysql_image: str, password: str) -> Iterator[Cluster]:
    """Make one from an image of MySQL, and remove it afterwards."""
    certificates = _mysql.make_certificates("localhost")
    _mysql.build_rds_image(mysql_image, _IMAGE, certificates)
    rds = aws.client("rds")
    made = rds.create_db_cluster(
        DBClusterIdentifier=_NAME,
        Engine="aurora-mysql",
        EngineVersion="8.0.mysql_aurora.3.10.0",
        MasterUsername=_USER,
        MasterUserPassword=password,
        EnableHttpEndpoint=True,
    )["DBCluster"]
    rds.create_db_instance(
        DBInstanceIdentifier=_INSTANCE,
        DBClusterIdentifier=_NAME,
        Engine="aurora-mysql",
        DBInstanceClass="db.serverless",
    )
    secret = aws.client("secretsmanager").create_secret(
        Name="master", SecretString=json.dumps({"username": _USER, "password": password})
    )["ARN"]
    [found] = rds.describe_db_clusters()["DBClusters"]
    arn, host, port = made["DBClusterArn"], found["Endpoint"], int(found["Port"])
    try:
        yield Cluster(arn, host, port, _USER, secret, certificates.ca)
    finally:
        rds.delete_db_instance(DBInstanceIdentifier=_INSTANCE, SkipFinalSnapshot=True)
        rds.delete_db_cluster(DBClusterIdentifier=_NAME, SkipFinalSnapshot=True)
        _mysql.docker("rmi", "--force", _IMAGE)
