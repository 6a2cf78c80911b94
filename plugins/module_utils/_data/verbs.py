# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: modules about projects' data: their common options, and how they run a verb.

The work is done by programs/server/mlflow_aws_server/data, in the MLflow that serves the projects and
with the identity that migrates them. A request goes in, one record for each project comes out.
"""

from __future__ import annotations

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _module
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._broker import (
    options as broker_options,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import paths
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.progress import progress_file
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import program

Spec = t.Dict[str, t.Any]
Record = t.Dict[str, t.Any]
_PROJECT: Spec = {
    "name": {"type": "str", "required": True},
    "backend_store_uri": {"type": "str", "required": True},
    "artifacts_destination": {"type": "str", "required": True},
    # Names a file.
    "key_file": {"type": "str", "default": "", "no_log": False},
    "database": {"type": "dict", "options": program.DATABASE},
}
ARGUMENTS: Spec = {
    "projects": {"type": "list", "elements": "dict", "required": True, "options": _PROJECT},
    "timeout": {"type": "int", "default": 86400},
    **program.ARGUMENTS,
}
# Of modules that know where backups are.
DESTINATION: Spec = {
    "destination": {"type": "str", "required": True},
    # A file on the control node is read by the role.
    "backup_key": {"type": "str", "default": "", "no_log": True},
}
# What the program needs around its own time.
_GRACE_SECONDS = 60


def main(options: Spec, work: t.Callable[[AnsibleModule], Record]) -> None:
    """Run a module about projects' data, with options of its own; work returns its result."""
    module = AnsibleModule(
        argument_spec={**options, **ARGUMENTS},
        required_if=program.REQUIRED_IF,
        supports_check_mode=True,
    )
    _module.hide(module, broker_options.secrets(module.params["broker_options"]))
    _module.run(module, work)


def run(
    module: AnsibleModule,
    verb: str,
    request: t.Mapping[str, t.Any],
    folders: t.Sequence[str] = (),
) -> list[Record]:
    """Have the program carry out a verb; returns its record of each project, in the order given.

    folders: what it reads on this host, which a container sees under the same paths.
    """
    params = module.params
    _require_reachable(params, request)
    _require_installed(params)
    projects = [_without_nothing(project) for project in params["projects"]]
    if not projects:
        return []
    timeout = float(params["timeout"])
    with progress_file(params["progress_path"]) as progress, program.lent(
        params, timeout
    ) as access:
        whole = {**request, "projects": projects, "aws": access.of(params["aws"] or {})}
        seen = access._replace(binds={**access.binds, **{path: path for path in folders}})
        told = program.runner(params, seen, progress).run(whole, timeout + _GRACE_SECONDS, verb)
    by_name = {str(record["name"]): record for record in told}
    return [by_name.get(project["name"], _silent(project["name"], verb)) for project in projects]


def result(records: t.Sequence[Record], *, changed: bool) -> Record:
    """Return a module's result; raises it with the errors of projects for which the verb failed."""
    found = {"changed": changed, "projects": list(records)}
    errors = [str(record["error"]) for record in records if record["error"]]
    if errors:
        raise MlflowError(" ".join(errors), found)
    return found


def planned(projects: t.Iterable[t.Mapping[str, t.Any]], **more: t.Any) -> list[Record]:
    """Return records of what is not done in check mode."""
    return [{"name": project["name"], "error": "", **more} for project in projects]


def _require_reachable(params: t.Mapping[str, t.Any], request: t.Mapping[str, t.Any]) -> None:
    """Refuse a folder of the host where the program runs in a container, which does not see it."""
    place = str(request.get("destination") or "")
    if params["runtime"] == "docker" and place and not place.startswith("s3://"):
        raise MlflowError(
            f"mlflow_backup_destination is {place}, a folder of the host, which the container that makes "
            "backups does not see; name a bucket as s3://BUCKET/PREFIX, or set mlflow_server_runtime to process."
        )


def _require_installed(params: t.Mapping[str, t.Any]) -> None:
    """Refuse an installation that is not there, such as one of a release that was not deployed yet."""
    if params["runtime"] != "process":
        return
    python = paths.runtime_paths(params)[0]
    if not os.path.exists(python):
        raise MlflowError(
            f"This release's MLflow is not installed on this host ({python}); run the deploy playbook, which "
            "installs it."
        )


def _without_nothing(project: t.Mapping[str, t.Any]) -> Record:
    """Return a project as the program takes it."""
    return {key: value for key, value in project.items() if value is not None}


def _silent(name: str, verb: str) -> Record:
    """Return the record of a project about which the program said nothing."""
    return {
        "name": name,
        "error": f"Project '{name}': MLflow's {verb} said nothing about it; rerun to see its state.",
    }
