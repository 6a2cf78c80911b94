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
)


@pytest.mark.parametrize(
    ("root", "uri"),
    [
        ("s3://bucket/root/projects/demo", "s3://bucket/root/projects/demo"),
        ("/s/projects/demo/artifacts/", "file:///s/projects/demo/artifacts"),
        ("/s #/artifacts", "file:///s%20%23/artifacts"),
    ],
)
def test_traces_are_archived_below_the_artifacts(root: str, uri: str, tmp_path: Path) -> None:
    """In the one place that the project's server can write to, by a URI, as MLflow refuses a path."""
    given = {"retention": "30d", "interval_seconds": 60}
    settings = {"artifacts_destination": root, "trace_archival": given}
    named = archival.variables(settings, tmp_path)
    path = Path(named.pop("MLFLOW_TRACE_ARCHIVAL_CONFIG"))
    assert named == {}
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert yaml.safe_load(path.read_text()) == {
        "trace_archival": {
            "enabled": True,
            "location": f"{uri}/trace-archive",
            "retention": "30d",
            "interval_seconds": 60,
        }
    }
    assert list(tmp_path.iterdir()) == [path]


def test_any_server_has_a_folder_for_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one without AWS, a password or metrics."""
    monkeypatch.setattr(os, "environ", {})
    with access.access({"artifacts_destination": "/s"}, tmp_path / "settings.json"):
        assert environment.private() is None
    settings = {"artifacts_destination": "/s", "trace_archival": {"retention": "30d"}}
    with access.access(settings, tmp_path / "settings.json"):
        assert set(archival.variables(settings, environment.private())) == {archival.VARIABLE}


def test_without_the_setting_there_is_no_file(tmp_path: Path) -> None:
    """And no variable."""
    assert archival.variables({"artifacts_destination": "/s"}, tmp_path) == {}
    assert list(tmp_path.iterdir()) == []
