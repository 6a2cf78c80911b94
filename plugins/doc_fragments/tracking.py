# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options by which modules connect to an MLflow server."""

from __future__ import annotations


class ModuleDocFragment:
    """Connection to an MLflow server, with the variables of MLflow's clients."""

    DOCUMENTATION = r"""
options:
  tracking_uri:
    description:
      - URL of the MLflow server, as the host that runs the module reaches it.
      - If unset, E(MLFLOW_TRACKING_URI).
    type: str
  username:
    description:
      - User to log in as. Goes before O(token).
      - If unset, E(MLFLOW_TRACKING_USERNAME).
    type: str
  password:
    description:
      - Password of O(username).
      - If unset, E(MLFLOW_TRACKING_PASSWORD).
    type: str
  token:
    description:
      - Bearer token to log in with.
      - If unset, E(MLFLOW_TRACKING_TOKEN).
    type: str
  validate_certs:
    description: Whether to verify the server's TLS certificate.
    type: bool
    default: true
  ca_path:
    description:
      - Path to a file of certificates in PEM format, by which the server's certificate is verified.
      - If unset, E(MLFLOW_TRACKING_SERVER_CERT_PATH), otherwise the certificates that the host trusts.
    type: path
  use_proxy:
    description: Whether to use the proxies of E(http_proxy), E(https_proxy) and E(no_proxy).
    type: bool
    default: true
  timeout:
    description: Timeout in seconds for each request.
    type: int
    default: 60
notes:
  - The environment is that of the module. Set C(environment) of the task, as variables of the control node do not apply
    to other hosts.
  - Requires MLflow 2.22 or newer on the server, and no MLflow on the host that runs the module.
  - A search that a busy server or proxy refused is tried up to three times. Requests that change something are sent
    once. An object that another run has changed meanwhile is read again.
"""
