# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that reads the list of projects."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
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
        return project_records(projects, base_port)
    except MlflowError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_project_records": mlflow_project_records}
