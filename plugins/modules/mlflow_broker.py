#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_broker
short_description: Manage the credential broker of a host
version_added: 0.3.0
description:
  - Runs one program on a host that alone acts with the host's own AWS identity. It assumes the role of each project,
    and gives the role's credentials to the project's server on a Unix socket of its own, and nothing else. So a server
    holds the credentials of one project only.
  - The broker renews credentials when half of their time is over. If it cannot, servers continue with those that they
    have until these expire. It notices by itself when somebody has logged in again.
  - The module returns when AWS has answered for each project, and fails with one sentence if the host's identity does
    not work, as when its login has ended. The broker then runs, and needs no other run after the login.
  - Changing the projects starts the broker again. Servers wait for it.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
requirements:
  - For O(runtime=process), Python 3.11 or newer on the host, with C(venv) and C(ensurepip)
seealso:
  - module: mlops.mlflow_aws.mlflow_server
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.state_dir
  - mlops.mlflow_aws.docker
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows the names of environment variables, never their values.
options:
  state:
    description: State of the broker. Without O(projects) it is absent too.
    type: str
    choices: [present, absent]
    default: present
  runtime:
    description:
      - How the broker runs. V(docker) is a container of O(image) in the host's network, V(process) a process of the
        connecting user under Supervisor, with an environment of its own in O(state_dir).
      - A C(credential_process), and a profile of C(aws login), need V(process).
    type: str
    choices: [docker, process]
    default: docker
  server_runtime:
    description: How the servers run. With V(process) the broker must be a process too.
    type: str
    choices: [docker, process]
    default: docker
  projects:
    description: ARN of the role of each project, by the name of the project.
    type: dict
    default: {}
  region:
    description: AWS region in which roles are assumed. Required for O(state=present).
    type: str
    default: ""
  endpoint_url:
    description: URL to use instead of AWS's endpoints.
    type: str
    default: ""
  profile:
    description: Profile of the host's AWS configuration. If empty, AWS's default credential chain applies.
    type: str
    default: ""
  environment:
    description: Environment variables for the broker, such as C(HTTPS_PROXY) or those of a web identity.
    type: dict
    default: {}
  aws_config_dir:
    description:
      - Path to the host's AWS config directory, absolute or C(~/.aws). A container has it mounted writable, since a
        login that is renewed is stored there, and does not use the EC2 metadata service then.
      - If unset, a container has the identity of the EC2 instance, and a process that of the connecting user.
    type: path
  image:
    description: Image reference for O(runtime=docker). The image must be on the host, except in check mode.
    type: str
    default: ""
  docker_instance:
    description: Name prefix that separates the containers of several inventories on one engine, as for
      M(mlops.mlflow_aws.mlflow_server).
    type: str
    default: mlflow
  container_user:
    description: User that containers run as, as for M(mlops.mlflow_aws.mlflow_server).
    type: str
    default: ""
  requirements:
    description: Content of the locked requirements file, for O(runtime=process).
    type: str
    default: ""
  programs:
    description: Contents of the broker's program by their file names, for O(runtime=process).
    type: dict
    default: {}
  python:
    description: Path to or name of the Python that creates the virtual environment. If empty, the first usable one on
      the host.
    type: str
    default: ""
  start_at_boot:
    description: Whether to start a broker that is a process at boot, through a line in the connecting user's crontab.
    type: bool
    default: false
  install_timeout:
    description: Timeout in seconds for each step of installing a broker that is a process.
    type: int
    default: 900
  timeout:
    description: Timeout in seconds for the broker to start, and to get an answer from AWS for each project.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Run the credential broker
  mlops.mlflow_aws.mlflow_broker:
    projects:
      demo: arn:aws:iam::123456789012:role/mlflow/mlflow/demo
    region: eu-central-1
    aws_config_dir: ~/.aws
    image: "{{ image }}"
  vars:
    image: registry.example.com/mlflow@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef

- name: Remove the credential broker
  mlops.mlflow_aws.mlflow_broker:
    state: absent
"""

RETURN = r"""
broker:
  description: The broker's record.
  returned: success
  type: dict
  contains:
    state:
      description: V(running), V(stopped) or V(absent).
      type: str
    projects:
      description: Names of the projects that it gives credentials to.
      type: list
      elements: str
    log_path:
      description: Path to the log, or the command that shows it if the broker is a container.
      type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._broker import manager, options
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=options.SPEC,
        supports_check_mode=True,
        # The invocation would go to the host's system log, environment values included.
        no_log=True,
    )
    _module.hide(module, options.secrets(module.params))
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, Any]:
    """Converge the broker, or in check mode say what that would do."""
    params = module.params
    state = files.state_folder(params["state_dir"])
    done = manager.converge(params, state, check_mode=module.check_mode)
    # The contents are thousands of lines.
    shown = {**params, "requirements": "...", "programs": "..."}
    return {**done._asdict(), "invocation": {"module_args": shown}}


if __name__ == "__main__":
    main()
