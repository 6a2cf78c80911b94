#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_project_schema
short_description: Bring the schemas and database users of all projects to their wanted state
version_added: 0.2.0
description:
  - Gives each project of a MySQL or Aurora MySQL database a schema of its own and two users. The migrator may define
    tables in that schema, the runtime user may read and write its rows; neither reaches anything else, and both can
    log in over TLS only.
  - Any number of projects in one task. State is read once, and only what is missing is done.
  - Takes passwords from Secrets Manager and sets them when their secret has another version. The database is told
    what it keeps of a password, never the password itself.
  - Rights beyond those are revoked. What bears a project's name but is not its own is refused, and nothing whose name
    does not start with C(mlflow_) is touched.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_schema_migration
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.aws
attributes:
  check_mode:
    support: full
    details: Works before there is a database, when neither O(login_host) nor O(cluster_arn) is known.
  diff_mode:
    support: full
    details: Shows versions of secrets, never what they hold.
options:
  projects:
    description: The projects.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The project's name.
        type: str
        required: true
      state:
        description:
          - V(present) makes schema and users.
          - V(absent) drops the users and keeps the schema with its data.
        type: str
        choices: [present, absent]
        default: present
      schema:
        description: Name of the schema. Without it C(mlflow_) and the project's name with underscores for dashes.
        type: str
      force_drop:
        description:
          - Deletes the schema and its data too, where O(projects[].state=absent).
          - Must be the schema's name; any other text is refused.
        type: str
        default: ""
      runtime:
        description: The user of the project's servers.
        type: dict
        default: {}
        suboptions:
          user:
            description: Name of the user. Without it made from the project's name, at most 32 characters.
            type: str
          secret:
            description:
              - ARN or name of the secret that holds the password, as JSON with the key C(password).
              - A key C(project) in it must be the project's name.
            type: str
            default: ""
      migrator:
        description: The user that migrates the schema.
        type: dict
        default: {}
        suboptions:
          user:
            description: Name of the user. Without it made from the project's name, at most 32 characters.
            type: str
          secret:
            description:
              - ARN or name of the secret that holds the password, as JSON with the key C(password).
              - A key C(project) in it must be the project's name.
            type: str
            default: ""
  transport:
    description:
      - V(mysql) connects to O(login_host) and needs PyMySQL and cryptography.
      - V(data_api) goes through the RDS Data API of O(cluster_arn), for which no network path to the database is
        needed.
    type: str
    choices: [mysql, data_api]
    default: mysql
  login_host:
    description: Host of the database.
    type: str
    default: ""
  login_port:
    description: Port of the database.
    type: int
    default: 3306
  login_user:
    description: The administrator. Without it the C(username) in O(login_secret).
    type: str
    default: ""
  login_password:
    description: The administrator's password, for a database without O(login_secret).
    type: str
  login_secret:
    description: ARN or name of the secret that holds the administrator's C(username) and C(password).
    type: str
    default: ""
  login_ca:
    description:
      - The CA that signed the database's certificate, as PEM text or path of a PEM file.
      - Without it those that the machine trusts, which for Aurora does not suffice.
    type: str
    default: ""
  login_tls_name:
    description: The name that the certificate must hold, where O(login_host) is the near end of a tunnel.
    type: str
    default: ""
  cluster_arn:
    description: ARN of the Aurora cluster, for O(transport=data_api).
    type: str
    default: ""
  secret_tag_key:
    description:
      - Key of a tag that projects' secrets bear, so that an account's other secrets need not be listed. Secrets
        without it are looked at one by one.
      - Empty lists all.
    type: str
    default: mlflow-project
  retain_old_password:
    description:
      - Seconds for which a replaced password stays good beside the new one, so that running servers go on until they
        have read their secret again.
      - The first run after that ends it. V(0) ends it at once.
    type: int
    default: 3600
  timeout:
    description: Seconds that the database may take to wake up, and another run to end.
    type: int
    default: 240
requirements:
  - PyMySQL and cryptography, for O(transport=mysql)
"""

EXAMPLES = r"""
- name: Give two projects their schemas, without a network path to the database
  mlops.mlflow_aws.mlflow_project_schema:
    transport: data_api
    cluster_arn: arn:aws:rds:eu-central-1:123456789012:cluster:mlflow
    login_secret: arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!cluster-1a2b3c
    projects:
      - name: demo
        runtime:
          secret: arn:aws:secretsmanager:eu-central-1:123456789012:secret:demo-runtime-AbCdEf
        migrator:
          secret: arn:aws:secretsmanager:eu-central-1:123456789012:secret:demo-migrator-AbCdEf
      - name: churn
        state: absent

- name: Delete a project's data too
  mlops.mlflow_aws.mlflow_project_schema:
    login_host: mlflow.cluster-abc.eu-central-1.rds.amazonaws.com
    login_secret: arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!cluster-1a2b3c
    login_ca: /etc/ssl/rds-global-bundle.pem
    projects:
      - name: churn
        state: absent
        force_drop: mlflow_churn
"""

RETURN = r"""
projects:
  description: One record for each project, in the order given.
  returned: success, or after a failure for what was done before it
  type: list
  elements: dict
  contains:
    name:
      description: The project's name.
      type: str
    schema:
      description: The name of its schema.
      type: str
    state:
      description: What was asked for, V(present) or V(absent).
      type: str
    actions:
      description: What was done, or in check mode would be, one text for each statement.
      type: list
      elements: str
    tables:
      description: Number of tables in the schema.
      type: int
    revision:
      description: Revision of MLflow's schema, empty where none was migrated yet.
      type: str
    obstacles:
      description: Why a migration of the schema would fail, one text for each reason.
      type: list
      elements: str
    users:
      description: Names of the users C(runtime) and C(migrator).
      type: dict
waited:
  description: Seconds that the database was asleep or could not be reached.
  returned: success
  type: int
statements:
  description: Number of SQL statements sent.
  returned: success
  type: int
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import mysql, options


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=options.ARGUMENTS, supports_check_mode=True)
    if not _aws.HAS_BOTO3:
        module.fail_json(msg=missing_required_lib("boto3"), exception=_aws.BOTO3_ERROR)
    if module.params["transport"] == "mysql" and not mysql.HAS_PYMYSQL:
        module.fail_json(msg=missing_required_lib("PyMySQL"), exception=mysql.PYMYSQL_ERROR)
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Bring the projects to their wanted state, and mask what was read from secrets."""
    passwords: list[str] = []
    try:
        return options.converge_projects(module.params, passwords, check_mode=module.check_mode)
    finally:
        _module.hide(module, passwords)


if __name__ == "__main__":
    main()
