# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an import reads on a host."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._data import sources
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError


def test_folders_are_those_that_hold_files(tmp_path: Path) -> None:
    """An SQLite file has its journal beside it; a server and a bucket are no folders."""
    file, artifacts = tmp_path / "mlflow.db", tmp_path / "mlartifacts"
    file.touch()
    artifacts.mkdir()
    for given in (str(file), f"sqlite:///{file}"):
        paths = [sources.local_path(given), sources.local_path(str(artifacts))]
        assert sources.folders(paths) == [str(tmp_path), str(artifacts)]
    assert sources.folders(["https://mlflow.example.com", "s3://bucket/prefix", ""]) == []


@pytest.mark.parametrize("name", ["none/mlflow.db", "file/mlflow.db", "none"])
def test_a_path_that_is_not_there_is_refused(name: str, tmp_path: Path) -> None:
    """Before a container is asked to mount it."""
    (tmp_path / "file").touch()
    with pytest.raises(MlflowError, match=f"There is no source {tmp_path / name} on this host"):
        sources.folders([str(tmp_path / name)])
