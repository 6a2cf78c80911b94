# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: projects of a backend record, for the modules that work on their data."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

_TAKEN = ("backend_store_uri", "artifacts_destination")


def of(backend: t.Mapping[str, t.Any], names: t.Iterable[str]) -> list[dict[str, t.Any]]:
    """Return projects by name, as the modules take them; raises MlflowError for one that is not there."""
    migrators = {schema["name"]: schema.get("database") for schema in backend["schemas"]}
    found = []
    for name in names:
        if name not in backend["projects"]:
            known = ", ".join(backend["projects"]) or "none"
            raise MlflowError(
                f"There is no project '{name}' in mlflow_projects, or its state is absent; there are {known}. "
                "Correct the name, or add the project."
            )
        record = backend["projects"][name]
        project = {"name": name, **{key: record[key] for key in _TAKEN}}
        if record.get("key_file"):
            project["key_file"] = record["key_file"]
        if migrators.get(name):
            project["database"] = migrators[name]
        found.append(project)
    return found
