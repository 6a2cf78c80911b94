# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: which archived projects lack their last backup.

With the local backend a file in the project's folder says that it was made. In either case a project
that was served until now lacks it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._backend import local
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files

Project = t.Mapping[str, t.Any]


def due(projects: t.Iterable[Project], served: t.Container[str]) -> list[Project]:
    """Return the projects that lack their last backup; served are those that had a server, or its identity."""
    return [project for project in projects if _is_due(project, project["name"] in served)]


def mark(project: Project, backup: str) -> None:
    """Remember that the last backup was made, where the project is a folder of this host."""
    if _is_local(project):
        files.write_private(local.archive_mark(project), f"{backup}\n")


def _is_due(project: Project, served: bool) -> bool:
    """Return whether a project lacks its last backup."""
    if not _is_local(project):
        return served
    if not local.database_file(project).exists():
        return False
    return served or not local.archive_mark(project).exists()


def _is_local(project: Project) -> bool:
    """Return whether a project is a folder of this host."""
    return str(project["backend_store_uri"]).startswith("sqlite:")
