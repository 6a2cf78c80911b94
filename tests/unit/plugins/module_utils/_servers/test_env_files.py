# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that hold a server's address: there while it runs, and only written when they differ."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.env_files import EnvFiles
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import (
    KEEP,
    REMOVE,
    START,
    STOP,
    FoundServer,
    Step,
    WantedServer,
)

TEXT = "export MLFLOW_TRACKING_URI=http://127.0.0.1:5001\n"
DEMO = WantedServer("demo", "present", {"host": "0.0.0.0", "port": 5001})
RUNNING, ENDED = FoundServer("demo", running=True), FoundServer("demo", known=True)


@pytest.fixture
def env_files(tmp_path: Path) -> EnvFiles:
    """Return the files of a host that has none."""
    return EnvFiles(tmp_path / "state" / "env", "mlflow")


@pytest.mark.parametrize(
    "step", [Step("demo", START, DEMO, ENDED), Step("demo", KEEP, DEMO, RUNNING)]
)
def test_a_server_that_runs_has_one(env_files: EnvFiles, step: Step) -> None:
    """With the address by which this host reaches it; a second look finds nothing to do."""
    differing = env_files.differing([step])
    assert differing == {"demo": TEXT}
    assert not env_files.folder.exists()
    env_files.write(differing)
    path = env_files.folder / "mlflow-demo.env"
    assert path.read_text() == TEXT
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert env_files.differing([step]) == {}


@pytest.mark.parametrize(
    "step",
    [
        Step("demo", STOP, DEMO, RUNNING),
        Step("demo", REMOVE, DEMO, RUNNING),
        Step("demo", KEEP, DEMO, ENDED),
        Step("demo", STOP, None, RUNNING),
    ],
)
def test_one_that_does_not_run_has_none(env_files: EnvFiles, step: Step) -> None:
    """An address where nobody answers would be a trap."""
    assert env_files.differing([step]) == {}
    env_files.write({"demo": TEXT})
    differing = env_files.differing([step])
    assert differing == {"demo": None}
    env_files.write(differing)
    assert list(env_files.folder.iterdir()) == []


def test_inventories_share_a_folder(env_files: EnvFiles) -> None:
    """Each has files of its own, as it has containers of its own."""
    other = EnvFiles(env_files.folder, "other")
    step = Step("demo", KEEP, DEMO, RUNNING)
    env_files.write(env_files.differing([step]))
    assert other.differing([step]) == {"demo": TEXT}
