# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the image's tag, MLflow's version and a hash of all that is built.

The same files, arguments and platforms give the same tag, so an image whose tag is in the registry
never has to be built again.
"""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image.context import File

DESCRIPTION = "mlflow.json"
# How packages are fetched does not change which ones: their hashes are locked.
_NETWORK_ARGUMENT = re.compile(r"(?i)(all|ftp|http|https|no)_proxy|PIP_\w+|SSL_CERT_FILE")
_VERSION = re.compile(r"[0-9A-Za-z_][0-9A-Za-z_.-]{0,100}")
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?")
_HASH_LETTERS = 12


class Description(t.NamedTuple):
    """The MLflow of an image: version, newest schema revision, and all revisions."""

    version: str
    head: str
    revisions: list[str]


def describe(folder: Path) -> Description:
    """Read the file that says which MLflow is built from the folder."""
    path = folder / DESCRIPTION
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        found = Description(str(known["version"]), str(known["head"]), list(known["revisions"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MlflowError(
            f"{path} does not say which MLflow the image holds ({error}); restore the collection's docker "
            "folder, or set mlflow_image_path to a folder that has that file."
        ) from error
    if not _VERSION.fullmatch(found.version):
        raise MlflowError(
            f"{path} names version {found.version!r}, which is not valid in an image tag; correct it."
        )
    return found


def image_tag(
    version: str,
    files: t.Mapping[str, File],
    arguments: t.Mapping[str, str],
    platforms: t.Iterable[str],
) -> str:
    """Return MLflow's version and a hash of all that goes into the image.

    Arguments that only say how to reach the network are left out, so that operators behind
    different proxies share one image.
    """
    content = {
        "files": {
            path: [hashlib.sha256(file.data).hexdigest(), file.executable]
            for path, file in files.items()
        },
        "arguments": {
            name: str(value)
            for name, value in arguments.items()
            if not _NETWORK_ARGUMENT.fullmatch(name)
        },
        "platforms": sorted(set(platforms)),
    }
    text = json.dumps(content, sort_keys=True).encode("utf-8")
    return f"{version}-{hashlib.sha256(text).hexdigest()[:_HASH_LETTERS]}"


def require_platforms(platforms: t.Sequence[str]) -> None:
    """Refuse what is not a platform, and none at all."""
    for platform in platforms:
        if not _PLATFORM.fullmatch(platform):
            raise MlflowError(
                f"mlflow_image_platforms holds {platform!r}; write platforms like linux/amd64."
            )
    if not platforms:
        raise MlflowError("mlflow_image_platforms is empty; name one such as linux/amd64.")


def require_builder(platforms: t.Sequence[str], builder: str) -> None:
    """Refuse more platforms than a builder can build."""
    number = len(set(platforms))
    if builder == "classic" and number > 1:
        raise MlflowError(
            f"The classic builder builds one platform, and mlflow_image_platforms names {number} "
            "(" + ", ".join(platforms) + "); install Docker's buildx plugin, or name one."
        )
