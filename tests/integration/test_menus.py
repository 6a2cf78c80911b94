# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/mlflow.md names every menu of MLflow's page, and each opens in a browser without a bare error."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import (
    assistant_off,
    jobs_off,
)
from ansible_collections.mlops.mlflow_aws.tests import left_out
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Host, by_name
from ansible_collections.mlops.mlflow_aws.tests.parts.judges import call, expect
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, clean_environment

# The first test may have to install MLflow and a browser.
pytestmark = pytest.mark.timeout(1500)

PAGE = CHECKOUT / "docs" / "mlflow.md"
MENUS = CHECKOUT / "tests" / "parts" / "menus.py"
# The page asks who has signed in; without MLflow's basic authentication nobody has.
USUAL = {"404 GET /ajax-api/2.0/mlflow/users/current", "404 GET /ajax-api/2.0/mlflow/users/list"}
DETECT = "GenAI > Traces > Detect Issues"


@pytest.fixture(scope="module")
def browser_python(
    environment: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the Python that drives a browser, which is installed."""
    home = tmp_path_factory.mktemp("home")
    subprocess.run(
        [CHECKOUT / "scripts" / "_chromium.sh"],
        env=clean_environment(home),
        timeout=1300,
        check=True,
    )
    return environment("browser") / "python"


@pytest.fixture(scope="module")
def host(new_host: Callable[..., Host]) -> Iterator[Host]:
    """Yield a host whose servers have pages."""
    made = new_host("demo")
    yield made
    made.close()


def open_menus(python: Path, home: Path, url: str, *options: str) -> dict[str, dict[str, Any]]:
    """Return what opening each menu brought, by its name; the server has MLflow's own demo."""
    made = expect(url, "POST", "/ajax-api/3.0/mlflow/demo/generate", {})
    experiment = made["experiment_id"]
    found = expect(url, "POST", "/api/2.0/mlflow/runs/search", {"experiment_ids": [experiment]})
    run_id = found["runs"][0]["info"]["run_id"]
    done = subprocess.run(
        [python, MENUS, url, experiment, run_id, *options],
        env=clean_environment(home) | {"PYTHONPATH": str(CHECKOUT / "scripts")},
        capture_output=True,
        text=True,
        timeout=1000,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {menu["name"]: menu for menu in json.loads(done.stdout)}


def documented() -> set[str]:
    """Return the menus in the page's first table."""
    return set(re.findall(r"^\| \*\*(.+?)\*\* \|", PAGE.read_text(), re.MULTILINE))


@pytest.mark.thorough("e2e/test_page.py opens the page, an experiment and a run every time.")
@pytest.mark.parametrize("jobs", [False, True])
def test_every_menu_opens(host: Host, browser_python: Path, tmp_path: Path, *, jobs: bool) -> None:
    """The document has each; none answers with an error, throws, or says that something went wrong."""
    record = by_name(host.converge(host.server("demo") | {"jobs": jobs}))["demo"]
    options = () if jobs else ("--detect-issues",)
    menus = open_menus(browser_python, tmp_path, record["url"], *options)
    detected = menus.pop(DETECT, None)
    assert set(menus) == documented()
    for name, menu in menus.items():
        assert set(menu["answers"]) <= USUAL, name
        assert not menu["exceptions"], name
        assert not menu["said"], name
    if detected:
        route = ("POST", "/mlflow/issues/invoke")
        assert set(detected["answers"]) - USUAL == {
            f"{jobs_off.STATUS} POST /ajax-api/3.0{route[1]}"
        }
        assert jobs_off.sentence(route) in detected["said"]


@pytest.mark.parametrize("on", left_out.params([False], [True], "It is off every time."))
def test_the_assistant_runs_commands_for_nobody(host: Host, *, on: bool) -> None:
    """Unless the project wants it: then MLflow lets a client of this host allow itself everything."""
    record = by_name(host.converge(host.server("demo") | {"assistant": on}))["demo"]
    root = "/ajax-api/3.0/mlflow/assistant"
    allow = {"providers": {"ollama": {"selected": True, "permissions": {"full_access": True}}}}
    status, answer = call(record["url"], "PUT", f"{root}/config", allow)
    if on:
        assert (status, answer["providers"]["ollama"]["permissions"]["full_access"]) == (200, True)
        return
    assert (status, answer["message"]) == (assistant_off.STATUS, assistant_off.SENTENCE)
    assert call(record["url"], "POST", f"{root}/message", {"message": "ls"})[0] == 403
    assert expect(record["url"], "GET", f"{root}/config", None)["remote_access_allowed"] is False
