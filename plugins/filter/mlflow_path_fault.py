# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that validates paths on a host."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.paths import require_host_paths


def mlflow_path_fault(variables: t.Mapping[str, t.Any]) -> str:
    """Return one sentence about the first variable whose path is refused, empty for none."""
    try:
        require_host_paths(variables)
    except MlflowError as error:
        return str(error)
    return ""


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_path_fault": mlflow_path_fault}
