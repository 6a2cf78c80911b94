# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where state lies, private files and the lock."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files


def mode(path: Path) -> int:
    """Return the permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a HOME of its own and no XDG settings."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return tmp_path


@pytest.mark.parametrize("given", [None, ""])
def test_the_default_is_in_the_home(home: Path, given: str | None) -> None:
    """Without anything set it is the XDG default; an empty value counts as unset."""
    assert files.state_folder(given) == home / ".local" / "state" / "mlflow_aws"


def test_the_xdg_state_home_holds(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG_STATE_HOME moves the default, and an empty one does not."""
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    assert files.state_folder(None) == home / "state" / "mlflow_aws"
    monkeypatch.setenv("XDG_STATE_HOME", "")
    assert files.state_folder(None) == home / ".local" / "state" / "mlflow_aws"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("~/x", "{home}/x"),
        ("$HOME/x", "{home}/x"),
        ("${HOME}/x/", "{home}/x"),
        ("{home}/a/../b", "{home}/b"),
        ("{home}/with space/(ä):b", "{home}/with space/(ä):b"),
    ],
)
def test_a_given_folder_is_made_absolute(given: str, wanted: str, home: Path) -> None:
    """Home, variables and dots are resolved; blanks and umlauts stay."""
    folder = files.state_folder(given.replace("{home}", str(home)))
    assert folder == Path(wanted.replace("{home}", str(home)))


@pytest.mark.parametrize("character", ["?", ";", "#", "%", '"', "'", "\n", "\r", "\t"])
def test_a_character_that_would_end_a_value_is_refused(character: str, home: Path) -> None:
    """The variable, the character and the folder are named."""
    with pytest.raises(MlflowError) as caught:
        files.state_folder(f"{home}/a{character}b")
    assert str(caught.value).startswith(f"mlflow_state_dir contains the character {character!r} (")
    assert str(caught.value).endswith("); choose a path without it.")


def test_the_places_in_a_state_folder() -> None:
    """Three folders that do not meet."""
    state = Path("/s")
    folders = {
        files.projects_folder(state),
        files.runtimes_folder(state),
        files.servers_folder(state),
    }
    assert len(folders) == 3
    assert {folder.parent for folder in folders} == {state}


def test_a_folder_is_made_for_this_user_only(home: Path) -> None:
    """With its parents; making it again is fine."""
    files.make_folder(home / "a" / "b")
    files.make_folder(home / "a" / "b")
    assert mode(home / "a" / "b") == 0o700


def test_a_folder_below_a_file_is_refused_in_one_sentence(home: Path) -> None:
    """The path, the reason and the remedy."""
    (home / "file").write_text("")
    with pytest.raises(MlflowError) as caught:
        files.make_folder(home / "file" / "b")
    assert str(caught.value) == (
        f"{home}/file/b cannot be created (Not a directory); free it or choose another "
        "mlflow_state_dir."
    )


@pytest.mark.parametrize("below", ["", "/b", "/b/c/d"])
def test_a_folder_that_is_a_file_is_seen_before_anything_is_made(below: str, home: Path) -> None:
    """However deep the wanted folder is."""
    (home / "file").write_text("")
    with pytest.raises(MlflowError) as caught:
        files.require_writable(Path(f"{home}/file{below}"), "do this")
    sentence = f"{home}/file{below} cannot be used, since {home}/file is not a folder; do this."
    assert str(caught.value) == sentence


def test_a_dangling_link_is_no_place(home: Path) -> None:
    """It exists as a link, so nothing can be made below it."""
    (home / "link").symlink_to(home / "nowhere")
    with pytest.raises(MlflowError, match="is not a folder"):
        files.require_writable(home / "link" / "b", "do this")


def test_a_folder_that_can_be_made_is_accepted_and_not_made(home: Path) -> None:
    """The check itself touches nothing."""
    files.require_writable(home / "a" / "b", "do this")
    files.require_writable(home, "do this")
    assert list(home.iterdir()) == []


