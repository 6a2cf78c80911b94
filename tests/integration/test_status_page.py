# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page that the playbook status writes, opened from its file by a browser without a network."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._data import status_page
from ansible_collections.mlops.mlflow_aws.tests.parts import status_sample
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, clean_environment

# The first test may have to install a browser.
pytestmark = pytest.mark.timeout(1500)

VISIT = CHECKOUT / "tests" / "parts" / "status_visit.py"
MANY = tuple(f"project-{number:02}-with-a-long-name" for number in range(50))


@pytest.fixture(scope="module")
def browser_python(
    environment: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the Python that drives a browser, which is installed."""
    subprocess.run(
        [CHECKOUT / "scripts" / "_chromium.sh"],
        env=clean_environment(tmp_path_factory.mktemp("home")),
        timeout=1300,
        check=True,
    )
    return environment("browser") / "python"


def visit(python: Path, folder: Path, document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what a browser finds, by the way in which it looks."""
    page = folder / "status page.html"
    page.write_text(status_page.page(document), encoding="utf-8")
    own = {"PYTHONPATH": str(CHECKOUT / "scripts")}
    done = subprocess.run(
        [python, VISIT, page, folder],
        env=clean_environment(folder) | own,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {found["name"]: found for found in json.loads(done.stdout)}


@pytest.mark.parametrize("names", [status_sample.NAMES, MANY], ids=["a few", "many"])
def test_the_page_opens_without_a_network(
    names: tuple[str, ...], browser_python: Path, tmp_path: Path
) -> None:
    """It asks for nothing, fits phones, is dark where one wants that, and has all of its rows' cells."""
    found = visit(browser_python, tmp_path, status_sample.document(names))
    assert set(found) == {"desktop", "dark", "phone"}
    for view in found.values():
        assert (view["asked"], view["said"]) == ([], [])
        assert (view["wider"], view["cut_off"]) == (0, 0), view["name"]
        assert view["headings"][0] == "MLflow projects"
        assert view["images"] == 4
        # A phone leaves out what says nothing.
        assert view["cells"] == 11 or (view["name"] == "phone" and view["cells"] > 8)
    assert found["desktop"]["background"] != found["dark"]["background"]
    for part in (names[0], "present", "3.17.2", status_sample.HEAD):
        assert part in found["phone"]["row"]
        assert part in found["desktop"]["row"]
