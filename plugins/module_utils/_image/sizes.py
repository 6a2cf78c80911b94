# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what an image takes in its repository, and its user's packages of that.

The Dockerfile puts what the packages add into the image's last layer, so that hosts that have the others
pull no more, and the image's manifest says how large it is.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _requirements
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import context, ecr
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image.wanted import Image

# What makes a layer, and the one that has to be the last.
_LAYER = re.compile(r"^(?:ADD|COPY|RUN|WORKDIR)\b.*", re.MULTILINE)
_LAST = re.compile(r"COPY --from=additional\b")


def of(client: t.Any, image: Image) -> dict[str, int]:
    """Return the sizes of an image with additional packages, and of their layer, in bytes.

    Empty without such packages, and where the registry does not tell: a size is no reason to fail.
    """
    if _requirements.FILE not in image.files or not is_last(image.files[context.DOCKERFILE].data):
        return {}
    try:
        layers = _layers(client, image.repository, image.digest)
    except MlflowError:
        return {}
    return {"size": sum(layers), "additional_size": layers[-1]} if layers else {}


def is_last(dockerfile: bytes) -> bool:
    """Return whether a Dockerfile's last layer is that of the additional packages."""
    found = _LAYER.findall(dockerfile.decode("utf-8", "replace"))
    return bool(found) and bool(_LAST.match(found[-1]))


def _layers(client: t.Any, repository: str, digest: str) -> list[int]:
    """Return the sizes of an image's layers; of the first platform's where there are several."""
    manifest = ecr.fetch_manifest(client, repository, digest)
    if manifest.get("manifests"):
        manifest = ecr.fetch_manifest(client, repository, str(manifest["manifests"][0]["digest"]))
    return [int(layer["size"]) for layer in manifest.get("layers") or []]
