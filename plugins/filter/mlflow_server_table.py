# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that lays servers out as a table."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.table import server_table


def mlflow_server_table(
    servers: t.Iterable[t.Mapping[str, t.Any]], runs: t.Iterable[t.Mapping[str, t.Any]] = ()
) -> list[str]:
    """Return the lines of a table of servers, each with its last proof run."""
    return server_table(servers, runs)


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_server_table": mlflow_server_table}
