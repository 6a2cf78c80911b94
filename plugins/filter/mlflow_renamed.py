# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that accepts a variable under its old name."""

from __future__ import annotations

import typing as t

from ansible.utils.display import Display


def mlflow_renamed(value: t.Any, old: str, new: str) -> t.Any:
    """Return the value of a variable's old name, and warn that the name is deprecated if it is set."""
    # Ansible shows the same warning once in a run.
    if value not in (None, ""):
        Display().deprecated(
            f"The variable {old} was renamed; set {new} instead.",
            version="1.0.0",
            collection_name="mlops.mlflow_aws",
        )
    return value


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_renamed": mlflow_renamed}