def test_a_private_file_is_private_and_reported_once(home: Path) -> None:
    """Mode 0600 whatever the umask; the same text changes nothing, not even the file's number."""
    path = home / "settings.json"
    before = os.umask(0)
    try:
        assert files.write_private(path, "one\n")
    finally:
        os.umask(before)
    assert mode(path) == 0o600
    kept = path.stat()
    assert not files.write_private(path, "one\n")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)
    assert files.write_private(path, "zwei ä\n")
    assert path.read_text(encoding="utf-8") == "zwei ä\n"
    assert mode(path) == 0o600
    assert list(home.iterdir()) == [path]


def test_a_readable_file_is_replaced_by_a_private_one(home: Path) -> None:
    """A file that somebody made for all is not written into."""
    path = home / "settings.json"
    path.write_text("old")
    path.chmod(0o644)
    assert files.write_private(path, "secret")
    assert mode(path) == 0o600


def test_no_file_is_ever_readable_by_others(home: Path) -> None:
    """Seen from beside while files are written: each has mode 0600 from its first byte."""
    seen: set[int] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            with os.scandir(home) as entries:
                for entry in entries:
                    try:
                        seen.add(stat.S_IMODE(entry.stat().st_mode))
                    except FileNotFoundError:
                        continue

    before = os.umask(0)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for number in range(300):
            files.write_private(home / "settings.json", f"{number}" * 2000)
    finally:
        over.set()
        watcher.join(timeout=10)
        os.umask(before)
    assert seen == {0o600}


def test_a_reader_sees_the_old_or_the_new_text_whole(home: Path) -> None:
    """The file is replaced, not written into."""
    path = home / "settings.json"
    texts = ["a" * 100_000, "b" * 100_000]
    files.write_private(path, texts[0])
    with path.open(encoding="utf-8") as stream:
        files.write_private(path, texts[1])
        assert stream.read() == texts[0]
    assert path.read_text(encoding="utf-8") == texts[1]


def test_a_failed_write_leaves_nothing_behind(home: Path) -> None:
    """Text that cannot be encoded, or a place that cannot be replaced: the old file stays."""
    path = home / "settings.json"
    files.write_private(path, "old")
    with pytest.raises(UnicodeEncodeError):
        files.write_private(path, "\udcff")
    assert list(home.iterdir()) == [path]
    assert path.read_text(encoding="utf-8") == "old"
    (home / "folder" / "full").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        files.write_private(home / "folder", "new")
    assert sorted(item.name for item in home.iterdir()) == ["folder", "settings.json"]


HOLD = """
import fcntl, sys, time
with open(sys.argv[1], "a") as stream:
    fcntl.flock(stream, fcntl.LOCK_EX)
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_that_another_process_holds_is_waited_for_with_a_bound(home: Path) -> None:
    """The message says who, where and what to do; when that process dies, the lock is free."""
    path = home / ".lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            began = time.monotonic()
            with pytest.raises(MlflowError) as caught, files.exclusive(path, 1, "counting"):
                pytest.fail("the lock was taken twice")
            assert 1 <= time.monotonic() - began < 5
            assert str(caught.value) == (
                f"Another run has been counting for over 1 seconds (it holds {path}); wait for it "
                "to end, then rerun."
            )
        finally:
            other.kill()
    with files.exclusive(path, 5, "counting"):
        assert mode(path) == 0o600


def test_a_lock_is_free_after_an_error(home: Path) -> None:
    """An exception in the block gives it back."""
    path = home / ".lock"
    with pytest.raises(ZeroDivisionError), files.exclusive(path, 1, "counting"):
        raise ZeroDivisionError
    with files.exclusive(path, 0, "counting"):
        pass


def test_locks_let_one_in_at_a_time(home: Path) -> None:
    """Threads that hold it in turn never meet, and all get it."""
    path, inside, most = home / ".lock", [0], [0]

    def work() -> None:
        with files.exclusive(path, 10, "counting"):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.02)
            inside[0] -= 1

    threads = [threading.Thread(target=work) for _number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=15)
    assert (inside[0], most[0]) == (0, 1)
