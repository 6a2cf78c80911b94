# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the build context of an image, the same for its tag and its build.

A folder with a Dockerfile may hold a file `context.txt`, which lists what the image is built from:
one file or folder a line, relative to the folder, as `tar --files-from` reads it. Folders are
taken whole. What lies outside the folder loses its leading `../`, as tar has it, too: a line
`../programs/server` puts that folder's files at `programs/server/` in the context. So the same
context comes from

    tar --create --exclude=__pycache__ --directory docker --files-from docker/context.txt | docker build --tag mlflow -

Without that file the context is the whole folder. Bytecode that Python left behind is never part of it.
"""

from __future__ import annotations

import io
import os
import tarfile
import typing as t
from pathlib import Path, PurePosixPath

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

DOCKERFILE = "Dockerfile"
LIST = "context.txt"
_IGNORE = ".dockerignore"
_EXECUTABLE = 0o100
_BYTECODE_FOLDER, _BYTECODE = "__pycache__", ".pyc"
# One time for all files, or the same build would have other layers in each checkout: 1980-01-01,
# the oldest that archives of every kind can hold.
_TIME = 315532800


class File(t.NamedTuple):
    """A file of a build context: its content, and whether it can be executed."""

    data: bytes
    executable: bool = False

    @property
    def mode(self) -> int:
        """Return its permissions in the image, whatever umask the checkout was made with."""
        return 0o755 if self.executable else 0o644


def read(folder: Path) -> dict[str, File]:
    """Return the build context of a folder: its files by their paths in the context.

    Raises MlflowError where a file is missing or unreadable, or where there is no Dockerfile.
    """
    try:
        files = {
            place: File(path.read_bytes(), bool(path.stat().st_mode & _EXECUTABLE))
            for root, start in _roots(folder)
            for place, path in _walk(root, start)
        }
    except OSError as error:
        raise MlflowError(
            f"{error.filename} cannot be read ({error.strerror}), but the image is built from it; check "
            f"mlflow_image_path, {LIST} in that folder, and the permissions."
        ) from error
    if DOCKERFILE not in files:
        raise MlflowError(
            f"{folder} has no {DOCKERFILE} to build from; set mlflow_image_path to the collection's docker "
            "folder or to one like it."
        )
    return files


def archive(files: t.Mapping[str, File]) -> bytes:
    """Return a build context as a tar archive; the same files give the same bytes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for place in sorted(files):
            entry = tarfile.TarInfo(place)
            entry.size, entry.mode, entry.mtime = len(files[place].data), files[place].mode, _TIME
            tar.addfile(entry, io.BytesIO(files[place].data))
    return stream.getvalue()


def write(files: t.Mapping[str, File], folder: Path) -> None:
    """Write a build context into a folder."""
    for place, file in files.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
        path.chmod(file.mode)
        os.utime(path, (_TIME, _TIME))


def _roots(folder: Path) -> list[tuple[Path, str]]:
    """Return what the context consists of: files and folders, and their paths in the context."""
    listed = folder / LIST
    if listed.is_file():
        lines = listed.read_text(encoding="utf-8").splitlines()
        return [(folder / line, _place(line, listed)) for line in lines if line.strip()]
    if (folder / _IGNORE).exists():
        # To read it otherwise than Docker does could put a secret into the image.
        raise MlflowError(
            f"{folder / _IGNORE} is not supported; list what the image is built from in {listed}, one "
            "file or folder a line, and remove it."
        )
    return [(folder, "")]


def _place(line: str, listed: Path) -> str:
    """Return where a line of the list puts its file or folder."""
    parts = list(PurePosixPath(line).parts)
    while parts and parts[0] == "..":
        del parts[0]
    if not parts or ".." in parts or line.startswith("/"):
        raise MlflowError(
            f"{listed} lists {line!r}; write the path of a file or folder, relative to {listed.parent}."
        )
    return "/".join(parts)


def _walk(root: Path, start: str) -> t.Iterator[tuple[str, Path]]:
    """Return each file at a path or below it, with its path in the context."""
    if not root.is_dir():
        yield start, root
        return
    for parent, folders, names in os.walk(root, onerror=_raise):
        folders[:] = [name for name in folders if name != _BYTECODE_FOLDER]
        for name in names:
            path = Path(parent, name)
            if path.is_file() and not name.endswith(_BYTECODE):
                yield PurePosixPath(start, path.relative_to(root).as_posix()).as_posix(), path


def _raise(error: OSError) -> t.NoReturn:
    """Do not skip a folder that cannot be read, as os.walk does."""
    raise error
