# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that reads the list of projects."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible.utils.display import Display
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._projects.records import (
    DEFAULT_BASE_PORT,
    project_records,
)


def mlflow_project_records(
    projects: t.Any, base_port: t.Any = DEFAULT_BASE_PORT
) -> list[dict[str, t.Any]]:
    """Return the project records of an inventory's list, or fail with one sentence."""
    try:
        records = project_records(projects, base_port)
    except MlflowError as error:
        raise AnsibleFilterError(str(error)) from None
    limited = [record["name"] for record in records if record["artifact_retention_days"]]
    if limited:
        # Ansible shows the same warning once in a run.
        Display().warning(
            "mlflow_projects: artifact_retention_days has no effect yet, as nothing deletes artifacts: those of "
            f"{', '.join(limited)} are kept for ever. Remove the key, or leave it for a later release."
        )
    return records


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_project_records": mlflow_project_records}
