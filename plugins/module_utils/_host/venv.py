# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: finds a host's Python, and installs locked sets into folders of their own."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import sys
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _requirements
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import (
    commands,
    files,
    paths,
    pip,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import interpreter as isolation

OLDEST_PYTHON = (3, 11)
_CANDIDATES = ("python3.13", "python3.12", "python3.11", "python3.14", "python3", "python")
# What pip and MLflow need of a Python; Debian ships venv and ensurepip apart.
_CHECK = "import sys, venv, ensurepip, sqlite3, ssl; print('%d.%d' % sys.version_info[:2])"
_OWN_PYTHON = os.path.realpath(sys.executable)
_PARTS = ("venv", "ensurepip", "_sqlite3", "_ssl")
_REQUIREMENTS = "requirements.txt"
_REACH = "check the package index that pip uses on this host and the space on its disk, then rerun"


def files_digest(requirements: t.Sequence[str], programs: t.Mapping[str, str]) -> str:
    """Return what stands for the files of an installation, wherever they are read."""
    return digest([sorted(programs.items()), *requirements])


def digest(parts: t.Sequence[t.Any]) -> str:
    """Return what stands for these parts in a folder's name."""
    return hashlib.sha256(json.dumps(parts).encode("utf-8")).hexdigest()[:12]


def interpreter(folder: Path) -> Path:
    """Return the Python of what is installed in a folder."""
    return folder / "venv" / "bin" / "python"


def install(
    folder: Path,
    base: str,
    requirements: t.Sequence[str],
    programs: t.Mapping[str, str],
    timeout: float,
    what: str,
    imports: t.Sequence[str] = (),
) -> None:
    """Install locked requirements into a new folder, with the Python base, and write programs beside.

    timeout is in seconds for each step; what names the whole in errors; imports are modules that
    must work in the end. Raises MlflowError.
    """
    if folder.exists():
        shutil.rmtree(folder)
    files.make_folder(folder)
    files.write_private(folder / _REQUIREMENTS, "\n".join(requirements))
    for name, text in programs.items():
        files.make_folder((folder / name).parent)
        files.write_private(folder / name, text)
    python = str(interpreter(folder))
    run(isolation.isolated(base, "-m", "venv", str(folder / "venv")), timeout, what)
    # Only what a server imports is compiled, by whoever knows what that is.
    _pip(folder, _REQUIREMENTS, timeout, what, "--no-compile")
    absent = lacking(folder)
    if absent:
        raise MlflowError(
            f"{_start(what)} could not be installed: pip put {', '.join(absent[:3])} outside "
            f"{folder / 'venv'}; check `pip config list` on this host, then rerun."
        )
    if imports:
        run(isolation.isolated(python, "-c", f"import {', '.join(imports)}"), timeout, what)


def add(folder: Path, requirements: str, timeout: float, what: str) -> None:
    """Install more locked requirements into what was installed into a folder, and compile them.

    timeout is in seconds for each step; what names the whole in errors. Raises MlflowError.
    """
    files.write_private(folder / _requirements.FILE, requirements)
    # To build one from its source, pip would fetch and run tools of no lock.
    _pip(folder, _requirements.FILE, timeout, what, "--only-binary=:all:")


def taken(folder: Path) -> int:
    """Return how many bytes the packages take that were added to what was installed into a folder."""
    try:
        lock = (folder / _requirements.FILE).read_text(encoding="utf-8")
    except OSError:
        return 0
    return pip.size(folder / "venv", pip.named(lock))


def _pip(folder: Path, file: str, timeout: float, what: str, *options: str) -> None:
    """Let the pip of a folder's environment install a lock that lies in the folder."""
    python = str(interpreter(folder))
    try:
        reach = pip.environment(python, isolation.environment())
    except pip.PipError as error:
        raise MlflowError(f"{_start(what)} could not be installed: {error}") from error
    run(
        isolation.isolated(
            python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            "--no-input", "--no-deps", "--require-hashes", *options, "-r", str(folder / file),
        ),
        timeout,
        what,
        reach,
    )  # fmt: skip


def lacking(folder: Path) -> list[str]:
    """Return the packages that a folder's environment is to have and lacks, or has in parts."""
    try:
        lock = (folder / _REQUIREMENTS).read_text(encoding="utf-8")
    except OSError:
        return [_REQUIREMENTS]
    added = folder / _requirements.FILE
    locks = [lock, *([added.read_text(encoding="utf-8")] if added.is_file() else [])]
    return pip.missing(folder / "venv", pip.pinned(*locks))


def is_whole(folder: Path) -> bool:
    """Return whether what was installed into a folder is still there, and its Python runs."""
    return python_version(str(interpreter(folder))) is not None and not lacking(folder)


def python_version(python: str) -> tuple[int, int] | None:
    """Return the interpreter's version, or None where it does not run or lacks a module.

    A program of the right name may be a shim without an interpreter behind it, so it is run. The
    one that runs this, of which an environment has but a link, has no need to be.
    """
    if os.path.realpath(python) == _OWN_PYTHON:
        complete = all(importlib.util.find_spec(name) for name in _PARTS)
        return sys.version_info[:2] if complete else None
    try:
        answer = commands.run(
            isolation.isolated(python, "-c", _CHECK), 30, f"{python} failed", "install it again"
        )
    except MlflowError:
        return None
    major, _dot, minor = answer.output.strip().partition(".")
    if answer.code != 0 or not (major.isdecimal() and minor.isdecimal()):
        return None
    return int(major), int(minor)


def base_python(given: str | None) -> tuple[str, tuple[int, int]]:
    """Return the first usable interpreter and its version."""
    given = paths.host_program("mlflow_server_base_python", given) if given else None
    for name in [given] if given else [sys.executable, *_CANDIDATES]:
        path = shutil.which(name)
        version = python_version(path) if path else None
        if path and version and version >= OLDEST_PYTHON:
            return path, version
    wanted = ".".join(map(str, OLDEST_PYTHON))
    where = f"{given} is not" if given else "No interpreter on this host is"
    raise MlflowError(
        f"{where} a Python {wanted} or newer with venv and ensurepip; install one (on Debian and "
        "Ubuntu the package python3-venv) or set mlflow_server_base_python to its path."
    )


def _start(what: str) -> str:
    """Return a name as the beginning of a sentence."""
    return what[:1].upper() + what[1:]


def run(
    command: t.Sequence[str],
    timeout: float,
    what: str,
    environment: t.Mapping[str, str] | None = None,
    remedy: str = _REACH,
) -> str:
    """Run one step of installing what is named, and return what it printed.

    Without a remedy, what the step says of its failure has one.
    """
    try:
        answer = commands.run(
            command,
            timeout,
            f"{_start(what)} could not be installed",
            "install what is missing",
            environment=isolation.environment() if environment is None else environment,
            merged=True,
            # Keeps the lock while pip still writes, should this process be killed.
            keep_locks=True,
        )
    except commands.Overdue as error:
        raise MlflowError(
            f"Installing {what} took over {timeout:.0f} seconds; raise mlflow_server_install_timeout."
        ) from error
    if answer.code != 0:
        why = f" ({answer.reason}); {remedy}" if remedy else f": {answer.reason}"
        raise MlflowError(f"{_start(what)} could not be installed{why}.")
    return answer.output
