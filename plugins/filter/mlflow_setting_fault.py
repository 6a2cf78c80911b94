# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that refuses settings of servers that this MLflow or this backend lacks."""

from __future__ import annotations

import typing as t

# MLflow's first release with the engine of jobs that servers use, and with `--artifacts-presigned-only`.
SINCE = {"jobs": (3, 17), "presigned_only": (3, 18)}
# There are no presigned URLs without S3.
_BACKENDS = {"presigned_only": "aws"}


def mlflow_setting_fault(
    records: t.Sequence[t.Mapping[str, t.Any]], version: str, backend: str
) -> str:
    """Return one sentence about the first project with a setting that cannot work, empty for none."""
    release = tuple(int(number) for number in str(version).split(".")[:2])
    wanted = ((record["name"], key) for record in records for key in SINCE if record["server"][key])
    for name, key in wanted:
        where = f"mlflow_projects '{name}': server: key '{key}'"
        if backend != _BACKENDS.get(key, backend):
            return f"{where} needs the backend {_BACKENDS[key]}; remove it."
        if release < SINCE[key]:
            needed = ".".join(map(str, SINCE[key]))
            return f"{where} needs MLflow {needed} or newer, and this one is {version}; remove it."
    return ""


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_setting_fault": mlflow_setting_fault}
