# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tarball on the supported releases of ansible-core, each with a Python that it takes."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.tests.gate.ansible_test import AnsibleTest, check_sanity
from ansible_collections.mlops.mlflow_aws.tests.gate.packaged import (
    build,
    check_by_ways,
    check_main_way,
    check_plan,
    user_of,
)
from ansible_collections.mlops.mlflow_aws.tests.support import (
    NEEDS,
    clean_environment,
    find_python,
    new_environment,
    run,
)

TOOLS = Path(sys.prefix) / "bin"
MINUTES = 60

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"

# Release, its lock in requirements/, and the Pythons with which the lock gives this release.
RELEASES = [
    ("2.19", "control", ("3.11",)),
    ("2.20", "control-2.20", ("3.13", "3.12", "3.14")),
    ("2.21", "control", ("3.13", "3.12", "3.14")),
]
# test_package.py does the same with the one that control.txt gives to this Python.
OTHERS = [row for row in RELEASES if row[1] != "control" or HERE not in row[2]]


def on(releases: list[tuple[str, str, tuple[str, ...]]]) -> pytest.MarkDecorator:
    """Run a test on each of these releases."""
    ids = [row[0] for row in releases]
    return pytest.mark.parametrize("ansible", releases, ids=ids, indirect=True)


@pytest.fixture
def ansible(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return the bin folder of an environment with this release of ansible-core."""
    release, lock, pythons = request.param
    python = find_python(*pythons)
    if python is None:
        *others, last = sorted(pythons)
        wanted = f"{', '.join(others)} or {last}" if others else last
        pytest.skip(
            f"{NEEDS}Python {wanted} for ansible-core {release}, and none works here:"
            " install one, with its venv module."
        )
    tools = new_environment(f"core-{release}", lock, python=python)
    env = clean_environment(tmp_path, tools)
    version = run([tools / "ansible", "--version"], cwd=tmp_path, env=env, timeout=60).output
    assert re.match(rf"ansible \[core {re.escape(release)}\.", version), version
    return tools


@pytest.fixture(scope="module")
def runtimes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder for MLflow, which is the same whatever release of Ansible installs it."""
    folder = tmp_path_factory.mktemp("runtimes")
    folder.chmod(0o700)
    yield folder
    shutil.rmtree(folder)


@on(OTHERS[-1:])
@pytest.mark.timeout(5 * MINUTES)
def test_check_mode(
    ansible: Path,
    collection_root: Path,
    tmp_path: Path,
    short_folder: Path,
    free_ports: Callable[[int], list[int]],
) -> None:
    """On the newest of the other releases, deploy in check mode reports its plan without a warning."""
    tarball = build(collection_root, ansible, tmp_path)
    state = short_folder / "state"
    with user_of(tarball, tmp_path / "user", ansible, free_ports(2), state) as user:
        check_plan(user)


@pytest.mark.thorough(
    "Check mode takes the same playbooks, roles and filters through the newest release."
)
@on(OTHERS)
@pytest.mark.timeout(20 * MINUTES)
def test_by_name(
    ansible: Path,
    collection_root: Path,
    tmp_path: Path,
    short_folder: Path,
    runtimes: Path,
    free_ports: Callable[[int], list[int]],
) -> None:
    """The playbooks of the built collection do their job on this release too."""
    tarball = build(collection_root, ansible, tmp_path)
    state = short_folder / "state"
    with user_of(tarball, tmp_path / "user", ansible, free_ports(2), state) as user:
        check_main_way(user, runtimes)
        assert user.play("deploy").changed > 0
        check_by_ways(user)


# Each release adds sanity tests to those of the one before.
@pytest.mark.thorough("The stage sanity runs the tests of the oldest release.")
@on(OTHERS[-1:])
@pytest.mark.timeout(15 * MINUTES)
def test_sanity(ansible: Path, tmp_path: Path) -> None:
    """The sanity tests of the newest of the other releases pass too."""
    check_sanity(AnsibleTest(tmp_path / "ansible-test", ansible))
