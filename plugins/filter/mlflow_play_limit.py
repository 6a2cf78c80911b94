# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that returns max_fail_percentage of a play whose failures are rescued."""

from __future__ import annotations

import typing as t

_ALL = 100


def mlflow_play_limit(percentage: t.Any) -> int:
    """Return the value for the percentage of a batch that may fail; what is not a number sets no limit."""
    try:
        return 0 if float(percentage) < _ALL else _ALL
    except (TypeError, ValueError):
        return _ALL


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_play_limit": mlflow_play_limit}
