# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that estimates what a verification of an account costs."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account_check import estimate


def mlflow_check_estimate(minutes: float, hosts: int) -> dict[str, t.Any]:
    """Return the estimate; its form is described in _account_check/estimate.py."""
    return estimate.estimate(float(minutes), int(hosts))


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_check_estimate": mlflow_check_estimate}
