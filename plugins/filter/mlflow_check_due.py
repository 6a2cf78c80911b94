# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that says whether a step of a verification is due."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account_check import results


def mlflow_check_due(
    before: t.Sequence[dict[str, t.Any]],
    name: str,
    skip: t.Sequence[str],
    now: float,
    deadline: float,
) -> bool:
    """Return whether what the check needs has passed, and there is time for it."""
    return not results.reason_against(name, before, skip, now, deadline)[0]


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_check_due": mlflow_check_due}
