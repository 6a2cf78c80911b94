# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that selects the servers through which experiments are created."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import verification_runs


def mlflow_experiment_requests(
    servers: t.Iterable[t.Mapping[str, t.Any]], experiments: t.Mapping[str, t.Any]
) -> list[dict[str, t.Any]]:
    """Return servers that run, or in check mode would, as mlflow_project_experiments takes them."""
    return [
        {"name": request.name, "url": request.url, "experiments": experiments[request.name]}
        for request in verification_runs.requests_of(servers)
        if request.name in experiments
    ]


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_experiment_requests": mlflow_experiment_requests}
