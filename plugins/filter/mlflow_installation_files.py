# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that identifies the files of an installation by a few characters."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import venv


def mlflow_installation_files(requirements: t.Sequence[str], programs: t.Mapping[str, str]) -> str:
    """Return the digest of the files that mlflow_installation would install."""
    return venv.files_digest(requirements, programs)


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_installation_files": mlflow_installation_files}
