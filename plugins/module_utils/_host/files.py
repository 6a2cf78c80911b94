# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: where things lie in a host's state folder, and how they are written.

STATE/projects/NAME/          mlflow.db and artifacts/ of the local backend
STATE/runtimes/ID/            one installed MLflow: venv/ and mlflow_entry.py
STATE/servers/                supervisord.conf, its socket, log and lock
STATE/servers/NAME/           settings-HASH.json and server.log of one server
STATE/env/                    for each server that runs a file with its address
STATE/ports/                  which project had which port
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import paths
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._wait import wait

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600
# Stands for a host's state folder where the path was written elsewhere.
STATE_DIR = "{state_dir}"
# The one tunnel of a host, by what it leads to.
TUNNEL = "database"
_POLL_SECONDS = 0.1


def state_folder(given: str | None) -> Path:
    """Return the state folder: the given one, or mlflow_aws in the XDG state home."""
    home = paths.environment_folder("XDG_STATE_HOME") or os.path.join("~", ".local", "state")
    folder = Path(paths.host_state("mlflow_state_dir", given or os.path.join(home, "mlflow_aws")))
    # They would end a value in a database URI or in Supervisor's configuration, or be decoded.
    bad = sorted(letter for letter in set(str(folder)) if letter in "?;#%\"'" or letter < " ")
    if bad:
        raise MlflowError(
            f"mlflow_state_dir contains the character {bad[0]!r} ({folder}); choose a path without it."
        )
    return folder


def projects_folder(state: Path) -> Path:
    """Return the folder of the local backend's projects."""
    return state / "projects"


def runtimes_folder(state: Path) -> Path:
    """Return the folder of installed MLflow runtimes."""
    return state / "runtimes"


def servers_folder(state: Path) -> Path:
    """Return the folder of the servers' settings and logs."""
    return state / "servers"


def tunnel_folder(state: Path) -> Path:
    """Return the folder of the tunnel to the database."""
    return state / "tunnel"


def has_tunnel(state: Path) -> bool:
    """Return whether there is a tunnel, open or not."""
    return (tunnel_folder(state) / TUNNEL).is_dir()


def env_folder(state: Path) -> Path:
    """Return the folder of the files with the servers' addresses."""
    return state / "env"


def ports_folder(state: Path) -> Path:
    """Return the folder of the records of ports."""
    return state / "ports"


def require_writable(folder: Path, remedy: str) -> None:
    """Refuse a folder that this user can neither write to nor create, before anything is created."""
    nearest = folder
    while not os.path.lexists(nearest):
        nearest = nearest.parent
    if not nearest.is_dir():
        raise MlflowError(f"{folder} cannot be used, since {nearest} is not a folder; {remedy}.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise MlflowError(
            f"{folder} cannot be written, since user {_user()} has no permission to write to {nearest}; {remedy}."
        )


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, the last one for this user only."""
    try:
        folder.mkdir(parents=True, mode=PRIVATE_FOLDER, exist_ok=True)
    except OSError as error:
        raise MlflowError(
            f"{folder} cannot be created ({error.strerror}); free it or choose another mlflow_state_dir."
        ) from error


def write_private(path: Path, text: str) -> bool:
    """Write a file for this user only, whole or not at all; returns whether it changed."""
    try:
        if path.read_bytes() == text.encode("utf-8"):
            return False
    except FileNotFoundError:
        pass
    # mkstemp gives mode 0600 from the first byte on.
    handle, name = tempfile.mkstemp(dir=str(path.parent), prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    return True


@contextlib.contextmanager
def exclusive(path: Path, timeout: float, purpose: str) -> t.Iterator[None]:
    """Hold a lock on a file while the block runs; the kernel frees it when the process dies.

    timeout is in seconds; purpose says in the error what the other holder is doing. A child
    process that is started with close_fds=False holds it too, should it outlive this process.
    """
    with path.open("a", encoding="utf-8") as stream:
        os.chmod(path, PRIVATE_FILE)
        os.set_inheritable(stream.fileno(), True)
        wait(
            lambda: _lock(stream),
            time.monotonic() + timeout,
            lambda: MlflowError(
                f"Another run has been {purpose} for over {timeout:.0f} seconds (it holds {path}); "
                "wait for it to end, then rerun."
            ),
            _POLL_SECONDS,
        )
        yield


def _lock(stream: t.IO[str]) -> bool | None:
    """Lock a file; None if somebody else holds it."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        return None
    return True


def _user() -> str:
    """Return this user's name, or the number where it has none."""
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
