# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module processes, one installed MLflow for all tests, and hosts that are ended afterwards."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ansible
import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files
from ansible_collections.mlops.mlflow_aws.tests.parts import server_program
from ansible_collections.mlops.mlflow_aws.tests.parts.host import (
    Host,
    Installation,
    Modules,
    install,
)
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, SHARED

# For one lane's installation, for which the others wait.
INSTALL_SECONDS = 600


@pytest.fixture(scope="session")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Modules:
    """Return what runs module files by a Python that sees Ansible, the collection and no more."""
    path = tmp_path_factory.mktemp("path")
    (path / "ansible").symlink_to(Path(ansible.__file__).parent)
    namespace = path / "ansible_collections" / "mlops"
    namespace.mkdir(parents=True)
    (namespace / "mlflow_aws").symlink_to(CHECKOUT)
    return Modules(path, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def runtime_files() -> dict[str, Any]:
    """Return the options of mlflow_installation that name what is installed."""
    return server_program.installation_files()


@pytest.fixture(scope="session")
def installation(
    modules: Modules, runtime_files: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Install MLflow for all tests the hard way: interrupted first, then by two runs at once.

    One lane does it for all.
    """
    shared = os.environ.get(SHARED)
    folder = Path(shared or tmp_path_factory.mktemp("r"))
    kept = folder / "installation.json"
    with files.exclusive(folder / ".lock", INSTALL_SECONDS, "installing MLflow"):
        if not kept.exists():
            made = install(modules, {"state_dir": str(folder / "s"), **runtime_files})
            kept.write_text(json.dumps(dataclasses.asdict(made)))
    yield Installation(**json.loads(kept.read_text()))
    if not shared:
        # Pytest keeps the folders of three sessions, and this is 400 MB.
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def runtime(installation: Installation) -> dict[str, Any]:
    """Return the record of the MLflow that was installed for this session."""
    record: dict[str, Any] = installation.results[0]["installation"]
    return record


@pytest.fixture(scope="session")
def new_host(
    modules: Modules,
    runtime: dict[str, Any],
    free_ports: Callable[[int], list[int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., Host]]:
    """Return a function that makes hosts with projects; their processes are ended afterwards."""
    hosts: list[Host] = []

    def make(*projects: str, folder: str = "s") -> Host:
        host = Host(modules, runtime, tmp_path_factory.mktemp("h") / folder, free_ports)
        hosts.append(host)
        if projects:
            host.make(*projects)
        return host

    yield make
    for host in hosts:
        host.close()


@pytest.fixture
def host(new_host: Callable[..., Host]) -> Iterator[Host]:
    """Return a host that nothing was done to yet."""
    host = new_host()
    yield host
    host.close()
