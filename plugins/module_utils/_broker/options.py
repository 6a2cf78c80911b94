# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the options of mlflow_broker, which mlflow_server_check takes too."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _options

_TEXT: dict[str, t.Any] = {"type": "str", "default": ""}
_RUNTIMES = ["docker", "process"]
SPEC: dict[str, dict[str, t.Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "state_dir": {"type": "path"},
    "runtime": {"type": "str", "choices": _RUNTIMES, "default": "docker"},
    "server_runtime": {"type": "str", "choices": _RUNTIMES, "default": "docker"},
    "projects": {"type": "dict", "default": {}},
    "region": _TEXT,
    "endpoint_url": _TEXT,
    "profile": _TEXT,
    "environment": {"type": "dict", "default": {}},
    "aws_config_dir": {"type": "path"},
    "image": _TEXT,
    "docker_host": _TEXT,
    "docker_instance": {"type": "str", "default": "mlflow"},
    "container_user": _TEXT,
    "requirements": _TEXT,
    "programs": {"type": "dict", "default": {}},
    "python": _TEXT,
    "start_at_boot": {"type": "bool", "default": False},
    "install_timeout": {"type": "int", "default": 900},
    "timeout": {"type": "int", "default": 120},
}


def validated(given: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return options that came as one dictionary, with defaults; raises MlflowError."""
    return _options.validated(SPEC, given, "broker_options")


def secrets(params: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    """Return the values of environment variables, which no result, log or diff may show."""
    yield from map(str, (params.get("environment") or {}).values())
