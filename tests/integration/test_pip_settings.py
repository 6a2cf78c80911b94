# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's pip settings say how the index is reached; where and what is installed they do not.

Real pip, a real index on loopback, and small packages in place of MLflow's hundred.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import venv
from ansible_collections.mlops.mlflow_aws.tests import left_out
from ansible_collections.mlops.mlflow_aws.tests.parts.host import HOST_PYTHON, Modules
from ansible_collections.mlops.mlflow_aws.tests.parts.package_index import Index, serving
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, Done, run

pytestmark = pytest.mark.timeout(600)

# In place of programs/server/mlflow_entry.py: what it imports must be there.
ENTRY = """
import sys
import mlflow, mlflow_helper
if sys.argv[1] == "describe":
    print('{"version": "1.0", "head": "h", "revisions": ["h"]}')
"""
# What would move packages or change which ones come: lines of pip.conf, and variables.
LINES = """
user = true
target = {elsewhere}
prefix = {elsewhere}
root = {elsewhere}
dry-run = true
constraint = {elsewhere}/none.txt
python = /nowhere/python
require-virtualenv = maybe
quiet = 3
log = /nowhere/log
"""
VARIABLES = {
    "PIP_USER": "1",
    "PIP_TARGET": "{elsewhere}",
    "PIP_PREFIX": "{elsewhere}",
    "PIP_ROOT": "{elsewhere}",
    "PIP_DRY_RUN": "1",
    "PIP_NO_BINARY": ":all:",
    "PIP_REPORT": "{elsewhere}/report",
    "PIP_PYTHON": "/nowhere/python",
}
# Those that pip obeys without a word, and then all.
MOVED: dict[str, tuple[str, dict[str, str]]] = {
    "target in pip.conf": ("target = {elsewhere}", {}),
    "PIP_PREFIX": ("", {"PIP_PREFIX": "{elsewhere}"}),
    "all of them": (LINES, VARIABLES),
}


@dataclass(frozen=True)
class User:
    """Somebody with pip settings of their own, and the index that their pip.conf names."""

    index: Index
    locks: list[str]
    home: Path

    @property
    def elsewhere(self) -> Path:
        """Return where their settings would put packages."""
        return self.home / "elsewhere"

    def settings(self, lines: str = "", **variables: str) -> dict[str, str]:
        """Write their pip.conf, which names the index, and return their environment."""
        conf = self.home / ".config" / "pip" / "pip.conf"
        conf.parent.mkdir(parents=True, exist_ok=True)
        text = f"[global]\nindex-url = {self.index.url}\n[install]\n{lines}\n"
        conf.write_text(text.replace("{elsewhere}", str(self.elsewhere)))
        own = {
            name: text.replace("{elsewhere}", str(self.elsewhere))
            for name, text in variables.items()
        }
        # Nothing of this machine's: the index is on loopback.
        return {"HOME": str(self.home), "PATH": os.defpath, "PIP_CONFIG_FILE": str(conf), **own}

    def environment(self, environment: dict[str, str]) -> Done:
        """Run scripts/_venv.py for an environment from the lock; it may fail."""
        lock = self.home / "lock.txt"
        lock.write_text("".join(self.locks))
        program = str(CHECKOUT / "scripts" / "_venv.py")
        command = [HOST_PYTHON, "-I", program, str(self.home / "env"), str(lock)]
        return run(command, cwd=self.home, env=environment, timeout=200, check=False)

    def options(self) -> dict[str, Any]:
        """Return the options of mlflow_installation for these packages."""
        return {
            "state_dir": str(self.home / "state"),
            "requirements": self.locks,
            "programs": {"mlflow_entry.py": ENTRY},
            "python": HOST_PYTHON,
        }


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    """Give a user, and an index with two packages."""
    with ExitStack() as stack:
        index = stack.enter_context(serving(tmp_path / "index"))
        locks = [
            index.add("mlflow", "1.0", {"mlflow/__init__.py": ""}),
            index.add("mlflow_helper", "1.0", {"mlflow_helper.py": ""}),
        ]
        (tmp_path / "home").mkdir()
        yield User(index, locks, tmp_path / "home")


def packages(folder: Path) -> set[str]:
    """Return the names of our packages that are installed in an environment."""
    return {path.name for path in folder.glob("lib/*/site-packages/mlflow*-1.0.dist-info")}


BOTH = {"mlflow-1.0.dist-info", "mlflow_helper-1.0.dist-info"}


