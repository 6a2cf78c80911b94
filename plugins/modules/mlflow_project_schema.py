#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_project_schema
short_description: Manage the MySQL schemas and database users of projects
version_added: 0.2.0
description:
  - Creates for each project a schema of its own in MySQL or Aurora MySQL, and two users. The migrator can define tables
    in that schema, the server user can read and write its rows. Neither can access anything else, and both can log in
    over TLS only.
  - Handles any number of projects in one task. Reads the state once, and changes only what differs.
  - Users log in with IAM, or with a password. Reads passwords from Secrets Manager and sets them when their secret has
    a new version. The database receives a password's hash, never the password.
  - Revokes any other privileges. Refuses a schema or user that has a project's name but is not its own, and never
    touches anything whose name does not start with C(mlflow_).
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
seealso:
  - module: mlops.mlflow_aws.mlflow_mysql_migration
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.aws
attributes:
  check_mode:
    support: full
    details: Works before the database exists, when O(login_host) and O(cluster_arn) are empty.
  diff_mode:
    support: full
    details: Shows versions of secrets, never their values.
options:
  projects:
    description: List of projects.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the project.
        type: str
        required: true
      state:
        description:
          - V(present) creates the schema and the users.
          - V(archived) drops the server user, and keeps the schema and the migrator, which backs it up and restores it.
            Without a schema, none is created.
          - V(absent) drops the users and keeps the schema with its data.
        type: str
        choices: [present, archived, absent]
        default: present
      schema:
        description: Name of the schema. If unset, C(mlflow_) and the project's name with underscores for dashes.
        type: str
      force_drop:
        description:
          - Name of the schema to delete with its data, for O(projects[].state=absent). Those beside it go too,
            C(SCHEMA__next) and C(SCHEMA__prev).
          - Any name but the schema's is refused.
        type: str
        default: ""
      runtime:
        description: The server user, with which the project's servers log in.
        type: dict
        default: {}
        suboptions:
          user:
            description: Name of the user. If unset, derived from the project's name, at most 32 characters.
            type: str
          secret:
            description:
              - ARN or name of the secret whose JSON has the key C(password).
              - If it has a key C(project), that must be the project's name.
            type: str
            default: ""
          login:
            description:
              - How the user logs in. V(password) needs O(projects[].runtime.secret). V(iam) needs a database with IAM
                database authentication; clients sign a token with an AWS identity that may C(rds-db:connect) as the
                user.
            type: str
            choices: [password, iam]
            default: password
      migrator:
        description: The migrator, with which the schema is migrated.
        type: dict
        default: {}
        suboptions:
          user:
            description: Name of the user. If unset, derived from the project's name, at most 32 characters.
            type: str
          secret:
            description:
              - ARN or name of the secret whose JSON has the key C(password).
              - If it has a key C(project), that must be the project's name.
            type: str
            default: ""
          login:
            description: How the user logs in, as O(projects[].runtime.login).
            type: str
            choices: [password, iam]
            default: password
  transport:
    description:
      - V(mysql) connects to O(login_host) and needs PyMySQL and cryptography.
      - V(data_api) uses the RDS Data API of O(cluster_arn) and needs no network path to the database.
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
    description:
      - The CA that signed the database's certificate, as PEM text or path to a PEM file.
      - If empty, the CAs that the machine trusts, which are not enough for Aurora.
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
  secret_tag_key:
    description:
      - Key of a tag of the projects' secrets, so that an account's other secrets need not be listed. Secrets without it
        are read one by one.
      - If empty, all secrets are listed.
    type: str
    default: mlflow-project
  retain_old_password:
    description:
      - Time in seconds that a replaced password stays valid beside the new one, so that running servers keep working
        until they have read their secret again.
      - The first run after that time discards it. V(0) discards it at once.
    type: int
    default: 3600
  timeout:
    description:
      - Timeout in seconds for the database to resume, and for the wait for another run.
      - A database that is waking up or restarting, or that has no connection left, is retried at growing intervals. A
        paused Aurora resumes in 15 seconds, or in 30 seconds and longer after a day.
    type: int
    default: 240
requirements:
  - For O(transport=mysql), PyMySQL and cryptography
"""

EXAMPLES = r"""
- name: Create the schemas of two projects without a network path to the database
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

- name: Delete a project with its data
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
  returned: success, and after a failure for what was done before it
  type: list
  elements: dict
  contains:
    name:
      description: Name of the project.
      type: str
    schema:
      description: Name of the schema.
      type: str
    state:
      description: The requested state, V(present), V(archived) or V(absent).
      type: str
    actions:
      description: What was done, or would be in check mode, one item for each statement.
      type: list
      elements: str
    tables:
      description: Number of tables in the schema.
      type: int
    revision:
      description: Revision of MLflow's schema, empty if it was not migrated yet.
      type: str
    obstacles:
      description: Reasons why a migration of the schema would fail.
      type: list
      elements: str
    users:
      description: Names of the server user, as C(runtime), and of the C(migrator).
      type: dict
waited:
  description: Time in seconds that the database was paused or not reachable.
  returned: success
  type: int
statements:
  description: Number of SQL statements sent.
  returned: success
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import mysql, options


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=options.ARGUMENTS, supports_check_mode=True)
    _module.require(module, boto3=_aws.BOTO3_ERROR)
    if module.params["transport"] == "mysql":
        _module.require(module, PyMySQL=mysql.PYMYSQL_ERROR)
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
