# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which runtime is wanted, which Python makes it, and which ones are kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import installation, venv
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.installation import (
    Installation,
)

FOLDER = Path("/s/runtimes")
REQUIREMENTS = [
    "alembic==1.16.0 \\\n    --hash=sha256:00\nmlflow==1.20.3 \\\n    --hash=sha256:11\n"
]
PROGRAMS = {"mlflow_entry.py": "code"}
VERSION = sys.version_info[:2]


def folder(requirements: list[str], **programs: str) -> Path:
    """Return the folder of the runtime made of these; a program is named without its ending."""
    files = PROGRAMS | {f"{name}.py": text for name, text in programs.items()}
    return installation.wanted(FOLDER, requirements, files, sys.executable).folder


def program(path: Path, text: str) -> str:
    """Write an executable script and return its path."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_runtime_is_known_by_all_that_goes_into_it() -> None:
    """The same files give the same folder; another lock, entry point or order another one."""
    same = folder(REQUIREMENTS)
    assert same == folder(list(REQUIREMENTS))
    assert same.parent == FOLDER
    assert same.name.startswith("1.20.3-")
    others = {
        folder([*REQUIREMENTS, "supervisor==4.3.0\n"]),
        folder(["supervisor==4.3.0\n", *REQUIREMENTS]),
        folder([REQUIREMENTS[0].replace("sha256:00", "sha256:22")]),
        folder(REQUIREMENTS, mlflow_entry="other code"),
        folder(REQUIREMENTS, more="code"),
    }
    assert len(others | {same}) == 6


def test_its_files_lie_in_its_folder() -> None:
    """An interpreter and a copy of the entry point."""
    runtime = installation.wanted(FOLDER, REQUIREMENTS, PROGRAMS, sys.executable)
    assert runtime.version == "1.20.3"
    assert runtime.python == runtime.folder / "venv" / "bin" / "python"
    assert runtime.entrypoint == runtime.folder / "mlflow_entry.py"
    assert not runtime.is_installed()


@pytest.mark.parametrize(
    "requirements", [[], ["mlflow-skinny==1.20.3\n"], ["mlflow>=3\n"], ["# mlflow==1.20.3\n"]]
)
def test_requirements_without_mlflow_are_refused(requirements: list[str]) -> None:
    """The version is read from the lock, so it must be there."""
    with pytest.raises(MlflowError, match="pin no mlflow"):
        folder(requirements)


@pytest.mark.parametrize(
    "programs",
    [
        {},
        {"entry.py": ""},
        *(
            {"mlflow_entry.py": "", name: ""}
            for name in ("../x.py", "", "/x.py", "a/../x.py", "./x.py")
        ),
    ],
)
def test_programs_lie_in_the_folder_of_the_entry_point(programs: dict[str, str]) -> None:
    """None of them may lie elsewhere."""
    with pytest.raises(MlflowError, match=r"pass mlflow_entry\.py and the files"):
        installation.wanted(FOLDER, REQUIREMENTS, programs, sys.executable)


def test_this_python_will_do() -> None:
    """It is asked, not guessed from its name."""
    assert venv.python_version(sys.executable) == VERSION


@pytest.mark.parametrize(
    "text",
    ["exit 127", "echo 3.12; exit 1", "kill -9 $$"],
    ids=["broken shim", "lacks a module", "crashes"],
)
def test_a_python_that_does_not_run_is_none(text: str, tmp_path: Path) -> None:
    """A program of the right name may be anything."""
    assert venv.python_version(program(tmp_path / "python3.12", text)) is None
    assert venv.python_version(str(tmp_path / "missing")) is None
    assert venv.python_version(str(tmp_path)) is None


@pytest.mark.parametrize("text", ["echo 3.10", "exit 127", "echo 2.7"])
def test_a_given_python_that_will_not_do_is_named(text: str, tmp_path: Path) -> None:
    """With what is needed, how to get it, and the variable."""
    python = program(tmp_path / "python", text)
    with pytest.raises(MlflowError) as caught:
        installation.wanted(FOLDER, REQUIREMENTS, PROGRAMS, python)
    assert str(caught.value) == (
        f"{python} is not a Python 3.11 or newer with venv and ensurepip; install one (on Debian "
        "and Ubuntu the package python3-venv) or set mlflow_server_base_python to its path."
    )


def test_a_host_without_a_usable_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All candidates are broken: one sentence says so."""
    for name in ("python3.13", "python3.12", "python3.11", "python3", "python"):
        program(tmp_path / name, "exit 127")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", program(tmp_path / "old", "echo 3.9"))
    with pytest.raises(MlflowError) as caught:
        installation.wanted(FOLDER, REQUIREMENTS, PROGRAMS, None)
    assert str(caught.value).startswith(
        "No interpreter on this host is a Python 3.11 or newer with venv and ensurepip; "
    )


