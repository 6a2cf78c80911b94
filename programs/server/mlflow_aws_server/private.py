# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and folders that only this user can read."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from .errors import EntryError

_PREFIX = "mlflow-aws-"


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read; it replaces the old one in one step."""
    new = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    new.replace(path)


@contextlib.contextmanager
def private_folder(owner: Path) -> Iterator[Path]:
    """Yield a folder that only this user can read, in memory where possible.

    Its name is derived from the settings file's, so that a server finds what it left behind
    when it was killed, and `health` finds the server's.
    """
    base = private_base()
    for other in base.glob(f"{_PREFIX}{os.geteuid()}-*"):
        # One that no process holds was left behind.
        with contextlib.suppress(OSError, EntryError), _lock(other, seconds=0):
            shutil.rmtree(other)
    folder = base / private_name(owner)
    try:
        with _lock(folder, seconds=30):
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        raise EntryError(f"Another process uses {owner}; stop it first.") from None


def private_name(owner: Path) -> str:
    """Return the name of the private folder that belongs to a settings file."""
    digest = hashlib.sha256(os.fsencode(owner.resolve())).hexdigest()
    return f"{_PREFIX}{os.geteuid()}-{digest[:16]}"


def private_base() -> Path:
    """Return the first folder that can be written: those in memory come first."""
    places = ["/run/mlflow", os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm", tempfile.gettempdir()]
    for place in filter(None, places):
        # The specification of XDG has relative ones ignored.
        if os.path.isabs(place) and os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK):
            return Path(place)
    raise EntryError("No folder for temporary files is writable; mount one at /run/mlflow.")


@contextlib.contextmanager
def _lock(folder: Path, seconds: float) -> Iterator[None]:
    """Create a private folder if there is none, and hold it; it may vanish while we wait."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(0o700)
        found = folder.lstat()
        if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
            raise EntryError(f"{folder} belongs to another user; remove it.")
        try:
            descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:
            continue
        with os.fdopen(descriptor) as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise
            else:
                if _is_file(folder / "lock", descriptor):
                    yield
                    return
        time.sleep(0.1)


def _is_file(path: Path, descriptor: int) -> bool:
    """Return whether the open file is still the one with this path."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    return False
