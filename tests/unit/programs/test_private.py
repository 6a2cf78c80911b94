# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and folders that only this user can read, on both sides."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import private
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.errors import EntryError


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have private folders made in a folder of the test's."""
    monkeypatch.setattr(private, "private_base", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize("write", [private.write_private, files.write_private])
def test_both_sides_write_privately(write: Callable[[Path, str], object], tmp_path: Path) -> None:
    """Whole, in place of the old file, for this user alone, and without leaving anything beside."""
    path = tmp_path / "secret"
    for text in ("one", "two", "ä" * 100_000):
        write(path, text)
        assert path.read_text(encoding="utf-8") == text
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
        assert list(tmp_path.iterdir()) == [path]


def test_a_folder_for_its_owner_only(base: Path) -> None:
    """Its name follows from the settings file; it is gone afterwards."""
    settings = base / "settings.json"
    with private.private_folder(settings) as folder:
        assert folder == base / private.private_name(settings)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "secret").touch()
    assert not folder.exists()
    assert private.private_name(settings) != private.private_name(base / "other.json")


def test_what_a_killed_process_left_behind_is_removed(base: Path) -> None:
    """Unless a process holds it."""
    left = base / f"mlflow-aws-{os.geteuid()}-0123456789abcdef"
    left.mkdir(0o700)
    (left / "my.cnf").touch()
    held = base / "held.json"
    with private.private_folder(held) as other, private.private_folder(base / "settings.json"):
        assert not left.exists()
        assert other.is_dir()


def test_one_process_holds_a_folder(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one is refused with one sentence."""
    now = iter(range(0, 1000, 20))
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    settings = base / "settings.json"
    sentence = f"Another process uses {settings}; stop it first."
    with (
        private.private_folder(settings),
        pytest.raises(EntryError, match=re.escape(sentence)),
        private.private_folder(settings),
    ):
        raise AssertionError


def test_a_foreign_folder_is_refused(base: Path) -> None:
    """A link could lead anywhere."""
    settings = base / "settings.json"
    (base / private.private_name(settings)).symlink_to(base)
    with (
        pytest.raises(EntryError, match=r"belongs to another user; remove it\.$"),
        private.private_folder(settings),
    ):
        raise AssertionError


def test_memory_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative XDG_RUNTIME_DIR is ignored, as its specification has it."""
    if not os.access("/run/mlflow", os.W_OK):
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        assert private.private_base() == tmp_path
    monkeypatch.setenv("XDG_RUNTIME_DIR", "run")
    assert private.private_base().is_absolute()
