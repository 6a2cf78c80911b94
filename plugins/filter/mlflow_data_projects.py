# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that gives projects to the modules that work on their data."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._data.projects import of


def mlflow_data_projects(
    backend: t.Mapping[str, t.Any], names: t.Iterable[str]
) -> list[dict[str, t.Any]]:
    """Return projects of a backend record as the modules about data take them; see of()."""
    return of(backend, names)


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_data_projects": mlflow_data_projects}
