#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_door
short_description: Manage the front door of a host
version_added: 0.5.0
description:
  - Runs one program on a host that gives all of its projects one address, such as C(https://mlflow.example.com/churn/),
    with TLS, sign-in, and a role for each member of a project. A request passes only with a token or a session of a
    member whose role in that project allows it.
  - The program is Caddy, and beside it a small process that Caddy asks about each request.
  - Other settings are loaded without dropping a request. If Caddy refuses them, the former ones stay in use, and the
    module fails with its reason.
  - Tokens, passwords, certificates and the audit log stay on the host when the door is removed.
author:
  - The mlops.mlflow_aws contributors (@mlops-collections)
requirements:
  - Python 3.11 or newer on the host, with C(venv) and C(ensurepip)
seealso:
  - module: mlops.mlflow_aws.mlflow_token
  - module: mlops.mlflow_aws.mlflow_member
  - module: mlops.mlflow_aws.mlflow_server
extends_documentation_fragment:
  - mlops.mlflow_aws.attributes
  - mlops.mlflow_aws.state_dir
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows neither the secret that servers know the door by, nor the client secret.
options:
  state:
    description: State of the door.
    type: str
    choices: [present, absent]
    default: present
  host:
    description: Host name under which clients reach the door. Required for O(state=present).
    type: str
    default: ""
  listen:
    description: Addresses to listen on, each as C(:PORT) or C(ADDRESS:PORT).
    type: list
    elements: str
    default: [":443"]
  redirect:
    description: Addresses on which HTTP is redirected to HTTPS, in the same form.
    type: list
    elements: str
    default: [":80"]
  port:
    description: Port of the URLs that clients use.
    type: int
    default: 443
  tls:
    description: Where the certificate comes from.
    type: dict
    default: {}
    suboptions:
      kind:
        description:
          - V(internal) is a CA of the door's own, whose certificate clients have to trust.
          - V(files) is a certificate of the team's own.
          - V(acme) is Let's Encrypt, or another CA that speaks ACME and reaches the door.
        type: str
        choices: [internal, files, acme]
        default: internal
      certificate:
        description: Path on the host to the certificate with its chain, in PEM format, for O(tls.kind=files).
        type: path
      key:
        description: Path on the host to the certificate's private key, in PEM format, for O(tls.kind=files).
        type: path
      email:
        description: Email address that an ACME CA may write to.
        type: str
        default: ""
      directory:
        description: URL of another ACME CA's directory.
        type: str
        default: ""
  oidc:
    description: Issuer at which people sign in by OpenID Connect. The redirect URI to register there is
      C(https://HOST/-/callback).
    type: dict
    suboptions:
      issuer:
        description: URL of the issuer.
        type: str
        required: true
      client_id:
        description: ID of the client that was registered for the door.
        type: str
        required: true
      client_secret:
        description: Secret of that client.
        type: str
        default: ""
      name:
        description: Name of the issuer on the page to sign in.
        type: str
        default: single sign-on
  projects:
    description: Projects behind the door.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the project, which is the first part of its path.
        type: str
        required: true
      upstream:
        description: Address of its server, as C(HOST:PORT).
        type: str
        required: true
      owner:
        description: Owner, as the page with the projects shows it.
        type: str
        default: ""
      description:
        description: Description, as the page with the projects shows it.
        type: str
        default: ""
      members:
        description: V(read), V(edit) or V(manage) for each member's name, or for V(*), which is every member.
        type: dict
        default: {}
  members:
    description: Members, who can sign in or have tokens.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the member.
        type: str
        required: true
      kind:
        description: Whether it is a person, who can sign in, or a service, which has tokens alone.
        type: str
        choices: [person, service]
        default: person
      email:
        description: Email address by which the issuer of O(oidc) knows the person.
        type: str
        default: ""
  session:
    description: Seconds after which people have to sign in again.
    type: int
    default: 43200
  hold:
    description: Seconds for which a request waits for a server that is being restarted.
    type: int
    default: 60
  requirements:
    description: Content of the locked requirements file.
    type: str
    default: ""
  programs:
    description: Contents of the door's program by their file names.
    type: dict
    default: {}
  python:
    description: Path to or name of the Python that creates the virtual environment. If empty, the first usable one on
      the host.
    type: str
    default: ""
  start_at_boot:
    description: Whether to start the door at boot, through a line in the connecting user's crontab.
    type: bool
    default: false
  install_timeout:
    description: Timeout in seconds for each step of installing the door.
    type: int
    default: 900
  timeout:
    description: Timeout in seconds for the door to use its settings.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Run the front door
  mlops.mlflow_aws.mlflow_door:
    host: mlflow.example.com
    tls:
      kind: acme
    members:
      - name: research
        email: research@example.com
      - name: ci
        kind: service
    projects:
      - name: churn
        upstream: 127.0.0.1:5001
        members:
          research: manage
          ci: edit
          "*": read
    requirements: "{{ lookup('ansible.builtin.file', 'requirements.txt') }}"
    programs: "{{ lookup('mlops.mlflow_aws.mlflow_programs', 'programs/door') }}"
"""

RETURN = r"""
door:
  description: The door's record.
  returned: success
  type: dict
  contains:
    state:
      description: V(running), V(stopped) or V(absent).
      type: str
    url:
      description: Address of the page with the projects.
      type: str
    authority:
      description: Path to the certificate of the door's own CA, empty without one.
      type: str
    projects:
      description: Names of the projects behind it.
      type: list
      elements: str
    log_path:
      description: Path to the log.
      type: str
    audit_path:
      description: Path to the log of who did what to which project, one JSON object on each line.
      type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._door import manager, options
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=options.SPEC,
        supports_check_mode=True,
        # The contents are thousands of lines, which would go to the host's system log.
        no_log=True,
    )
    _module.run(module, _work)


def _work(module: AnsibleModule) -> dict[str, Any]:
    """Converge the door, or in check mode say what that would do."""
    state = files.state_folder(module.params["state_dir"])
    done = manager.converge(module.params, state, check_mode=module.check_mode)
    hidden = {"requirements": "...", "programs": "...", "oidc": "..."}
    return {**done._asdict(), "invocation": {"module_args": {**module.params, **hidden}}}


if __name__ == "__main__":
    main()
