# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: installs MLflow's locked set into a folder of its own."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

OLDEST_PYTHON = (3, 11)
_CANDIDATES = ("python3.13", "python3.12", "python3.11", "python3.14", "python3", "python")
# What pip and MLflow need of a Python; Debian ships venv and ensurepip apart.
_CHECK = "import sys, venv, ensurepip, sqlite3, ssl; print('%d.%d' % sys.version_info[:2])"
_OWN_PYTHON = os.path.realpath(sys.executable)
_PARTS = ("venv", "ensurepip", "_sqlite3", "_ssl")
STAMP = "installed.json"
_REQUIREMENTS = "requirements.txt"
_ENTRYPOINT = "mlflow_entry.py"
_NOT_PASSED_ON = ("PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_USER")


class Runtime(t.NamedTuple):
    """One MLflow on a host: its folder, which also identifies it, and MLflow's version."""

    folder: Path
    version: str
    base_python: str

    @property
    def python(self) -> Path:
        """Return the interpreter that has MLflow installed."""
        return self.folder / "venv" / "bin" / "python"

    @property
    def entrypoint(self) -> Path:
        """Return the copy of mlflow_entry.py that belongs to this MLflow."""
        return self.folder / _ENTRYPOINT

    def is_installed(self) -> bool:
        """Say whether it was installed to the end and its Python still runs."""
        if not (self.folder / STAMP).is_file():
            return False
        return python_version(str(self.python)) is not None


def wanted_runtime(
    folder: Path,
    requirements: t.Sequence[str],
    programs: t.Mapping[str, str],
    python: str | None,
) -> Runtime:
    """Return the runtime made of these files: the same files and Python give the same folder."""
    _require_programs(programs)
    base, version = _base_python(python)
    digest = _digest([version, files_digest(requirements, programs)])
    pinned = re.search(r"^mlflow==([^\s;\\]+)", "\n".join(requirements), re.MULTILINE)
    if not pinned:
        raise MlflowError(
            "The requirements pin no mlflow: pass the collection's docker/requirements.txt."
        )
    return Runtime(folder / f"{pinned.group(1)}-{digest}", pinned.group(1), base)


def files_digest(requirements: t.Sequence[str], programs: t.Mapping[str, str]) -> str:
    """Return what stands for the files that a runtime is made of, wherever they are read."""
    return _digest([sorted(programs.items()), *requirements])


def installed_runtime(folder: Path, files: str, python: str | None) -> Runtime | None:
    """Return the runtime made of the files of this digest, or None where it is not installed."""
    base, version = _base_python(python)
    for path in folder.glob(f"*-{_digest([version, files])}"):
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
    _files.make_folder(runtime.folder.parent)
    with _files.exclusive(runtime.folder.parent / ".lock", timeout, "installing MLflow"):
        if runtime.is_installed():
            return False
        if runtime.folder.exists():
            shutil.rmtree(runtime.folder)
        _files.make_folder(runtime.folder)
        _files.write_private(runtime.folder / _REQUIREMENTS, "\n".join(requirements))
        for name, text in programs.items():
            _files.write_private(runtime.folder / name, text)
        _run([runtime.base_python, "-m", "venv", str(runtime.folder / "venv")], timeout)
        _run(
            [
                str(runtime.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                "--no-input", "--no-deps", "--require-hashes", "--no-compile",
                "-r", str(runtime.folder / _REQUIREMENTS),
            ],
            timeout,
        )  # fmt: skip
        # Compiles just what a server imports, once, rather than in each server's first start.
        _run([str(runtime.python), str(runtime.entrypoint), "warm"], timeout)
        # What MLflow tells of its schema revisions is kept, as asking it takes seconds.
        told = _run([str(runtime.python), str(runtime.entrypoint), "describe"], timeout)
        _files.write_private(runtime.folder / STAMP, told)
        _drop_old(runtime)
    return True


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


def python_version(python: str) -> tuple[int, int] | None:
    """Return the interpreter's version, or None where it does not run or lacks a module.

    A program of the right name may be a shim without an interpreter behind it, so it is run. The
    one that runs this, of which an environment has but a link, has no need to be.
    """
    if os.path.realpath(python) == _OWN_PYTHON:
        complete = all(importlib.util.find_spec(name) for name in _PARTS)
        return sys.version_info[:2] if complete else None
    try:
        answer = subprocess.run(  # pylint: disable=ansible-bad-function
            [python, "-c", _CHECK],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    if answer.returncode != 0:
        return None
    major, _dot, minor = answer.stdout.strip().partition(".")
    return int(major), int(minor)


def _digest(parts: t.Sequence[t.Any]) -> str:
    """Return what stands for these parts in a folder's name."""
    return hashlib.sha256(json.dumps(parts).encode("utf-8")).hexdigest()[:12]


def _require_programs(programs: t.Mapping[str, str]) -> None:
    """Refuse what is no set of files beside each other with the entry point among them."""
    odd = [name for name in programs if os.path.basename(name) != name or name in ("", ".", "..")]
    if odd or _ENTRYPOINT not in programs:
        raise MlflowError(
            f"The programs are {', '.join(programs) or 'none'}: pass {_ENTRYPOINT} and the files "
            "beside it in the collection's folder docker, each by its plain name."
        )


def _base_python(given: str | None) -> tuple[str, tuple[int, int]]:
    """Return the first usable interpreter and its version."""
    for name in [given] if given else [sys.executable, *_CANDIDATES]:
        path = shutil.which(os.path.expanduser(name))
        version = python_version(path) if path else None
        if path and version and version >= OLDEST_PYTHON:
            return path, version
    wanted = ".".join(map(str, OLDEST_PYTHON))
    where = f"{given} is not" if given else "No interpreter on this host is"
    raise MlflowError(
        f"{where} a Python {wanted} or newer with venv and ensurepip: install one (on Debian and "
        "Ubuntu the package python3-venv) or name it in mlflow_server_base_python."
    )


def _run(command: t.Sequence[str], timeout: float) -> str:
    """Run one step of the installation and return what it printed."""
    environment = {name: text for name, text in os.environ.items() if name not in _NOT_PASSED_ON}
    try:
        answer = subprocess.run(  # pylint: disable=ansible-bad-function
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
            # Keeps the lock while pip still writes, should this process be killed.
            close_fds=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MlflowError(
            f"Installing MLflow took over {timeout:.0f} seconds: raise mlflow_server_install_timeout."
        ) from error
    if answer.returncode != 0:
        lines = [line.strip() for line in answer.stdout.splitlines() if line.strip()]
        errors = [line for line in lines if line.lower().startswith("error")] or lines[-1:]
        raise MlflowError(
            f"MLflow could not be installed ({(errors or ['no output'])[0]}): check the package index that "
            "pip uses on this host and the room on its disk, then run again."
        )
    return answer.stdout


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
