# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that refuses settings of servers that this MLflow or this backend lacks."""

from __future__ import annotations

import typing as t

# MLflow's first release with `--artifacts-presigned-only`.
_PRESIGNED_ONLY = (3, 18)


def mlflow_setting_fault(
    records: t.Sequence[t.Mapping[str, t.Any]], version: str, backend: str
) -> str:
    """Return one sentence about the first project with a setting that cannot work, empty for none."""
    release = tuple(int(number) for number in str(version).split(".")[:2])
    for record in records:
        if not record["server"]["presigned_only"]:
            continue
        where = f"mlflow_projects '{record['name']}': server: key 'presigned_only'"
        if backend != "aws":
            return f"{where} needs the backend aws, as there are no presigned URLs without S3; remove it."
        if release < _PRESIGNED_ONLY:
            needed = ".".join(map(str, _PRESIGNED_ONLY))
            return f"{where} needs MLflow {needed} or newer, and this one is {version}; remove it."
    return ""


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_setting_fault": mlflow_setting_fault}
