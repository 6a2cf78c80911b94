# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that combines project records and a backend record into servers."""

from __future__ import annotations

import difflib
import typing as t
from pathlib import Path

from ansible.errors import AnsibleFilterError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._backend import local
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._projects.records import server_state
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import addresses

# A project that is to go needs no place for data.
_NOWHERE = {"backend_store_uri": "", "artifacts_destination": ""}


def mlflow_server_options(
    records: t.Sequence[t.Mapping[str, t.Any]],
    backend: t.Mapping[str, t.Any],
    host: str = "127.0.0.1",
    aws_profile: str = "",
    projects: t.Sequence[str] | None = None,
) -> list[dict[str, t.Any]]:
    """Return the servers of these projects on this backend, as mlflow_server takes them.

    With `projects` only of those named; raises AnsibleFilterError where one is not in the list.
    """
    names = [record["name"] for record in records]
    places = backend["projects"] if "projects" in backend else _local_places(names)
    served = names if projects is None else projects
    if isinstance(served, str):
        raise AnsibleFilterError(
            f"mlflow_server_projects is the string {served!r}; write a list of projects' names."
        )
    for name in served:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else "list it there too, or remove it here."
            raise AnsibleFilterError(
                f"mlflow_server_projects names '{name}', which is not in mlflow_projects; {hint}"
            )
    try:
        host = addresses.listen_address(host)
    except MlflowError as error:
        raise AnsibleFilterError(str(error)) from None
    return [
        {
            "name": record["name"],
            "state": server_state(record["state"]),
            "host": host,
            "port": record["port"],
            **_place(places.get(record["name"], _NOWHERE), aws_profile),
            **record["server"],
        }
        for record in records
        if record["name"] in served
    ]


def _local_places(names: t.Sequence[str]) -> dict[str, dict[str, str]]:
    """Return where the local backend keeps projects, which the host alone can name in full."""
    places: dict[str, dict[str, str]] = local.record(Path(files.STATE_DIR), names)["projects"]
    return places


def _place(place: t.Mapping[str, t.Any], aws_profile: str) -> dict[str, t.Any]:
    """Return a project's place; the profile belongs to the host, so no backend knows it."""
    if "aws" not in place:
        return dict(place)
    return {**place, "aws": {**place["aws"], "profile": aws_profile}}


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_server_options": mlflow_server_options}
