# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The local backend's record."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._backend import local


def test_the_record_of_two_projects() -> None:
    """Each has an SQLite file and an artifact folder of its own; schemas follow the order."""
    assert local.record(Path("/s"), ["demo", "churn"]) == {
        "kind": "local",
        "state_dir": "/s",
        "projects": {
            "demo": {
                "backend_store_uri": "sqlite:////s/projects/demo/mlflow.db",
                "artifacts_destination": "/s/projects/demo/artifacts",
                "key_file": "/s/projects/demo/key",
            },
            "churn": {
                "backend_store_uri": "sqlite:////s/projects/churn/mlflow.db",
                "artifacts_destination": "/s/projects/churn/artifacts",
                "key_file": "/s/projects/churn/key",
            },
        },
        "schemas": [
            {"name": "demo", "uri": "sqlite:////s/projects/demo/mlflow.db"},
            {"name": "churn", "uri": "sqlite:////s/projects/churn/mlflow.db"},
        ],
    }


def test_what_is_missing(tmp_path: Path) -> None:
    """Only folders that are not there, and a sentence that names their projects."""
    backend = local.record(tmp_path, ["demo", "churn", "third"])
    (tmp_path / "projects" / "churn" / "artifacts").mkdir(parents=True)
    missing = local.missing_folders(backend)
    assert missing == [tmp_path / "projects" / name / "artifacts" for name in ("demo", "third")]
    assert str(local.not_deployed(missing)) == (
        f"The local backend in {tmp_path}/projects has no folder for demo, third; run the deploy "
        "playbook first."
    )


def test_what_is_kept_under_other_names(tmp_path: Path) -> None:
    """Folders alone, whether anything is listed or nothing is there yet."""
    assert local.kept(tmp_path, {"demo"}) == []
    for name in ("old", "demo"):
        (tmp_path / "projects" / name).mkdir(parents=True)
    (tmp_path / "projects" / "note.txt").write_text("mine")
    place = str(tmp_path / "projects" / "old")
    assert local.kept(tmp_path, {"demo"}) == [{"name": "old", "place": place}]
