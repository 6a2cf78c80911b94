#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_database_tunnel
short_description: Keep a tunnel open from a host to the database
version_added: 0.2.0
description:
  - Keeps a tunnel open from a port on the host's loopback to a MySQL database that the host cannot reach by itself.
  - A program of its own runs it under Supervisor, in a folder of its own, and opens it again whenever it drops.
    Both are installed there from locked, hashed requirements.
  - The module returns when MySQL has answered through the tunnel, which resumes a paused database. Afterwards
    only servers send data through it.
  - Servers verify the database's certificate for the database's own name, so the tunnel need not be trusted.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
requirements:
  - Python 3.11 or newer on the host, with C(venv) and C(ensurepip)
  - For O(kind=ssh), the OpenSSH client on the host
  - For O(kind=ssm), AWS's C(session-manager-plugin) 1.2.497.0 or newer on the host
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.state_dir
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  state:
    description: State of the tunnel. V(absent) needs no other option.
    type: str
    choices: [present, absent]
    default: present
  kind:
    description: Type of the tunnel. V(ssh) goes through a bastion, V(ssm) through the stack's relay.
    type: str
    choices: [ssh, ssm]
  port:
    description: Port on the host's loopback for the near end of the tunnel.
    type: int
    default: 13306
  database_host:
    description: Host name of the database, as the far end of the tunnel resolves it.
    type: str
  database_port:
    description: Port of the database.
    type: int
    default: 3306
  ssh:
    description: Options for O(kind=ssh). The ssh configuration of the connecting user applies.
    type: dict
    suboptions:
      bastion:
        description: Destination as C(ssh) accepts it, C(USER@HOST), C(ssh://USER@HOST:PORT), or a host of the user's
          configuration.
        type: str
        required: true
      options:
        description: Extra arguments of C(ssh).
        type: list
        elements: str
        default: []
  ssm:
    description: Options for O(kind=ssm).
    type: dict
    suboptions:
      group:
        description: Name of the relay's Auto Scaling group. One instance is started if it has none.
        type: str
        required: true
      document:
        description: Name of the session document, which allows this database only.
        type: str
        required: true
      region:
        description: AWS region of the relay.
        type: str
        required: true
      profile:
        description: Profile of the host's AWS configuration. If empty, the default one.
        type: str
        default: ""
      endpoint_url:
        description: URL to use instead of AWS's endpoints.
        type: str
        default: ""
  requirements:
    description: Content of the locked requirements file of the role P(mlops.mlflow_aws.mlflow_database_tunnel#role).
    type: str
  program:
    description: Content of that role's C(mlflow_tunnel.py).
    type: str
  python:
    description: Path to or name of the Python that creates the virtual environment. If unset, the first usable one on
      the host.
    type: str
  start_at_boot:
    description:
      - Whether to open the tunnel at boot, through a line in the connecting user's crontab.
      - Needs C(crontab) and a cron daemon on the host.
    type: bool
    default: false
  timeout:
    description: Timeout in seconds for the tunnel, including the start of the relay and of a paused database.
    type: int
    default: 420
"""

EXAMPLES = r"""
- name: Open a tunnel through the bastion
  mlops.mlflow_aws.mlflow_database_tunnel:
    kind: ssh
    database_host: mlflow.cluster-abc.eu-central-1.rds.amazonaws.com
    ssh:
      bastion: ada@bastion.example.com
    requirements: "{{ lookup('ansible.builtin.file', 'requirements.txt') }}"
    program: "{{ lookup('ansible.builtin.file', 'mlflow_tunnel.py') }}"

- name: Close the tunnel
  mlops.mlflow_aws.mlflow_database_tunnel:
    state: absent
"""

RETURN = r"""
tunnel:
  description: The tunnel's record.
  returned: success
  type: dict
  contains:
    state:
      description: V(running), V(stopped) or V(absent).
      type: str
    kind:
      description: V(ssh), V(ssm), or V(none) for an absent tunnel.
      type: str
    address:
      description: Address of the near end of the tunnel on the host, as C(HOST:PORT).
      type: str
    pid:
      description: Process ID of the tunnel's program.
      type: int
    log_path:
      description: Path to the tunnel's log.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module, _tunnel
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files


def main() -> None:
    """Run the module."""
    text = {"type": "str", "default": ""}
    ssh = {
        "bastion": {"type": "str", "required": True},
        "options": {"type": "list", "elements": "str", "default": []},
    }
    ssm = {
        "group": {"type": "str", "required": True},
        "document": {"type": "str", "required": True},
        "region": {"type": "str", "required": True},
        "profile": text,
        "endpoint_url": text,
    }
    module = AnsibleModule(
        argument_spec={
            "state_dir": {"type": "path"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "kind": {"type": "str", "choices": ["ssh", "ssm"]},
            "port": {"type": "int", "default": 13306},
            "database_host": {"type": "str"},
            "database_port": {"type": "int", "default": 3306},
            "ssh": {"type": "dict", "options": ssh},
            "ssm": {"type": "dict", "options": ssm},
            "requirements": {"type": "str"},
            "program": {"type": "str"},
            "python": {"type": "str"},
            "start_at_boot": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 420},
        },
        required_if=[
            ("state", "present", ("kind", "database_host", "requirements", "program")),
            ("kind", "ssh", ("ssh",)),
            ("kind", "ssm", ("ssm",)),
        ],
        supports_check_mode=True,
    )
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, object]:
    """Open or close the tunnel."""
    params = module.params
    folder = files.tunnel_folder(files.state_folder(params["state_dir"]))
    tunnel = _tunnel.Tunnel(
        folder,
        params["requirements"] or "",
        params["program"] or "",
        params["python"],
        start_at_boot=params["start_at_boot"],
    )
    if params["state"] == "present":
        outcome = tunnel.open(params, params["timeout"], check_mode=module.check_mode)
    else:
        outcome = tunnel.close(params["timeout"], check_mode=module.check_mode)
    return {
        "changed": outcome.changed,
        "tunnel": outcome.record,
        "diff": outcome.diff,
        # The contents are thousands of lines.
        "invocation": {"module_args": {**params, "requirements": "...", "program": "..."}},
    }


if __name__ == "__main__":
    main()
