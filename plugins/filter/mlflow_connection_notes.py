# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that compares the connections that servers may need with what the database allows."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._backend import connections

Variables = t.Mapping[str, t.Any]


def mlflow_connection_notes(
    records: t.Sequence[Variables], hosts: t.Iterable[Variables], parameters: Variables
) -> list[str]:
    """Return a sentence if the projects' servers on these hosts may need too many connections."""
    values = {name: parameter["value"] for name, parameter in parameters.items()}
    return connections.notes(records, hosts, values)


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_connection_notes": mlflow_connection_notes}
