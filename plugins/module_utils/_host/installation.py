# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: installs MLflow's locked set into a folder of its own."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import typing as t
from pathlib import Path, PurePosixPath

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _requirements
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import (
    commands,
    interpreter,
    venv,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files as host_files

STAMP = "installed.json"
_LAUNCHER = "mlflow_entry.py"
_WHAT = "MLflow"
_AGAIN = "run the deploy playbook, which installs it again"
_DESCRIPTION = {"version": str, "head": str, "revisions": list}


class Installation(t.NamedTuple):
    """One MLflow on a host: its folder, which also identifies it, and MLflow's version."""

    folder: Path
    version: str
    base_python: str

    @property
    def python(self) -> Path:
        """Return the interpreter that has MLflow installed."""
        return venv.interpreter(self.folder)

    @property
    def entrypoint(self) -> Path:
        """Return the copy of mlflow_entry.py that belongs to this MLflow."""
        return self.folder / _LAUNCHER

    def is_installed(self) -> bool:
        """Return whether it was installed to the end, and is still complete."""
        # An unreadable stamp counts as none.
        if read_stamp(self.folder / STAMP, check_mode=True) is None:
            return False
        return venv.is_whole(self.folder)


def wanted(
    folder: Path,
    requirements: t.Sequence[str],
    programs: t.Mapping[str, str],
    python: str | None,
    additional: str = "",
) -> Installation:
    """Return the installation of these files: the same files and Python give the same folder.

    additional: packages beside the locked set, as _requirements.py returns them.
    """
    _require_programs(programs)
    base, version = venv.base_python(python)
    files = venv.files_digest(requirements, programs)
    digest = _digest(version, files, additional_digest(additional))
    pinned = re.search(r"^mlflow==([^\s;\\]+)", "\n".join(requirements), re.MULTILINE)
    if not pinned:
        raise MlflowError(
            "The requirements pin no mlflow; pass the collection's docker/requirements.txt."
        )
    return Installation(folder / f"{pinned.group(1)}-{digest}", pinned.group(1), base)


def find(folder: Path, files: str, python: str | None, additional: str = "") -> Installation | None:
    """Return the installation of the files with this digest, or None if it is not there.

    additional: digest of the packages beside the locked set, empty for none.
    """
    base, version = venv.base_python(python)
    for path in folder.glob(f"*-{_digest(version, files, additional)}"):
        found = Installation(path, path.name.rpartition("-")[0], base)
        if found.is_installed():
            return found
    return None


def install(
    target: Installation,
    requirements: t.Sequence[str],
    programs: t.Mapping[str, str],
    timeout: float,
    additional: str = "",
) -> bool:
    """Install MLflow unless it is there; returns whether anything changed.

    What a killed run left unfinished is installed again. Concurrent runs wait for each other.
    timeout is in seconds for the wait and for each step of the installation.
    """
    if target.is_installed():
        return False
    host_files.make_folder(target.folder.parent)
    with host_files.exclusive(target.folder.parent / ".lock", timeout, "installing MLflow"):
        if target.is_installed():
            return False
        venv.install(target.folder, target.base_python, requirements, programs, timeout, _WHAT)
        # Compiles just what a server imports, once, rather than in each server's first start.
        entry = interpreter.isolated(str(target.python), str(target.entrypoint))
        if additional:
            venv.add(target.folder, additional, timeout, _WHAT)
            lock = str(target.folder / _requirements.FILE)
            venv.run([*entry, "packages", lock], timeout, _WHAT, remedy="")
        venv.run([*entry, "warm"], timeout, _WHAT)
        # MLflow's schema revisions are kept, since asking for them takes seconds.
        described = venv.run([*entry, "describe"], timeout, _WHAT)
        what = f"The description of MLflow in {target.folder}"
        description = commands.document(described, what, "rerun", _DESCRIPTION)
        host_files.write_private(target.folder / STAMP, json.dumps(description) + "\n")
        _drop_old(target)
    return True


def read_stamp(path: Path, *, check_mode: bool = False) -> dict[str, t.Any] | None:
    """Return how an installed MLflow describes itself, None if it is not installed.

    One that was cut short is refused; not in check mode, as a real run installs it again first.
    """
    if not path.is_file():
        return None
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        return commands.document(text, f"{path} of the installed MLflow", _AGAIN, _DESCRIPTION)
    except MlflowError:
        if check_mode:
            return None
        raise


def newest(folder: Path) -> dict[str, str] | None:
    """Return folder, interpreter and entry point of the newest installation, or None."""
    stamps = sorted(folder.glob(f"*/{STAMP}"), key=lambda path: path.stat().st_mtime)
    if not stamps:
        return None
    found = Installation(stamps[-1].parent, "", "")
    return {
        "path": str(found.folder),
        "python": str(found.python),
        "entrypoint": str(found.entrypoint),
    }


def additional_digest(additional: str) -> str:
    """Return what stands for packages beside the locked set, empty for none.

    The role mlflow_server computes the same by Ansible's filter `hash`.
    """
    return hashlib.sha256(additional.encode("utf-8")).hexdigest() if additional else ""


def _digest(version: tuple[int, int], files: str, additional: str) -> str:
    """Return what stands for an installation; without additional packages as if there were none."""
    return venv.digest([version, files, *([additional] if additional else [])])


def _require_programs(programs: t.Mapping[str, str]) -> None:
    """Refuse files outside of the installation's folder, and a set without the launcher."""
    odd = [name for name in programs if not _is_inside(name)]
    if odd or _LAUNCHER not in programs:
        raise MlflowError(
            f"The programs are {', '.join(programs) or 'none'}; pass {_LAUNCHER} and the files that it "
            "needs, each by its path relative to the collection's folder programs/server."
        )


def _is_inside(name: str) -> bool:
    """Return whether a relative path stays inside of its folder, and is written plainly."""
    path = PurePosixPath(name)
    return (
        bool(path.parts) and str(path) == name and path.parts[0] != "/" and ".." not in path.parts
    )


def _drop_old(current: Installation) -> None:
    """Delete all but this installation and the one before, which servers may still be leaving."""
    others = [
        path.parent
        for path in current.folder.parent.glob(f"*/{STAMP}")
        if path.parent != current.folder
    ]
    others.sort(key=lambda path: (path / STAMP).stat().st_mtime, reverse=True)
    for folder in others[1:]:
        shutil.rmtree(folder)
