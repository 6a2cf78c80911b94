# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the options of modules that have MLflow's program work as the migrators."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import container_spec
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import paths
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import mysql_runners
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.migration_broker import (
    MigrationBroker,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.mysql_runners import Access

Spec = t.Dict[str, t.Any]
_TEXT: Spec = {"type": "str", "default": ""}
_REQUIRED: Spec = {"type": "str", "required": True}
# The identity of a migrator.
DATABASE: Spec = {
    # An ARN or a name.
    "secret": {**_REQUIRED, "no_log": False},
    "user": _REQUIRED,
    "ca": _TEXT,
    "tunnel": {"type": "str"},
}
ARGUMENTS: Spec = {
    "aws": {
        "type": "dict",
        "options": {"region": _REQUIRED, "endpoint_url": _TEXT, "profile": _TEXT},
    },
    "broker_options": {"type": "dict", "default": {}},
    "runtime": {"type": "str", "choices": ["docker", "process"], "default": "process"},
    "python": {"type": "path"},
    "entrypoint": {"type": "path"},
    "image": {"type": "str"},
    "docker_host": _TEXT,
    "docker_network": {"type": "str", "default": "bridge"},
    "aws_config_dir": {"type": "path"},
    "container_user": _TEXT,
    "progress_path": {"type": "path"},
}
REQUIRED_IF = [
    ("runtime", "process", ("python", "entrypoint")),
    ("runtime", "docker", ("image",)),
]


def runner(
    params: t.Mapping[str, t.Any], access: Access, progress: mysql_runners.Progress
) -> mysql_runners.MigrationRunner:
    """Return what runs MLflow's program; progress gets what that tells, if someone follows the file."""
    show = progress if params["progress_path"] else None
    if params["runtime"] == "process":
        return mysql_runners.ProcessRunner(*paths.runtime_paths(params), access, show)
    return mysql_runners.DockerRunner(
        Engine(params["docker_host"]),
        params["image"],
        access,
        network=params["docker_network"],
        aws_config_dir=container_spec.aws_folder(params["aws_config_dir"]),
        user=params["container_user"],
        progress=show,
    )


@contextlib.contextmanager
def lent(params: t.Mapping[str, t.Any], timeout: float) -> t.Iterator[Access]:
    """Yield how the program gets the migrators' AWS role while the block runs."""
    if not params["broker_options"]:
        yield Access()
        return
    with MigrationBroker(params["broker_options"]).running(timeout) as access:
        yield access


def clear(params: t.Mapping[str, t.Any]) -> None:
    """Remove what a killed run left."""
    if params["broker_options"]:
        MigrationBroker(params["broker_options"]).clear()
