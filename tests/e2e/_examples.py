# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the examples and of the project page share."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

from ansible_collections.mlops.mlflow_aws.tests.support import (
    CHECKOUT,
    Done,
    clean_environment,
    run,
)

EXAMPLES = CHECKOUT / "examples"
RUN_SECONDS = 180
# Servers under test listen on this machine: never ask a proxy for them.
OPENER = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class User:
    """A newcomer: an activated environment, an empty HOME, and a server's address if any."""

    python: Path
    home: Path
    server: str | None = None

    def environment(self, **more: str) -> dict[str, str]:
        """Return what programs of this user see."""
        variables = clean_environment(self.home, self.python.parent)
        # Not something that a user has to set: our tests talk to nobody outside.
        variables["MLFLOW_DISABLE_TELEMETRY"] = "true"
        if self.server is not None:
            variables["MLFLOW_TRACKING_URI"] = self.server
        return variables | more

    def run(self, *command: str | Path, check: bool = True, **more: str) -> Done:
        """Run a command from a folder outside the checkout."""
        environment = self.environment(**more)
        return run(command, cwd=self.home, env=environment, timeout=RUN_SECONDS, check=check)


def get(server: str, endpoint: str, **query: str) -> bytes:
    """Ask the server for one address."""
    with OPENER.open(f"{server}/{endpoint}?{urlencode(query)}", timeout=30) as response:
        body: bytes = response.read()
    return body


def api(server: str, endpoint: str, **query: str) -> Any:
    """Read from the server's REST API, without MLflow's client."""
    return json.loads(get(server, f"api/2.0/mlflow/{endpoint}", **query))


def logged_page(output: str) -> tuple[str, str]:
    """Find the experiment and run ids in what tracking.py printed."""
    found = re.search(r"^Logged the run .*/#/experiments/(\w+)/runs/(\w+)$", output, re.MULTILINE)
    assert found, output
    return found[1], found[2]