def test_a_broken_python_on_the_path_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one that works is taken."""
    program(tmp_path / "python3.13", "exit 127")
    (tmp_path / "python3").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", program(tmp_path / "old", "echo 3.9"))
    runtime = installation.wanted(FOLDER, REQUIREMENTS, PROGRAMS, None)
    assert runtime.base_python == str(tmp_path / "python3")


def test_the_python_that_runs_this_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whatever link it is named, it is known what it has."""
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    monkeypatch.setattr(subprocess, "run", None)
    assert venv.python_version(str(link)) == VERSION
    monkeypatch.setattr(venv, "_PARTS", ("venv", "no_such_module"))
    assert venv.python_version(str(link)) is None


def test_a_runtime_is_found_by_what_it_is_made_of(tmp_path: Path) -> None:
    """Once it is installed to the end, for the same files and the same Python."""
    files = venv.files_digest(REQUIREMENTS, PROGRAMS)
    wanted = installation.wanted(tmp_path, REQUIREMENTS, PROGRAMS, sys.executable)
    wanted.python.parent.mkdir(parents=True)
    wanted.python.symlink_to(sys.executable)
    find = installation.find
    assert find(tmp_path, files, sys.executable) is None
    (wanted.folder / "requirements.txt").write_text("\n".join(REQUIREMENTS))
    packages = [package(wanted.folder, name) for name in ("alembic", "mlflow")]
    stamp = wanted.folder / "installed.json"
    for cut in ("", "{", "{}", '{"version": "1.20.3", "hea'):
        stamp.write_text(cut)
        assert find(tmp_path, files, sys.executable) is None
    stamp.write_text('{"version": "1.20.3", "head": "a", "revisions": ["a"]}')
    assert find(tmp_path, files, sys.executable) == wanted
    assert find(tmp_path, "other", sys.executable) is None
    for path in packages:
        text = path.read_text()
        path.unlink()
        assert find(tmp_path, files, sys.executable) is None
        assert venv.lacking(wanted.folder) == [path.stem]
        path.write_text(text)
    assert find(tmp_path, files, sys.executable) == wanted


def package(folder_: Path, name: str) -> Path:
    """Make a package that looks installed in a runtime's folder; return its one file."""
    packages = folder_ / "venv" / "lib" / "python3.11" / "site-packages"
    metadata = packages / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "RECORD").write_text(f"{name}.py,,\n{name}-1.0.dist-info/RECORD,,\n")
    path = packages / f"{name}.py"
    path.write_text("code")
    return path


def installed(folder_: Path, age: int) -> Path:
    """Make a folder that looks installed so many seconds ago."""
    folder_.mkdir(parents=True)
    stamp = folder_ / "installed.json"
    stamp.write_text("{}")
    seconds = stamp.stat().st_mtime - age
    os.utime(stamp, (seconds, seconds))
    return folder_


def test_the_newest_runtime(tmp_path: Path) -> None:
    """The one installed last, or none; a half installed one does not count."""
    assert installation.newest(tmp_path) is None
    (tmp_path / "half").mkdir()
    assert installation.newest(tmp_path) is None
    installed(tmp_path / "z", 100)
    newest = installed(tmp_path / "a", 10)
    assert installation.newest(tmp_path) == {
        "path": str(newest),
        "python": str(newest / "venv" / "bin" / "python"),
        "entrypoint": str(newest / "mlflow_entry.py"),
    }


def test_old_runtimes_go(tmp_path: Path) -> None:
    """The new one and the one before stay, as servers may still be leaving that one."""
    folders = [installed(tmp_path / name, age) for name, age in (("a", 30), ("b", 20), ("c", 10))]
    current = installed(tmp_path / "new", 0)
    installation._drop_old(Installation(current, "1.20.3", sys.executable))
    assert [path.exists() for path in (*folders, current)] == [False, False, True, True]
