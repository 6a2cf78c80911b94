# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: removes images of one repository that no container uses.

An image with a name of another repository is not ours to remove, whatever else it is called.
"""

from __future__ import annotations

import typing as t
import urllib.parse

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.references import reference
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.transport import (
    Transport,
    accepting,
)

_NO_TAG = "<none>"


class Image(t.NamedTuple):
    """An image of the engine: its id, all its names, time of creation, and size in bytes."""

    id: str
    names: tuple[str, ...]
    created: int
    size: int


def superseded(
    images: t.Iterable[Image], current: str, used: t.Container[str], repository: str, keep: int
) -> list[Image]:
    """Return the images of a repository that may go, oldest first.

    current: id of the image that servers run; used: ids of images that containers have, stopped
    ones too; keep: how many more to keep, the newest of the others.
    """
    ours = [image for image in images if image.names and _all_of(image, repository)]
    others = sorted(
        (image for image in ours if image.id != current),
        key=lambda image: (image.created, image.id),
    )
    return [image for image in others[: max(len(others) - keep, 0)] if image.id not in used]


def list_images(engine: Transport) -> list[Image]:
    """Return all images, with all their names: the engine's own filter hides those it does not match."""
    found = engine.read("list images", "GET", "/images/json")
    return [
        Image(entry["Id"], _names(entry), int(entry["Created"]), int(entry["Size"]))
        for entry in found
    ]


def used_images(engine: Transport) -> set[str]:
    """Return the ids of the images of all containers, stopped ones too."""
    found = engine.read("list containers", "GET", "/containers/json", {"all": "1"})
    return {str(entry["ImageID"]) for entry in found}


def remove_image(engine: Transport, image: Image) -> None:
    """Remove an image by each of its names; one that is gone, or used by now, is no error."""
    for name in image.names:
        path = urllib.parse.quote(name, safe="/:@")
        # Never by force: the engine itself refuses what a container uses.
        with accepting(404, 409):
            engine.call(f"remove image {name}", "DELETE", f"/images/{path}")


def _names(entry: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    """Return an image's references by tag, then those by digest."""
    names = [*(entry.get("RepoTags") or []), *(entry.get("RepoDigests") or [])]
    return tuple(name for name in names if _NO_TAG not in name)


def _all_of(image: Image, repository: str) -> bool:
    """Return whether an image has no name but those of the repository."""
    return all(reference(name).name == repository for name in image.names)