@pytest.mark.parametrize(
    "setting",
    left_out.params(list(MOVED)[-1:], list(MOVED)[:-1], "All of them at once run every time."),
)
def test_nothing_moves_a_checkouts_environment(user: User, setting: str) -> None:
    """It holds what the lock names, from the index of pip.conf, and nothing lies elsewhere."""
    lines, variables = MOVED[setting]
    done = user.environment(user.settings(lines, **variables))
    assert done.code == 0, done.output
    assert packages(user.home / "env") == BOTH
    assert not user.elsewhere.exists()
    assert any(path.endswith(".whl") for path in user.index.asked)


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_uv_installs_as_pip_would(
    user: User, environment: Callable[..., Path], installer: str
) -> None:
    """From the index of pip.conf and nowhere else; where uv fails, pip installs."""
    uv = environment("lock") / "uv" if installer == "uv" else "/nowhere/uv"
    done = user.environment(user.settings(LINES, **VARIABLES, MLFLOW_AWS_UV=str(uv)))
    assert done.code == 0, done.output
    assert packages(user.home / "env") == BOTH
    assert not user.elsewhere.exists()
    assert any(path.endswith(".whl") for path in user.index.asked)
    (told,) = (user.home / "env").glob("lib/*/site-packages/mlflow-1.0.dist-info/INSTALLER")
    assert told.read_text().strip() == installer


def test_nothing_moves_a_runtime(user: User, modules: Modules) -> None:
    """A host's MLflow is in its own folder, whatever its pip.conf says; a broken one is repaired."""
    how = user.settings(LINES, **VARIABLES) | {"PYTHONPATH": str(modules.path)}
    made = modules.call("mlflow_installation", user.options(), **how)
    assert made["changed"] is True
    assert packages(Path(made["installation"]["path"]) / "venv") == BOTH
    assert not user.elsewhere.exists()
    assert any(path.endswith(".whl") for path in user.index.asked)
    assert modules.call("mlflow_installation", user.options(), **how)["changed"] is False
    (helper,) = Path(made["installation"]["path"]).glob("venv/lib/*/site-packages/mlflow_helper.py")
    helper.unlink()
    foretold = modules.call("mlflow_installation", user.options(), check=True, **how)
    assert foretold["changed"] is True
    assert not helper.exists()
    assert modules.call("mlflow_installation", user.options(), **how)["changed"] is True
    assert helper.is_file()


def test_a_variable_comes_before_the_file(user: User) -> None:
    """As with pip itself: an index in PIP_INDEX_URL is asked, not the one of pip.conf."""
    environment = user.settings(PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="0")
    done = user.environment(environment)
    assert done.code == 1
    assert "the package index cannot be reached" in done.output
    assert user.index.asked == []


@pytest.mark.thorough("A runtime that lacks a file is repaired every time, by the same look.")
def test_an_emptied_environment_is_made_again(user: User) -> None:
    """The stamp alone says nothing: what must be there is looked for, and repaired."""
    environment = user.settings()
    assert user.environment(environment).code == 0
    assert user.environment(environment).output == ""
    (site,) = (user.home / "env").glob("lib/*/site-packages")
    (site / "mlflow_helper.py").unlink()
    done = user.environment(environment)
    assert done.code == 0, done.output
    assert (site / "mlflow_helper.py").is_file()
    for path in site.glob("mlflow*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert user.environment(environment).code == 0
    assert packages(user.home / "env") == BOTH


@pytest.mark.thorough(
    "A variable, and settings that would move an installation, are tried every time."
)
def test_a_file_that_pip_cannot_read_is_named(user: User, modules: Modules) -> None:
    """One sentence, without what stands in the file, and no stamp."""
    environment = user.settings()
    conf = Path(environment["PIP_CONFIG_FILE"])
    conf.write_text("[global\nindex-url = http://ada:s3cr3t@127.0.0.1\n")
    done = user.environment(environment)
    assert done.code == 1
    last = done.output.strip().splitlines()[-1]
    assert last.startswith("Installing home/lock.txt failed: pip's settings cannot be read (")
    assert str(conf) in last
    how = environment | {"PYTHONPATH": str(modules.path)}
    sentence = modules.refuse("mlflow_installation", user.options(), **how)
    assert sentence.startswith("MLflow could not be installed: pip's settings cannot be read (")
    assert str(conf) in sentence
    assert "s3cr3t" not in done.output + sentence


def test_what_is_installed_must_import(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is there and broken fails the installation, before anything is stamped."""
    broken = user.index.add("mlflow_broken", "1.0", {"mlflow_broken.py": "import nothing_such"})
    for name in [one for one in os.environ if one.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name, text in user.settings().items():
        monkeypatch.setenv(name, text)
    with pytest.raises(MlflowError, match=r"The keeper could not be installed .*nothing_such"):
        venv.install(
            user.home / "tunnel", HOST_PYTHON, [broken], {}, 120, "the keeper", ["mlflow_broken"]
        )


@pytest.mark.thorough("test_isolation.py holds the same for what runs every time.")
def test_a_python_path_reaches_neither_pip_nor_its_environment(user: User) -> None:
    """A pip, or a module of pip's, on PYTHONPATH is not the one that installs."""
    trap = user.home / "trap"
    for name in ("pip", "venv", "ensurepip"):
        (trap / name).mkdir(parents=True)
        (trap / name / "__init__.py").write_text("")
        (trap / name / "__main__.py").write_text("raise SystemExit('trapped')")
    environment = user.settings() | {"PYTHONPATH": str(trap), "PYTHONSTARTUP": "/nowhere"}
    done = user.environment(environment)
    assert done.code == 0, done.output
    assert packages(user.home / "env") == BOTH
