# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: removes what a project leaves once its backup is made.

With the local backend that is its folder, of which the database goes first: as long as that is there, a
removal that was interrupted begins with a backup again. On AWS it is its prefix in the bucket, with all
versions, and its root key if that is asked for; schema, users and role have gone before.
"""

from __future__ import annotations

import typing as t
from pathlib import Path
from urllib.parse import urlsplit

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal.buckets import Bucket
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal.leavings import Leavings
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal.state_files import (
    PROJECT,
    drop,
    size,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._sizes import readable

Found = t.Dict[str, str]
_MANIFEST = "/manifest.json"


class LocalProject:
    """The folder of a project on this host."""

    def __init__(self, state: Path, name: str) -> None:
        """Take the state folder and the project's name."""
        self._folder = files.projects_folder(state) / name

    def found(self) -> list[Found]:
        """Return what there is."""
        if not self._entries():
            return []
        return [{"kind": "folder", "name": str(self._folder), "size": readable(size(self._folder))}]

    def remove(self) -> None:
        """Remove it; what is not a project's own stays, and so does the folder then."""
        for path in self._entries():
            drop(path)
        if self._folder.is_dir():
            left = sorted(path.name for path in self._folder.iterdir())
            if left:
                raise MlflowError(
                    f"The folder {self._folder} also has {', '.join(left)}, which no project has, so it was not "
                    "deleted; move that away, then rerun."
                )
            self._folder.rmdir()

    def _entries(self) -> list[Path]:
        """Return what belongs to the project, in the order in which it goes; the folder itself if it is empty."""
        if not self._folder.is_dir():
            return []
        entries = [path for path in self._folder.iterdir() if PROJECT.fullmatch(path.name)]
        if not entries and not any(self._folder.iterdir()):
            return [self._folder]
        return sorted(entries, key=lambda path: (path.name != "mlflow.db", path.name))


class AwsProject:
    """The prefix of a project in the artifact bucket, and its root key."""

    def __init__(
        self,
        leavings: Leavings,
        name: str,
        place: str,
        parameter: str,
        show: t.Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Take the place of its artifacts, s3://BUCKET/PREFIX, and the name of a key that goes too, or none."""
        self._name = name
        self._place = place
        self._leavings = leavings
        self._parameter = parameter
        self._bucket, self._prefix = _bucket(leavings, place, show)

    def found(self) -> list[Found]:
        """Return what there is."""
        found = []
        number = self._bucket.holds_below(self._prefix)
        if number:
            found.append({"kind": "prefix", "name": self._place, "size": f"{number} versions"})
        if self._has_key():
            found.append({"kind": "parameter", "name": self._parameter, "size": ""})
        return found

    def require_saved(self, destination: str) -> None:
        """Refuse artifacts without a backup, which are there if a schema was not dropped by a removal."""
        if not self._bucket.first_below(self._prefix):
            return
        if destination.startswith("s3://"):
            bucket, prefix = _bucket(self._leavings, f"{destination}/{self._name}/backups")
            if bucket.first_below(prefix, _MANIFEST):
                return
        raise MlflowError(
            f"Project '{self._name}' has no schema and no backup below {destination}, but artifacts in "
            f"{self._place}; copy what you need and delete them, then rerun."
        )

    def remove(self) -> None:
        """Remove it, the key last."""
        self._bucket.empty_below(self._prefix)
        if self._has_key():
            self._leavings.delete_parameter(self._parameter)

    def _has_key(self) -> bool:
        """Return whether the key that is to go is there."""
        path = self._parameter.rpartition("/")[0]
        return bool(path) and self._parameter in self._leavings.parameters(path)


def _bucket(
    leavings: Leavings, place: str, show: t.Callable[[str], None] = lambda _line: None
) -> tuple[Bucket, str]:
    """Return the bucket of a place, and its prefix with a slash at the end."""
    parts = urlsplit(place)
    return leavings.bucket(parts.netloc, show), f"{parts.path.strip('/')}/"
