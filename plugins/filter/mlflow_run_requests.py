# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that selects the servers to verify."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import verification_runs


def mlflow_run_requests(
    servers: t.Iterable[t.Mapping[str, t.Any]], always: bool = False
) -> list[dict[str, str]]:
    """Return servers that run, or in check mode would, as mlflow_run takes them.

    The key is the server's configuration, unless always.
    """
    return [request._asdict() for request in verification_runs.requests_of(servers, always)]


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_run_requests": mlflow_run_requests}
