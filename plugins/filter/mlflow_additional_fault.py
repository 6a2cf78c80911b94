# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that validates a user's packages."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _requirements
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError


def mlflow_additional_fault(path: t.Any, locked: t.Sequence[str]) -> str:
    """Return one sentence about packages that are refused, empty for none."""
    try:
        _requirements.read(path, locked)
    except MlflowError as error:
        return str(error)
    return ""


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_additional_fault": mlflow_additional_fault}
