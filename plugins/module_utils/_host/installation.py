# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: installs MLflow's locked set into a folder of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import (
    commands,
    interpreter,
    venv,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files as host_files

STAMP = "installed.json"
_ENTRYPOINT = "mlflow_entry.py"
_WHAT = "MLflow"
_AGAIN = "run the deploy playbook, which installs it again"
_DESCRIPTION = {"version": str, "head": str, "revisions": list}


class Runtime(t.NamedTuple):
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
        return self.folder / _ENTRYPOINT

    def is_installed(self) -> bool:
        """Return whether it was installed to the end, and is still whole."""
        # An unreadable stamp is none.
        if read_stamp(self.folder / STAMP, check_mode=True) is None:
            return False
        return venv.is_whole(self.folder)


def wanted_runtime(
    folder: Path,
    requirements: t.Sequence[str],
    programs: t.Mapping[str, str],
    python: str | None,
) -> Runtime:
    """Return the runtime made of these files: the same files and Python give the same folder."""
    _require_programs(programs)
    base, version = venv.base_python(python)
    digest = venv.digest([version, venv.files_digest(requirements, programs)])
    pinned = re.search(r"^mlflow==([^\s;\\]+)", "\n".join(requirements), re.MULTILINE)
    if not pinned:
        raise MlflowError(
            "The requirements pin no mlflow: pass the collection's docker/requirements.txt."
        )
    return Runtime(folder / f"{pinned.group(1)}-{digest}", pinned.group(1), base)


def installed_runtime(folder: Path, files: str, python: str | None) -> Runtime | None:
    """Return the runtime made of the files of this digest, or None where it is not installed."""
    base, version = venv.base_python(python)
    for path in folder.glob(f"*-{venv.digest([version, files])}"):
        runtime = Runtime(path, path.name.rpartition("-")[0], base)
        if runtime.is_installed():
            return runtime
    return None


def install(
    runtime: Runtime, requirements: t.Sequence[str], programs: t.Mapping[str, str], timeout: float
) -> bool:
    """Install the runtime unless it is there; returns whether anything changed.

    A half installed one, of a run that was killed, is made anew. Runs of the same time wait
    for each other. timeout is in seconds for the wait and for each step of the installation.
    """
    if runtime.is_installed():
        return False
    host_files.make_folder(runtime.folder.parent)
    with host_files.exclusive(runtime.folder.parent / ".lock", timeout, "installing MLflow"):
        if runtime.is_installed():
            return False
        venv.install(runtime.folder, runtime.base_python, requirements, programs, timeout, _WHAT)
        # Compiles just what a server imports, once, rather than in each server's first start.
        entry = interpreter.isolated(str(runtime.python), str(runtime.entrypoint))
        venv.run([*entry, "warm"], timeout, _WHAT)
        # What MLflow tells of its schema revisions is kept, as asking it takes seconds.
        told = venv.run([*entry, "describe"], timeout, _WHAT)
        what = f"What MLflow in {runtime.folder} tells of itself"
        description = commands.document(told, what, "run again", _DESCRIPTION)
        host_files.write_private(runtime.folder / STAMP, json.dumps(description) + "\n")
        _drop_old(runtime)
    return True


def read_stamp(path: Path, *, check_mode: bool = False) -> dict[str, t.Any] | None:
    """Return what an installed MLflow told of itself, None where it is not installed.

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
    """Return folder, interpreter and entry point of the runtime installed last, or None."""
    stamps = sorted(folder.glob(f"*/{STAMP}"), key=lambda path: path.stat().st_mtime)
    if not stamps:
        return None
    runtime = Runtime(stamps[-1].parent, "", "")
    return {
        "path": str(runtime.folder),
        "python": str(runtime.python),
        "entrypoint": str(runtime.entrypoint),
    }


def _require_programs(programs: t.Mapping[str, str]) -> None:
    """Refuse what is no set of files beside each other with the entry point among them."""
    odd = [name for name in programs if os.path.basename(name) != name or name in ("", ".", "..")]
    if odd or _ENTRYPOINT not in programs:
        raise MlflowError(
            f"The programs are {', '.join(programs) or 'none'}: pass {_ENTRYPOINT} and the files "
            "beside it in the collection's folder docker, each by its plain name."
        )


def _drop_old(current: Runtime) -> None:
    """Delete runtimes but this one and the one before it, which servers may still be leaving."""
    others = [
        path.parent
        for path in current.folder.parent.glob(f"*/{STAMP}")
        if path.parent != current.folder
    ]
    others.sort(key=lambda path: (path / STAMP).stat().st_mtime, reverse=True)
    for folder in others[1:]:
        shutil.rmtree(folder)
