# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that builds the backend record from the outputs of the stacks."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._backend import aws
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError


def mlflow_aws_backend(
    records: t.Sequence[t.Mapping[str, t.Any]],
    outputs: t.Mapping[str, str],
    projects: t.Mapping[str, str],
    region: str = "",
    endpoint_url: str = "",
    ca: str = "",
    tunnel: str = "",
) -> dict[str, t.Any]:
    """Return the backend record of these projects; its form is described in _backend/aws.py."""
    try:
        return aws.record(
            records, outputs, projects, aws.Connection(region, endpoint_url, ca, tunnel)
        )
    except MlflowError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_aws_backend": mlflow_aws_backend}
