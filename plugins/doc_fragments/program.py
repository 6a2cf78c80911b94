# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of modules that have MLflow's program work as the migrators."""

from __future__ import annotations


class ModuleDocFragment:
    """MLflow's program, on the host or in a container, and its AWS identity."""

    DOCUMENTATION = r"""
options:
  aws:
    description: AWS identity that reads the migrators' secrets or signs their tokens, and reads and writes artifacts
      and backups.
    type: dict
    suboptions:
      region:
        description: The AWS region.
        type: str
        required: true
      endpoint_url:
        description: URL to use instead of AWS's endpoints.
        type: str
        default: ""
      profile:
        description: Profile of the AWS configuration. If empty, the default one.
        type: str
        default: ""
  broker_options:
    description:
      - Options of M(mlops.mlflow_aws.mlflow_broker), of which C(projects) holds the ARN of the migrators' role by the
        name C(migrations). While the program runs, and no longer, a broker with these options gives it the credentials
        of that role, on a socket. It has no others.
      - If empty, it uses the identity of the host that O(aws) names, and a container mounts O(aws_config_dir).
    type: dict
    default: {}
    version_added: 0.3.0
  runtime:
    description: What does the work. V(process) is the MLflow at O(entrypoint), V(docker) the one in O(image).
    type: str
    choices: [docker, process]
    default: process
  python:
    description:
      - Path to the interpreter that has MLflow installed, as returned by M(mlops.mlflow_aws.mlflow_installation).
      - Required for O(runtime=process).
    type: path
  entrypoint:
    description:
      - Path to C(mlflow_entry.py) beside it, as returned by M(mlops.mlflow_aws.mlflow_installation).
      - Required for O(runtime=process).
    type: path
"""
