# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of modules that work on projects' data."""

from __future__ import annotations


class ModuleDocFragment:
    """Projects, and the MLflow that works on their data."""

    DOCUMENTATION = r"""
options:
  projects:
    description: List of projects, as the filter P(mlops.mlflow_aws.mlflow_data_projects#filter) returns them.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the project.
        type: str
        required: true
      backend_store_uri:
        description: SQLAlchemy URI of the database, C(sqlite:////PATH) or C(mysql+pymysql://HOST:PORT/SCHEMA).
        type: str
        required: true
      artifacts_destination:
        description: Where its artifacts are, an absolute path or C(s3://BUCKET/PREFIX).
        type: str
        required: true
      key_file:
        description: Path to the file of its root key. Empty on AWS, where the key is a parameter.
        type: str
        default: ""
      database:
        description: Credentials of the migrator, by name, for MySQL.
        type: dict
        suboptions:
          secret:
            description: ARN or name of the Secrets Manager secret whose JSON has the key C(password). If empty, the
              migrator
              logs in with IAM.
            type: str
            required: true
          user:
            description: Name of the database user.
            type: str
            required: true
          ca:
            description: CA certificates as PEM text. If empty, those of Amazon RDS.
            type: str
            default: ""
          tunnel:
            description: Address of a tunnel to the database on the host, as C(HOST:PORT).
            type: str
  timeout:
    description: Timeout in seconds for all projects together.
    type: int
    default: 86400
"""

    DESTINATION = r"""
options:
  destination:
    description:
      - Where backups are, an absolute path on the host or C(s3://BUCKET/PREFIX). Each project has a folder there.
      - With O(runtime=docker) only a bucket is possible.
    type: str
    required: true
  backup_key:
    description:
      - Key that encrypts backups, 32 bytes in base64, as C(openssl rand -base64 32) prints them. If empty, backups are
        not encrypted by this collection; a bucket may do that.
      - Without the key, a backup that was made with it cannot be restored.
    type: str
    default: ""
"""
