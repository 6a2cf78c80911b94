# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file from which MLflow reads when and where to archive traces."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import yaml
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import (
    access,
    archival,
    environment,
    errors,
)


@pytest.mark.parametrize(
    ("root", "location"),
    [
        ("s3://bucket/projects/demo", "s3://bucket/projects/demo/trace-archive"),
        ("/s/a b/demo/artifacts/", "file:///s/a%20b/demo/artifacts/trace-archive"),
    ],
)
def test_traces_are_archived_below_the_artifacts(root: str, location: str, tmp_path: Path) -> None:
    """In the one place that the project's server can write to."""
    given = {"retention": "30d", "interval_seconds": 60}
    settings = {"artifacts_destination": root, "trace_archival": given}
    named = archival.variables(settings, tmp_path)
    path = Path(named.pop("MLFLOW_TRACE_ARCHIVAL_CONFIG"))
    assert named == {}
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert yaml.safe_load(path.read_text()) == {
        "trace_archival": {
            "enabled": True,
            "location": location,
            "retention": "30d",
            "interval_seconds": 60,
        }
    }
    assert list(tmp_path.iterdir()) == [path]


def test_there_is_a_folder_for_the_file(tmp_path: Path) -> None:
    """Also with a database that needs none; if it lacks, the setting is not ignored."""
    settings = {"artifacts_destination": "/s", "trace_archival": {"retention": "1d"}}
    with pytest.raises(errors.EntryError, match="private folder"):
        archival.variables(settings, None)
    path = tmp_path / "settings.json"
    path.write_text("{}")
    with access.access(settings, path):
        assert archival.variables(settings, environment.private())
    del os.environ[environment.PRIVATE_VARIABLE]


def test_without_the_setting_there_is_no_file(tmp_path: Path) -> None:
    """And no variable."""
    assert archival.variables({"artifacts_destination": "/s"}, tmp_path) == {}
    assert list(tmp_path.iterdir()) == []
