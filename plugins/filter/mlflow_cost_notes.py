# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that computes what planned stacks cost in a month."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account import planned


def mlflow_cost_notes(
    projects: t.Mapping[str, t.Mapping[str, t.Any]],
    parameters: t.Mapping[str, t.Mapping[str, str]],
    login: str | t.Mapping[str, str],
    templates: t.Mapping[str, str],
) -> list[str]:
    """Return the lines of what the planned stacks cost."""
    values = {name: str(parameter["value"]) for name, parameter in parameters.items()}
    # The parser of YAML takes no tagged strings of Ansible.
    texts = {name: str(text) for name, text in templates.items()}
    return planned.cost_notes(projects, values, login, texts)


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_cost_notes": mlflow_cost_notes}
