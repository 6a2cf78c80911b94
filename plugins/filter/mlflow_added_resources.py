# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that finds out which resources with a quota a run adds."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account import planned

Result = t.Mapping[str, t.Any]


def mlflow_added_resources(backend: Result, projects: Result) -> dict[str, int]:
    """Return how many resources with a quota the planned stacks add, by type."""
    return planned.added(backend, projects)


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_added_resources": mlflow_added_resources}
