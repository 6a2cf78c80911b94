# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that finds the one sentence of a failed task's result."""

from __future__ import annotations

import re
import typing as t

# What Ansible puts before the sentence of a template that failed.
_BEFORE = re.compile(r"^(.*The filter plugin '[^']+' failed: |Task failed: )")


def mlflow_failure_reason(result: t.Mapping[str, t.Any]) -> str:
    """Return why a task failed, in its own words and on one line."""
    # Validation of a role's arguments says in its message only that it failed.
    errors = result.get("argument_errors")
    if errors:
        return "; ".join(" ".join(str(error).split()) for error in errors)
    # The first line is the sentence; Ansible puts where a template is after it.
    first = next(iter(str(result.get("msg") or "").strip().splitlines()), "")
    return _BEFORE.sub("", first) or "no reason was given"


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_failure_reason": mlflow_failure_reason}
