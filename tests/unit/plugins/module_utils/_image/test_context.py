# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The build context of an image: what is in it, and how it reaches a builder."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import context
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image.context import File

SHIPPED = Path(__file__).resolve().parents[5] / "docker"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with files in it and beside it."""
    for name in (
        "docker/Dockerfile",
        "docker/a.txt",
        "docker/sub/b.py",
        "docker/sub/__pycache__/b.pyc",
        "docker/c.pyc",
        "programs/server/d.py",
        "programs/server/__pycache__/d.cpython-311.pyc",
        "programs/e.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "docker"


def listed(folder: Path, *lines: str) -> dict[str, File]:
    """Return the context of a folder that lists these lines."""
    (folder / "context.txt").write_text("\n".join(lines) + "\n")
    return context.read(folder)


def test_a_folder_without_a_list_is_taken_whole(folder: Path) -> None:
    """Except for what Python leaves behind, so that tests do not change the tag."""
    assert set(context.read(folder)) == {"Dockerfile", "a.txt", "sub/b.py"}


def test_a_list_names_files_and_folders(folder: Path) -> None:
    """Those outside the folder lose their leading dots."""
    files = listed(folder, "Dockerfile", "sub", "", "../programs/server")
    assert {place: file.data.decode() for place, file in files.items()} == {
        "Dockerfile": "docker/Dockerfile",
        "sub/b.py": "docker/sub/b.py",
        "programs/server/d.py": "programs/server/d.py",
    }


def test_tar_reads_a_list_alike(folder: Path) -> None:
    """So an image can be built by hand; the shipped list names files, as nothing else is left out."""
    listed(folder, "Dockerfile", "a.txt", "../programs/e.py")
    for place in (folder, SHIPPED):
        done = subprocess.run(
            ["tar", "--create", "--directory", place, "--files-from", place / "context.txt"],
            capture_output=True,
            check=True,
        )
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
            found = {entry.name for entry in tar if entry.isfile()}
        assert {name for name in found if not name.endswith(".pyc")} == set(context.read(place))


@pytest.mark.parametrize("line", ["/etc/passwd", "..", ".", "sub/../../x", "../../.."])
def test_a_line_that_names_no_place_is_refused(folder: Path, line: str) -> None:
    """With the list's path."""
    with pytest.raises(MlflowError, match=r"context\.txt lists '.*'; write the path of a file"):
        listed(folder, "Dockerfile", line)


def test_a_file_that_is_missing_is_named(folder: Path) -> None:
    """An image without it would be another."""
    with pytest.raises(MlflowError, match=r"/missing\.txt cannot be read \(No such file"):
        listed(folder, "Dockerfile", "missing.txt")


def test_a_folder_without_a_dockerfile_is_refused(folder: Path) -> None:
    """It is not the one that was meant; nor is a list without it."""
    with pytest.raises(MlflowError, match="has no Dockerfile to build from"):
        listed(folder, "a.txt")
    with pytest.raises(MlflowError, match="has no Dockerfile to build from"):
        context.read(folder.parent / "programs")
    with pytest.raises(MlflowError, match=r"/nowhere cannot be read \(No such file"):
        context.read(folder.parent / "nowhere")


def test_an_ignore_file_is_refused(folder: Path) -> None:
    """What it keeps out might be a secret, and we do not read it as Docker does."""
    (folder / ".dockerignore").write_text(".env\n")
    with pytest.raises(MlflowError, match=r"\.dockerignore is not supported; list what the image"):
        context.read(folder)
    assert set(listed(folder, "Dockerfile")) == {"Dockerfile"}


def test_a_context_is_the_same_in_every_checkout(folder: Path, tmp_path: Path) -> None:
    """Whatever its times and umask; that a script can be executed stays."""
    script = folder / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o700)
    files = context.read(folder)
    assert [place for place, file in files.items() if file.executable] == ["run.sh"]
    data = context.archive(files)
    os.utime(script, (1, 1))
    (folder / "a.txt").chmod(0o600)
    assert context.archive(dict(reversed(context.read(folder).items()))) == data
    copy = tmp_path / "copy"
    context.write(files, copy)
    assert context.read(copy) == files
    assert {path.stat().st_mode & 0o777 for path in (copy / "run.sh", copy / "a.txt")} == {
        0o755,
        0o644,
    }
    assert len({int(path.stat().st_mtime) for path in copy.rglob("*") if path.is_file()}) == 1
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert {entry.name: entry.mode for entry in tar} == {
            place: file.mode for place, file in files.items()
        }
