# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that names the schemas that are not at the head revision."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.revisions import (
    CURRENT,
    revisions_of,
    state_of,
)

Record = t.Mapping[str, t.Any]


def mlflow_pending_schemas(
    schemas: t.Iterable[Record], found: t.Iterable[Record], mlflow: Record
) -> list[str]:
    """Return the names of the projects whose schemas are to be looked at by MLflow, or migrated.

    found are the records of mlflow_project_schema, of which schemas may lack some; mlflow is the content
    of docker/mlflow.json. Raises MlflowError if that is incomplete.
    """
    revisions = revisions_of(mlflow)
    current = {
        record["name"]
        for record in found
        if state_of(int(record["tables"]), record["revision"], revisions) == CURRENT
    }
    return [schema["name"] for schema in schemas if schema["name"] not in current]


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_pending_schemas": mlflow_pending_schemas}
