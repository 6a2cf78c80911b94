# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a newcomer does with a clone, and what they read on the screen."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.tests.support import (
    Done,
    clean_environment,
    command_line,
    run,
)

# A cold start installs two environments over the network.
QUICKSTART_SECONDS = 600
_RECAP = re.compile(r"^localhost +: ok=\d+ +changed=(\d+) +unreachable=0 +failed=0", re.MULTILINE)
_HEADER = ["PROJECT", "URL", "HEALTH", "MLFLOW", "RUN"]


@dataclass(frozen=True)
class Row:
    """One line of the closing table."""

    url: str
    health: str
    version: str
    run: str


@dataclass(frozen=True)
class Screen:
    """What scripts/quickstart left on the screen."""

    text: str
    changed: int
    servers: dict[str, Row]


@dataclass(frozen=True)
class Newcomer:
    """Somebody with a clone, an empty HOME and some ports of their own."""

    clone: Path
    home: Path
    base_port: int

    @property
    def state(self) -> Path:
        """Return where the servers keep what they have."""
        return self.home / ".local" / "state" / "mlflow_aws"

    @property
    def projects(self) -> Path:
        """Return the file with the list of projects."""
        return self.clone / "inventories" / "local" / "group_vars" / "mlflow_servers.yml"

    def quickstart(self, *options: str, **variables: str) -> Screen:
        """Run scripts/quickstart, with more in its environment, and read the screen."""
        done = self.try_quickstart(*options, **variables)
        assert done.code == 0, done.output
        recap = _RECAP.search(done.output)
        assert recap, done.output
        return Screen(done.output, int(recap[1]), _table(done.output))

    def try_quickstart(self, *options: str, **variables: str) -> Done:
        """Run scripts/quickstart, which may fail, in the home, with more in its environment."""
        port = [] if "--help" in options else ["-e", f"mlflow_base_port={self.base_port}"]
        command = [str(self.clone / "scripts" / "quickstart"), *options, *port]
        environment = clean_environment(self.home) | variables
        return run(command, cwd=self.home, env=environment, timeout=QUICKSTART_SECONDS, check=False)

    def process_ids(self) -> dict[str, int]:
        """Return the process ids of this newcomer's servers, from the system's own table."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = command_line(process)
            except OSError:
                continue
            if words[-2:-1] == ["serve"] and words[-1].startswith(str(self.state)):
                found[Path(words[-1]).parent.name] = int(process.name)
        return found


def _table(text: str) -> dict[str, Row]:
    """Read the closing table, the last lines of the screen."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.split() == _HEADER]
    assert starts, f"no table in\n{text}"
    rows = (re.split(r"  +", line.strip()) for line in lines[starts[-1] + 1 :])
    # Sentences may follow the table, about data that is kept for example.
    table = itertools.takewhile(lambda row: len(row) == len(_HEADER), rows)
    return {name: Row(*cells) for name, *cells in table}
