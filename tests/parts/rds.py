# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An Aurora cluster of the emulator: its Data API speaks to a real MySQL that it starts itself."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ansible_collections.mlops.mlflow_aws.tests.parts import mysql_server
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import Ministack

# Test processes share an engine, where a container is named after its cluster and the image has one
# server's certificate: each process has its own.
_NAME = f"mlflow-rds-{os.getpid()}"
_INSTANCE = f"{_NAME}-1"
# The emulator puts it before the names of the images that it starts, so that nobody's own image is
# taken; it wants the setting MINISTACK_IMAGE_PREFIX.
IMAGE_PREFIX = _NAME
_IMAGE = f"{IMAGE_PREFIX}/mysql:8.0"
_USER = "admin"
_UNSERVED = 3306


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
    certificates = mysql_server.make_certificates("localhost")
    mysql_server.build_rds_image(mysql_image, _IMAGE, certificates)
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
    # Where its container does not start, the emulator names the port of MySQL all the same.
    assert port != _UNSERVED, f"the emulator started no database: see {aws.log}"
    try:
        yield Cluster(arn, host, port, _USER, secret, certificates.ca)
    finally:
        rds.delete_db_instance(DBInstanceIdentifier=_INSTANCE, SkipFinalSnapshot=True)
        rds.delete_db_cluster(DBClusterIdentifier=_NAME, SkipFinalSnapshot=True)
        mysql_server.docker("rmi", "--force", _IMAGE)
