# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that installs MLflow, as a process, with pip and the package index."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Installation, Modules
from ansible_collections.mlops.mlflow_aws.tests.support import clean_environment, run

# The first test has to install MLflow.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def options(tmp_path: Path, runtime_files: dict[str, Any]) -> dict[str, Any]:
    """Return the options of mlflow_installation for a state folder that is not there yet."""
    return {"state_dir": str(tmp_path / "state"), **runtime_files}


def test_check_mode_makes_nothing(installation: Installation) -> None:
    """It tells the truth before anything is there, and where an installation was interrupted."""
    for foretold in (installation.foretold, installation.half):
        assert foretold["changed"] is True
        assert foretold["installation"]["installed"] is False
        assert foretold["diff"] == installation.foretold["diff"]
    assert installation.nothing_made


def test_interrupted_and_then_run_twice_at_once(installation: Installation) -> None:
    """A half installed runtime is made anew, by one of the two, and once only."""
    first, second = installation.results
    assert {first["changed"], second["changed"]} == {False, True}
    record = first["installation"]
    assert record == second["installation"]
    planned = installation.foretold["installation"]
    assert record == planned | {"installed": True}
    runtimes = installation.folder.parent
    assert [path.name for path in runtimes.glob("[!.]*")] == [installation.folder.name]
    assert stat.S_IMODE(runtimes.stat().st_mode) == 0o700


def test_what_is_installed_is_whole(installation: Installation) -> None:
    """What MLflow tells of itself is kept; every package's files are as its record says."""
    told = json.loads((installation.folder / "installed.json").read_text())
    assert told["version"] == installation.foretold["installation"]["version"]
    assert told["head"] in told["revisions"]
    packages = next(installation.folder.glob("venv/lib/*/site-packages"))
    # pip writes RECORD last.
    for metadata in packages.glob("*.dist-info"):
        for line in (metadata / "RECORD").read_text().splitlines():
            path = packages / line.rsplit(",", 2)[0].strip('"')
            assert path.exists() or path.suffix == ".pyc", path


def test_installed_twice_it_is_unchanged(modules: Modules, installation: Installation) -> None:
    """A second run, in check mode or not, finds what it wants."""
    before = (installation.folder / "installed.json").stat()
    for check in (True, False):
        again = modules.call("mlflow_installation", installation.options, check=check)
        assert again["changed"] is False
        assert again["installation"] == installation.results[0]["installation"]
        assert again["diff"]["before"] == again["diff"]["after"]
    assert (installation.folder / "installed.json").stat() == before


def test_without_an_index(
    modules: Modules, options: dict[str, Any], installation: Installation
) -> None:
    """What is there without a stamp is not trusted; the sentence says what is missing."""
    folder = Path(options["state_dir"]) / "runtimes" / installation.folder.name
    (folder / "venv" / "bin").mkdir(parents=True)
    (folder / "venv" / "bin" / "python").symlink_to(
        installation.results[0]["installation"]["python"]
    )
    empty = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": str(folder)}
    sentence = modules.refuse("mlflow_installation", options, **empty)
    assert sentence.startswith("MLflow could not be installed (Could not find a version")
    assert sentence.endswith(
        "); check the package index that pip uses on this host and the space on its disk, then rerun."
    )
    assert not (folder / "installed.json").exists()
    assert modules.call("mlflow_installation", options, check=True)["changed"] is True


def test_another_file_than_the_lock_s_is_refused(
    modules: Modules, options: dict[str, Any], installation: Installation
) -> None:
    """The hash decides, whatever the index offers."""
    version = installation.results[0]["installation"]["version"]
    lock = f"mlflow=={version} --hash=sha256:{'0' * 64}"
    sentence = modules.refuse("mlflow_installation", options | {"requirements": [lock]})
    assert sentence.startswith("MLflow could not be installed (THESE PACKAGES DO NOT MATCH")


def test_a_step_that_takes_too_long_is_ended(modules: Modules, options: dict[str, Any]) -> None:
    """With the variable that allows it more."""
    result = modules.refuse("mlflow_installation", options | {"timeout": 1})
    assert result == "Installing MLflow took over 1 seconds; raise mlflow_server_install_timeout."


@pytest.mark.parametrize("given", ["/bin/false", "/nowhere/python3"])
def test_a_python_that_will_not_do(given: str, modules: Modules, options: dict[str, Any]) -> None:
    """The variable and the remedy, before anything is made."""
    sentence = modules.refuse("mlflow_installation", options | {"python": given})
    assert sentence.startswith(f"{given} is not a Python 3.11 or newer with venv and ensurepip; ")
    assert not Path(options["state_dir"]).exists()


def test_the_former_name_still_works(modules: Modules, tmp_path: Path) -> None:
    """Until 1.0.0, with a warning that says so and both names of what is returned."""
    options = {
        "state_dir": str(tmp_path / "state"),
        "requirements": ["mlflow==1"],
        "programs": {"mlflow_entry.py": ""},
    }
    tools = Path(sys.prefix) / "bin"
    environment = clean_environment(tmp_path, tools)
    command = [str(tools / "ansible"), "localhost", "--inventory", "localhost,"]
    command += ["--connection", "local"]
    command += ["--check", "--extra-vars", f"ansible_python_interpreter={sys.executable}"]
    command += ["--module-name", "mlops.mlflow_aws.mlflow_runtime", "--args", json.dumps(options)]
    done = run(
        command,
        cwd=tmp_path,
        env=environment | {"ANSIBLE_COLLECTIONS_PATH": str(modules.path)},
        timeout=120,
    )
    assert (
        "Use mlops.mlflow_aws.mlflow_installation instead. This feature will be removed"
        in done.output
    )
    assert "from collection 'mlops.mlflow_aws' version 1.0.0" in done.output
    result = json.loads(done.output[done.output.index("{") : done.output.rindex("}") + 1])
    assert result["runtime"] == result["installation"]
    assert result["installation"]["version"] == "1"
