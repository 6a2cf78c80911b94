# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that makes the report of a verification."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account_check import report, results
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError


def mlflow_check_report(
    found: t.Sequence[dict[str, t.Any]],
    about: t.Mapping[str, t.Any],
    skip: t.Sequence[str],
    now: float,
    deadline: float,
    masked: bool = True,
) -> dict[str, t.Any]:
    """Return the report; its form is described in _account_check/report.py."""
    try:
        results.require_known(skip)
    except MlflowError as error:
        raise AnsibleFilterError(str(error)) from None
    return report.report(results.complete(found, skip, now, deadline), about, masked=masked)


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_check_report": mlflow_check_report}
