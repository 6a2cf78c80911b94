# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the image's tag, made of MLflow's version and all that is built.

The same files, arguments and platforms give the same tag, so an image that is in the registry
under its tag need never be built again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

DESCRIPTION = "mlflow.json"
_DOCKERFILE = "Dockerfile"
_IGNORE = ".dockerignore"
# Name of the folder with the server's program: see docker/Dockerfile.
_PROGRAMS = "server"
# How packages are come by does not change which ones: their hashes are locked.
_NETWORK_ARGUMENT = re.compile(r"(?i)(all|ftp|http|https|no)_proxy|PIP_\w+|SSL_CERT_FILE")
_VERSION = re.compile(r"[0-9A-Za-z_][0-9A-Za-z_.-]{0,100}")
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?")
_HASH_LETTERS = 12
# What a checkout may hold beside the files of a release.
_NEVER = ("__pycache__/**", "**/__pycache__/**", "**/*.pyc", "*.pyc")


class Description(t.NamedTuple):
    """What the MLflow of an image is: version, newest schema revision, and all revisions."""

    version: str
    head: str
    revisions: list[str]


def describe(folder: Path) -> Description:
    """Read the file that tells which MLflow is built from the folder."""
    path = folder / DESCRIPTION
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        found = Description(str(told["version"]), str(told["head"]), list(told["revisions"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MlflowError(
            f"{path} does not tell which MLflow the image holds ({error}): restore the collection's "
            "docker folder, or name one that has that file."
        ) from error
    if not _VERSION.fullmatch(found.version):
        raise MlflowError(
            f"{path} names the version {found.version!r}, which no image tag can hold: correct it."
        )
    return found


def read_context(folder: Path) -> dict[str, bytes]:
    """Return the content of every file that a build of the folder sees, by relative path."""
    ignored = _patterns(folder / _IGNORE)
    files = {}
    try:
        for parent, _folders, names in os.walk(str(folder)):
            for name in names:
                path = Path(parent, name)
                place = path.relative_to(folder).as_posix()
                if path.is_file() and (place == _DOCKERFILE or not is_ignored(place, ignored)):
                    files[place] = path.read_bytes()
    except OSError as error:
        raise MlflowError(
            f"{error.filename} cannot be read ({error.strerror}), and the image is built from it: "
            "make it readable."
        ) from error
    if _DOCKERFILE not in files:
        raise MlflowError(
            f"{folder} holds no {_DOCKERFILE}: name the collection's docker folder, or one like it."
        )
    return files


def read_programs(folder: Path) -> dict[str, bytes]:
    """Return the server's program as a build sees it: in a folder of its own, beside the Dockerfile."""
    files = {
        f"{_PROGRAMS}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in folder.rglob("*.py")
    }
    if not files:
        raise MlflowError(f"{folder} holds no program; restore the collection's programs/server.")
    return files


def image_tag(
    version: str,
    files: t.Mapping[str, bytes],
    arguments: t.Mapping[str, str],
    platforms: t.Iterable[str],
) -> str:
    """Return MLflow's version and a hash of all that goes into the image.

    Arguments that only say how to reach the network are left out, so that one operator's
    proxy does not give another tag than a colleague's.
    """
    content = {
        "files": {path: hashlib.sha256(data).hexdigest() for path, data in files.items()},
        "arguments": {
            name: str(value)
            for name, value in arguments.items()
            if not _NETWORK_ARGUMENT.fullmatch(name)
        },
        "platforms": sorted(set(platforms)),
    }
    told = json.dumps(content, sort_keys=True).encode("utf-8")
    return f"{version}-{hashlib.sha256(told).hexdigest()[:_HASH_LETTERS]}"


def require_platforms(platforms: t.Sequence[str], builder: str) -> None:
    """Refuse a platform that is none, and more of them than the builder can make."""
    for platform in platforms:
        if not _PLATFORM.fullmatch(platform):
            raise MlflowError(
                f"mlflow_image_platforms holds {platform!r}: write platforms like linux/amd64."
            )
    if not platforms:
        raise MlflowError("mlflow_image_platforms is empty: name one such as linux/amd64.")
    if builder == "classic" and len(set(platforms)) > 1:
        raise MlflowError(
            f"The classic builder makes one platform, and mlflow_image_platforms names {len(set(platforms))} "
            "(" + ", ".join(platforms) + "): install Docker's buildx plugin, or name one."
        )


def is_ignored(place: str, patterns: t.Iterable[str]) -> bool:
    """Say whether a .dockerignore of these patterns keeps a file out; the last that fits decides."""
    ignored = False
    parts = place.split("/")
    prefixes = ["/".join(parts[: number + 1]) for number in range(len(parts))]
    for pattern in patterns:
        expression = _expression(pattern.lstrip("!"))
        if any(expression.fullmatch(prefix) for prefix in prefixes):
            ignored = not pattern.startswith("!")
    return ignored


def _patterns(path: Path) -> list[str]:
    """Return the patterns of a .dockerignore, and those that hold everywhere."""
    lines: list[str] = []
    if path.is_file():
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("#")] + list(_NEVER)


def _expression(pattern: str) -> t.Pattern[str]:
    """Return the regular expression of one pattern, as Docker reads it."""
    text = pattern.strip().strip("/")
    if text.startswith("./"):
        text = text[2:]
    pieces = []
    for part in re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]*\])", text):
        if part == "**/":
            pieces.append("(?:.*/)?")
        elif part == "**":
            pieces.append(".*")
        elif part == "*":
            pieces.append("[^/]*")
        elif part == "?":
            pieces.append("[^/]")
        else:
            pieces.append(part if part.startswith("[") else re.escape(part))
    return re.compile("".join(pieces))
