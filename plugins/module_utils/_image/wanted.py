# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the image that a folder gives, and whether ECR has it."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from pathlib import Path
from urllib.parse import urlsplit

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _requirements
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import context, ecr, tags

# The locked set, in the folder that an image is built from.
LOCK = "requirements.txt"

# What mlflow_image and mlflow_image_info have in common.
ARGUMENTS: dict[str, t.Any] = {
    "repository": {"type": "str", "required": True},
    "registry": {"type": "str", "default": ""},
    "build_args": {"type": "dict", "default": {}},
    "requirements": {"type": "path"},
    "platforms": {"type": "list", "elements": "str", "default": ["linux/amd64"]},
}


@dataclasses.dataclass(frozen=True)
class Image:
    """An image: what it is built from, its name in the registry, and its digest once it is there.

    uri: of the ECR repository, empty where there is none; registry: where Docker finds it instead.
    """

    description: tags.Description
    files: t.Mapping[str, context.File]
    tag: str
    repository: str
    registry: str
    uri: str = ""
    digest: str = ""

    @property
    def address(self) -> str:
        """Return where Docker finds the repository, the bare name where there is none yet."""
        found = ecr.repository_address(self.uri, self.repository, self.registry)
        return found or self.repository

    @property
    def host(self) -> str:
        """Return the registry's host, an empty text where there is none yet."""
        host, slash, _path = self.address.partition("/")
        return host if slash and (self.uri or self.registry) else ""

    @property
    def name(self) -> str:
        """Return the image's name by tag."""
        return f"{self.address}:{self.tag}"

    def record(self) -> dict[str, t.Any]:
        """Return the image as modules return it."""
        return {
            **self.description._asdict(),
            "tag": self.tag,
            "exists": bool(self.digest),
            "digest": self.digest,
            "reference": f"{self.address}@{self.digest}" if self.digest else self.name,
            "address": self.address,
            "registry": self.host,
        }


def read(params: t.Mapping[str, t.Any]) -> Image:
    """Return the image that a folder gives, before ECR is asked about it; params has ARGUMENTS and path."""
    tags.require_platforms(params["platforms"])
    folder = Path(params["path"])
    description = tags.describe(folder)
    files = _with_packages(context.read(folder), folder, params.get("requirements") or "")
    tag = tags.image_tag(description.version, files, params["build_args"], params["platforms"])
    return Image(description, files, tag, params["repository"], params["registry"])


def _with_packages(
    files: t.Mapping[str, context.File], folder: Path, requirements: str
) -> t.Mapping[str, context.File]:
    """Return a build's files with the packages of a user's file beside those of the locked set."""
    locked = files.get(LOCK)
    text = _requirements.read(requirements, [locked.data.decode("utf-8")] if locked else [])
    if not text:
        return files
    if _requirements.FILE.encode() not in _without_wildcards(files[context.DOCKERFILE].data):
        raise MlflowError(
            f"{_requirements.VARIABLE} is set, but {folder / context.DOCKERFILE} does not install "
            f"{_requirements.FILE}; let it, as the collection's own does, or remove the variable."
        )
    return {**files, _requirements.FILE: context.File(f"{text}\n".encode())}


def _without_wildcards(dockerfile: bytes) -> bytes:
    """Return a Dockerfile without the brackets that let it copy a file that need not be there."""
    return dockerfile.replace(b"[", b"").replace(b"]", b"")


def packaging_error(params: t.Mapping[str, t.Any]) -> str | None:
    """Return why the library that reads a user's packages is missing, None where it is not needed."""
    return _requirements.PACKAGING_ERROR if params["requirements"] else None


def secrets(params: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    """Return the passwords in URLs of the build arguments, such as a proxy's or a package index's."""
    for value in params["build_args"].values():
        # pip takes several URLs in one value.
        for part in str(value).split():
            with contextlib.suppress(ValueError):
                yield urlsplit(part).password or ""


def look_up(client: t.Any, image: Image) -> Image:
    """Return the image with what ECR knows about it."""
    uri = ecr.find_repository(client, image.repository)
    digest = ecr.find_digest(client, image.repository, image.tag) if uri else ""
    return dataclasses.replace(image, uri=uri, digest=digest)
