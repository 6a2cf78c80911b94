#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_database_info
short_description: Read capacity, use and connections of the database on AWS
version_added: 0.4.0
description:
  - Returns the capacity that an Aurora cluster may have, has, and has used since the beginning of the month, in UTC,
    and who is connected to it.
  - Changes nothing, but the question who is connected wakes a database that is paused, unless O(wake=false).
  - What cannot be read is V(none), and RV(problems) says why. Requires C(rds:DescribeDBClusters) and
    C(cloudwatch:GetMetricData), and for the connections what M(mlops.mlflow_aws.mlflow_project_schema) requires.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.attributes.info
  - mlops.mlflow_aws.aws
options:
  cluster:
    description: Name or ARN of the cluster. If empty, the database is not Aurora's, and only its connections are read.
    type: str
    default: ""
  wake:
    description: Whether to ask a database that is paused who is connected to it.
    type: bool
    default: true
  transport:
    description: How to reach the database, as in M(mlops.mlflow_aws.mlflow_project_schema).
    type: str
    choices: [mysql, data_api]
    default: mysql
  login_host:
    description: Host name of the database.
    type: str
    default: ""
  login_port:
    description: Port of the database.
    type: int
    default: 3306
  login_user:
    description: Name of the administrator. If empty, the C(username) in O(login_secret).
    type: str
    default: ""
  login_password:
    description: Password of the administrator, for a database without O(login_secret).
    type: str
  login_secret:
    description: ARN or name of the secret whose JSON has the administrator's C(username) and C(password).
    type: str
    default: ""
  login_ca:
    description: The CA that signed the database's certificate, as PEM text or path to a PEM file.
    type: str
    default: ""
  login_tls_name:
    description: Host name that the certificate must have, if O(login_host) is the near end of a tunnel.
    type: str
    default: ""
  cluster_arn:
    description: ARN of the Aurora cluster, for O(transport=data_api).
    type: str
    default: ""
  timeout:
    description: Timeout in seconds for the database to resume.
    type: int
    default: 240
requirements:
  - For O(transport=mysql), PyMySQL and cryptography
seealso:
  - module: mlops.mlflow_aws.mlflow_project_info
"""

EXAMPLES = r"""
- name: Read what the database uses
  mlops.mlflow_aws.mlflow_database_info:
    region: eu-central-1
    cluster: mlflow-database-1a2b3c
    transport: data_api
    cluster_arn: arn:aws:rds:eu-central-1:123456789012:cluster:mlflow-database-1a2b3c
    login_secret: arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!cluster-1a2b3c
"""

RETURN = r"""
database:
  description: What is known of the database.
  returned: success
  type: dict
  contains:
    cluster:
      description: Name of the cluster, empty for another database.
      type: str
    status:
      description: Status of the cluster, such as V(available).
      type: str
    engine_version:
      description: Version of Aurora MySQL.
      type: str
    min_capacity:
      description: Least capacity in ACUs. With V(0), the cluster can pause.
      type: float
    max_capacity:
      description: Largest capacity in ACUs.
      type: float
    pause_seconds:
      description: Time in seconds without a connection after which it pauses.
      type: int
    capacity:
      description: Capacity in ACUs that was measured last; V(0) while it is paused.
      type: float
    connections:
      description: Number of connections that was measured last.
      type: int
    storage_bytes:
      description: Size of its storage.
      type: int
    month:
      description: The month of the figures that follow, as V(2026-11).
      type: str
    hours_gone:
      description: Hours of this month that are over.
      type: float
    acu_hours:
      description: ACU hours since the beginning of the month.
      type: float
    measured_hours:
      description: Hours of this month for which there are measurements.
      type: float
    days:
      description: Pairs of a day of this month and its ACU hours.
      type: list
      elements: list
    sessions:
      description: Connections, each with C(user), C(host), C(schema), C(command) and C(seconds).
      type: list
      elements: dict
asleep:
  description: Whether the database is paused, as far as is known, and was not woken.
  returned: success
  type: bool
problems:
  description: A sentence for each thing that could not be read.
  returned: success
  type: list
  elements: str
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._backend import usage
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import mysql, options
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.secrets import Secrets


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "cluster": {"type": "str", "default": ""},
            "wake": {"type": "bool", "default": True},
            **options.TRANSPORT,
            **_aws.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    _module.require(module, boto3=_aws.BOTO3_ERROR)
    if module.params["transport"] == "mysql":
        _module.require(module, PyMySQL=mysql.PYMYSQL_ERROR)
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Read the cluster first: a connection would wake it."""
    params = module.params
    now, cluster = int(time.time()), str(params["cluster"]).rpartition(":")[2]
    record: usage.Record = {"cluster": "", "sessions": None}
    problems: list[str] = []
    if cluster:
        record, problems = usage.read(usage.UsageApi(params), cluster, now)
    asleep = record.get("capacity") == 0 and not params["wake"]
    passwords: list[str] = []
    try:
        if not asleep:
            record["sessions"] = _sessions(params, passwords)
    except MlflowError as error:
        problems = [*problems, str(error)]
    finally:
        _module.hide(module, passwords)
    return {"changed": False, "database": record, "asleep": asleep, "problems": problems}


def _sessions(params: dict[str, object], passwords: list[str]) -> list[usage.Record]:
    """Return who is connected, as the administrator sees it."""
    secrets = Secrets(_aws.client(params, "secretsmanager"), "", passwords)
    return usage.sessions(options.transport_of(params, secrets).query)


if __name__ == "__main__":
    main()
