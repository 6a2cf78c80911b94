# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts whose processes are ended afterwards, and the MLflow that is installed for all tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.parts import server_program
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Host, Installation, Modules


@pytest.fixture(scope="session")
def runtime(
    request: pytest.FixtureRequest,
    environment: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """Return the record of the MLflow that was installed for this session.

    Where MLflow alone is looked at, scripts/lock has installed it, and how the module does is not asked.
    """
    if request.config.getoption("markexpr") == "mlflow":
        tools = environment("server", "../docker/requirements")
        entry = server_program.lay_out(tmp_path_factory.mktemp("program"))
        version = json.loads((entry.parent / "mlflow.json").read_text())["version"]
        return {"python": str(tools / "python"), "entrypoint": str(entry), "version": version}
    installation: Installation = request.getfixturevalue("installation")
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
