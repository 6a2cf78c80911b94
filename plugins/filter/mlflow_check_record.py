# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that adds the result of a step to those of a verification."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account_check import (
    catalog,
    results,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError


def mlflow_check_record(
    before: t.Sequence[dict[str, t.Any]],
    name: str,
    evidence: str,
    now: float,
    began: float,
    outcome: str = catalog.PASSED,
) -> list[dict[str, t.Any]]:
    """Return the results with one more; it took the time since the one before, or since began."""
    try:
        results.require_known([name])
    except MlflowError as error:
        raise AnsibleFilterError(str(error)) from None
    since = before[-1]["ended"] if before else began
    kept = [entry for entry in before if entry["name"] != name]
    return [*kept, results.result(name, outcome, evidence, now - since, now)]


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_check_record": mlflow_check_record}
