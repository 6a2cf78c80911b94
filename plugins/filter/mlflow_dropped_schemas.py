# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that names the schemas to drop of projects."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._names import schema_name


def mlflow_dropped_schemas(names: t.Iterable[str]) -> list[dict[str, str]]:
    """Return the option of mlflow_project_schema that removes projects with their data."""
    return [
        {"name": name, "state": "absent", "force_drop": schema_name(name)}
        for name in dict.fromkeys(names)
    ]


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_dropped_schemas": mlflow_dropped_schemas}
