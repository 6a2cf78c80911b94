# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server may reach that runs beside those of other projects, as processes of one user.

A container has no other project's files, and no other process. A process under Supervisor gives up what it
does not need before it loads MLflow, and its workers with it: see landlock.py. It keeps, as kept.py lists,

    to read     the system's programs and settings, its Python, this program, its settings, the folder of
                its broker's socket, and what its settings' variables name by an absolute path
    to change   a folder of its own, in which its HOME and temporary files are, its database's, its artifacts,
                but no place that a link in these leads to

and no connection to TCP port 80, if it has the credentials of a project's role: the metadata services,
which give those of the host, listen there. Where the settings name such an address, it stays open.

A server that acts as this user at AWS, or elsewhere, is not confined: what it needs is all of this user's.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import kept, landlock, seccomp
from .errors import NAME, EntryError
from .private import private_name

# Set in the processes of a confined server, whose HOME and TMPDIR are its own, whatever its settings say.
VARIABLE = "MLFLOW_AWS_CONFINED"


def confine(settings: dict[str, Any], settings_path: Path, private: Path | None) -> bool:
    """Give up what the server does not need, and say so in the log; returns whether it did.

    Called before this process has a second thread, which would keep its rights.
    """
    reason = kept.unconfined(settings)
    if not reason and not landlock.version():
        reason = "this system has no Landlock; Linux 5.13 or later has, where it is not turned off at boot"
    if not reason:
        own = settings_path.resolve().parent / kept.OWN
        temporary = _temporary(settings, settings_path, own)
        home = Path("~").expanduser().resolve()
        place = kept.Place(settings_path.resolve(), private, temporary, home, dict(os.environ))
        artifacts = kept.local_folder(settings["artifacts_destination"])
        if artifacts:
            with contextlib.suppress(OSError):
                artifacts.mkdir(parents=True, exist_ok=True)
        made = kept.plan(settings, place)
        reason = made if isinstance(made, str) else _apply(made, place)
    # Not by say(): the last thing that it says is taken for the reason of a failure.
    said = f"is not confined: {reason}." if reason else f"is confined{_but(settings, os.environ)}."
    print(f"{NAME} {said}", file=sys.stderr, flush=True)
    return not reason


def _temporary(settings: Mapping[str, Any], settings_path: Path, own: Path) -> Path:
    """Return an empty folder for temporary files: below TMPDIR if that is set, else the server's own."""
    base = settings["environment"].get("TMPDIR") or os.environ.get("TMPDIR") or ""
    name = f"mlflow-aws.{private_name(settings_path.parent)}"
    folder = Path(base) / name if os.path.isabs(base) and os.access(base, os.W_OK) else own / "tmp"
    try:
        own.mkdir(0o700, exist_ok=True)
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
        folder.mkdir(0o700)
        found = folder.lstat()
    except OSError as error:
        raise EntryError(
            f"{folder} for temporary files cannot be made ({error.strerror}); remove it."
        ) from None
    if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
        raise EntryError(f"{folder} belongs to another user; remove it.")
    return folder


def _apply(made: kept.Plan, place: kept.Place) -> str:
    """Give up all but what the plan keeps; returns why that is not possible, empty if it is."""
    try:
        landlock.restrict(made.rules, made.closed_ports)
    except OSError as error:
        return f"the kernel refuses it ({error.strerror})"
    own = dict(zip(kept.SHARED, map(str, (place.own, place.temporary)), strict=True))
    os.environ.update({**own, VARIABLE: "true"})
    # Somebody may have asked for the old one.
    tempfile.tempdir = None
    return ""


def _but(settings: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    """Return what the kernel, or an address in the settings, leaves open; close ways around a closed port."""
    left = []
    if landlock.version() < landlock.SCOPE_VERSION:
        left.append("signals to this user's processes (Linux 6.12 refuses them)")
    if (settings.get("aws") or {}).get("broker"):
        if landlock.version() < landlock.NETWORK_VERSION:
            left.append("the metadata service (Linux 6.7 refuses it)")
        elif not kept.closed_ports(settings, environment):
            left.append("the metadata service, as its settings name an address with port 80")
        elif not seccomp.close_ways_around():
            left.append("the metadata service, by ways around TCP, as seccomp cannot be used here")
    return f", except for {', '.join(left)}" if left else ""
