# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tarball that a release uploads: what is in it, and that it works by itself."""

from __future__ import annotations

import re
import sys
import sysconfig
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.tests.gate.packaged import (
    User,
    build,
    check_by_ways,
    check_main_way,
    user_of,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Installation
from ansible_collections.mlops.mlflow_aws.tests.support import (
    clean_environment,
    copy_collection,
    new_environment,
    run,
)

TOOLS = Path(sys.prefix) / "bin"
MINUTES = 60

# What a checkout collects: environments, caches, earlier builds, results of tests.
JUNK = (
    ".ansible/collections/x",
    ".mypy_cache/x",
    ".pytest_cache/x",
    ".ruff_cache/x",
    ".venv/x",
    ".venvs/test/x",
    "docs/_build/html/x.html",
    "mlops-mlflow_aws-0.0.1.tar.gz",
    "mlruns/0/x",
    "plugins/modules/__pycache__/x.pyc",
    "tests/output/x",
)
NEEDED = {
    "CHANGELOG.md",
    "FILES.json",
    "LICENSE",
    "MANIFEST.json",
    "README.md",
    "changelogs/changelog.yaml",
    "docker/requirements.txt",
    "programs/broker/mlflow_aws_broker/cli.py",
    "programs/broker/mlflow_broker.py",
    "programs/broker/requirements.txt",
    "programs/server/mlflow_aws_server/cli.py",
    "programs/server/mlflow_entry.py",
    "meta/execution-environment.yml",
    "meta/runtime.yml",
    "playbooks/deploy.yml",
    "playbooks/servers.yml",
    "playbooks/verify.yml",
    "plugins/modules/mlflow_server.py",
    "roles/mlflow_server/meta/argument_specs.yml",
}
FORBIDDEN = re.compile(
    r"(\.git|\.ci|\.venvs?|\.ansible|\.\w+_cache|benchmarks|docs/_build|mlruns|tests/output)(/|$)"
    r"|.*\.(pyc|tar\.gz)$"
)


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the collection from a checkout in use."""
    folder = tmp_path_factory.mktemp("package")
    root = copy_collection(folder)
    for name in JUNK:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    return build(root, TOOLS, folder)


def test_contents(tarball: Path, collection_root: Path) -> None:
    """Everything needed is in the tarball, and nothing that a commit would not hold."""
    with tarfile.open(tarball) as archive:
        members = archive.getmembers()
    files = {member.name for member in members if not member.isdir()}
    assert files >= NEEDED, sorted(NEEDED - files)
    assert not {name for name in files if FORBIDDEN.match(name)}
    made = {"FILES.json", "MANIFEST.json"}
    strangers = {name for name in files - made if not (collection_root / name).is_file()}
    assert strangers == set()
    links = [member.name for member in members if member.issym() or member.islnk()]
    assert links == []


@pytest.fixture
def runtimes(installation: Installation, tmp_path: Path) -> Path:
    """Return a folder with the MLflow that is installed for all tests of this Python."""
    folder = tmp_path / "runtimes"
    folder.mkdir(mode=0o700)
    (folder / installation.folder.name).symlink_to(installation.folder)
    return folder


@pytest.fixture
def user(
    tarball: Path, tmp_path: Path, short_folder: Path, free_ports: Callable[[int], list[int]]
) -> Iterator[User]:
    """Return a user who has installed the tarball."""
    ansible, state = new_environment("control"), short_folder / "state"
    with user_of(tarball, tmp_path / "user", ansible, free_ports(2), state) as made:
        yield made


@pytest.mark.timeout(20 * MINUTES)
def test_by_name(user: User, runtimes: Path) -> None:
    """Installed from the tarball, the playbooks do the whole job by their names."""
    check_main_way(user, runtimes)


@pytest.mark.thorough("scripts/quickstart runs, stops and starts with the same playbooks.")
@pytest.mark.timeout(20 * MINUTES)
def test_each_playbook_by_name(user: User, runtimes: Path) -> None:
    """Where deploy ran earlier, deploy, verify and servers change what is left."""
    user.borrow(runtimes)
    user.play("deploy")
    check_by_ways(user)


@pytest.mark.thorough(
    "It judges what a release uploads; ansible-lint and antsibull-docs run every time."
)
@pytest.mark.timeout(10 * MINUTES)
def test_galaxy_importer(tarball: Path, tmp_path: Path) -> None:
    """Galaxy's own importer takes the tarball without an error or a warning.

    Its environment has ansible-core alone; the collection that inventories/aws-ec2 uses is put
    where a user's lies.
    """
    tools = new_environment("galaxy-importer")
    env = clean_environment(tmp_path, tools)
    collections = tmp_path / ".ansible" / "collections" / "ansible_collections"
    collections.mkdir(parents=True)
    here = Path(sysconfig.get_path("purelib")) / "ansible_collections"
    (collections / "amazon").symlink_to(here / "amazon")
    command = [str(tools / "python"), "-m", "galaxy_importer.main", str(tarball)]
    done = run(command, cwd=tmp_path, env=env, timeout=8 * MINUTES)
    assert "Importer processing completed successfully" in done.output, done.output
    complaints = [line for line in done.output.splitlines() if re.match("ERROR|WARNING", line)]
    assert complaints == []
