# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what the module mlflow_project_gc asks for, and whether there was anything."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

KINDS = ("runs", "experiments", "logged_models", "traces", "model_versions")


def retention(given: t.Mapping[str, t.Any], names: t.Iterable[str]) -> dict[str, int]:
    """Return the days by project; raises MlflowError for a project without a number of days."""
    found = {}
    for name in names:
        text = str(given.get(name, ""))
        if not text.isdecimal() or int(text) < 1:
            raise MlflowError(
                f"retention_days has {text or 'nothing'!r} for project '{name}'; set a number of days, 1 at least."
            )
        found[name] = int(text)
    return found


def finds(record: t.Mapping[str, t.Any], *, orphans: bool) -> bool:
    """Return whether a record has anything that goes."""
    if any(record.get(kind) for kind in KINDS):
        return True
    lists = ("artifacts", "orphans") if orphans else ("artifacts",)
    return any((record.get(key) or {}).get("objects") for key in lists)
