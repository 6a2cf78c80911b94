# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the local backend, a folder with an SQLite file for each project."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files

_DATABASE = "mlflow.db"
_ARTIFACTS = "artifacts"
# Created by the first start of its server; what it decrypts lies in the database beside it.
_KEY = "key"
# Holds the ID of the last backup of an archived project.
_ARCHIVED = ".archived"


def record(state: Path, projects: t.Iterable[str]) -> dict[str, t.Any]:
    """Return the backend record; its form is the module's documentation."""
    folder = files.projects_folder(state)
    places = {
        name: {
            "backend_store_uri": f"sqlite:///{folder / name / _DATABASE}",
            "artifacts_destination": str(folder / name / _ARTIFACTS),
            "key_file": str(folder / name / _KEY),
        }
        for name in projects
    }
    schemas = [{"name": name, "uri": place["backend_store_uri"]} for name, place in places.items()]
    return {"kind": "local", "state_dir": str(state), "projects": places, "schemas": schemas}


def archive_mark(project: t.Mapping[str, t.Any]) -> Path:
    """Return the file that says that a last backup of a project was made; it goes when the project is used again."""
    return Path(project["artifacts_destination"]).parent / _ARCHIVED


def database_file(project: t.Mapping[str, t.Any]) -> Path:
    """Return a project's SQLite file."""
    return Path(str(project["backend_store_uri"]).partition("sqlite:///")[2])


def missing_folders(backend: t.Mapping[str, t.Any]) -> list[Path]:
    """Return the folders that do not exist yet; the deepest ones, which imply the others."""
    folders = [Path(project["artifacts_destination"]) for project in backend["projects"].values()]
    return [folder for folder in folders if not folder.is_dir()]


def not_deployed(missing: t.Sequence[Path]) -> MlflowError:
    """Return the error of a play that reads folders which do not exist yet."""
    projects = ", ".join(sorted(folder.parent.name for folder in missing))
    return MlflowError(
        f"The local backend in {missing[0].parent.parent} has no folder for {projects}; run the deploy "
        "playbook first."
    )


def kept(state: Path, listed: t.Container[str]) -> list[dict[str, str]]:
    """Return name and place of each project that has data here and is not listed."""
    folders = sorted(files.projects_folder(state).glob("*/"))
    return [
        {"name": folder.name, "place": str(folder)}
        for folder in folders
        if folder.is_dir() and folder.name not in listed
    ]
