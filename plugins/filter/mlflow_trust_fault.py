# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that checks the length of the projects' trust policy."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._region.trust import (
    require_trust_fits,
)


def mlflow_trust_fault(principals: t.Sequence[str], server_role: str, stack: str) -> str:
    """Return one sentence about principals that do not fit into a trust policy, empty for none."""
    try:
        require_trust_fits(principals, server_role, stack)
    except MlflowError as error:
        return str(error)
    return ""


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_trust_fault": mlflow_trust_fault}
