# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that reads a user's packages."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _requirements
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError


def mlflow_additional_requirements(path: str, locked: t.Sequence[str]) -> str:
    """Return the packages of a file that the locked set lacks, or fail with one sentence."""
    try:
        return _requirements.read(path, locked)
    except MlflowError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_additional_requirements": mlflow_additional_requirements}
