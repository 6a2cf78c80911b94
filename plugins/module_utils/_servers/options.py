# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the options that mlflow_server and mlflow_server_check share.

Their documentation is plugins/doc_fragments/servers.py.
"""

from __future__ import annotations

import typing as t

Spec = dict[str, t.Any]

_TEXT: Spec = {"type": "str", "default": ""}
_STATES = ["present", "stopped", "absent"]
_STATE: Spec = {"type": "str", "choices": _STATES, "default": "present"}

_DATABASE: Spec = {
    # An ARN or a name, empty for a login with IAM.
    "secret": {"type": "str", "required": True, "no_log": False},
    "user": {"type": "str", "required": True},
    "ca": _TEXT,
    "tunnel": {"type": "str"},
    "login": {"type": "str", "choices": ["password", "iam"]},
}
_AWS: Spec = {
    "region": {"type": "str", "required": True},
    "endpoint_url": _TEXT,
    "role_arn": _TEXT,
    "profile": _TEXT,
    # The parameter's name.
    "key_parameter": {"type": "str", "no_log": False},
}
_TRACE_ARCHIVAL: Spec = {
    "retention": {"type": "str", "required": True},
    "interval_seconds": {"type": "int"},
    # For sanity tests "pass" is part of a password.
    "max_traces_per_pass": {"type": "int", "no_log": False},
    "long_retention_allowlist": {"type": "list", "elements": "str"},
}
_SERVER: Spec = {
    "name": {"type": "str", "required": True},
    "state": _STATE,
    "host": {"type": "str", "default": "127.0.0.1"},
    "port": {"type": "int", "required": True},
    "workers": {"type": "int", "default": 1},
    "backend_store_uri": {"type": "str", "required": True},
    "artifacts_destination": {"type": "str", "required": True},
    "allowed_hosts": {"type": "list", "elements": "str", "default": []},
    "environment": {"type": "dict", "default": {}},
    "metrics": {"type": "bool", "default": False},
    "jobs": {"type": "bool", "default": False},
    "assistant": {"type": "bool", "default": False},
    "trace_archival": {"type": "dict", "options": _TRACE_ARCHIVAL},
    "max_upload_size": _TEXT,
    "presigned_only": {"type": "bool", "default": False},
    "database": {"type": "dict", "options": _DATABASE},
    "aws": {"type": "dict", "options": _AWS},
    "key_file": {"type": "str", "default": "", "no_log": False},
}
_PROJECT: Spec = {
    "name": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "port_fixed": {"type": "bool", "required": True},
    "state": {"type": "str", "choices": _STATES, "required": True},
}
_INVENTORY: Spec = {
    "backend": {"type": "str", "choices": ["local", "aws"], "default": "local"},
    "projects": {"type": "list", "elements": "dict", "required": True, "options": _PROJECT},
}
_DOOR: Spec = {
    "url": {"type": "str", "required": True},
    "internal_ca": {"type": "bool", "default": False},
}
# What mlflow_server_info takes too.
RUNTIME: Spec = {
    "state_dir": {"type": "path"},
    "runtime": {"type": "str", "choices": ["docker", "process"], "default": "process"},
    "docker_host": _TEXT,
    "docker_instance": {"type": "str", "default": "mlflow"},
}
SERVERS: Spec = {
    **RUNTIME,
    "servers": {"type": "list", "elements": "dict", "required": True, "options": _SERVER},
    "state": _STATE,
    "stop_unlisted": {"type": "bool", "default": False},
    "inventory": {"type": "dict", "options": _INVENTORY},
    "image": {"type": "str"},
    "docker_network": {"type": "str", "default": "bridge"},
    "aws_config_dir": {"type": "path"},
    "memory": _TEXT,
    "container_user": _TEXT,
    "start_at_boot": {"type": "bool", "default": False},
    "broker": {"type": "str", "choices": ["none", "docker", "process"], "default": "none"},
    "door": {"type": "dict", "options": _DOOR},
}


def secrets(params: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    """Return the values of environment variables, which no result, log or diff may show."""
    for server in params["servers"]:
        yield from map(str, server["environment"].values())
