# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users deleted goes for good from a real MySQL and an emulated S3."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.integration.aws._entry import (
    MIGRATOR,
    Place,
    place,
)
from ansible_collections.mlops.mlflow_aws.tests.parts import data_verbs, emulator, seeds

__all__ = ["place"]

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.thorough("The same statements are carried out in SQLite every time."),
]
BUCKET = "life"
AGED = (
    ("runs", "deleted_time"),
    ("experiments", "last_update_time"),
    ("logged_models", "last_updated_timestamp_ms"),
    ("model_versions", "last_updated_time"),
)


def test_gc_in_mysql_and_s3(
    place: Place,
    environment: Callable[..., Path],
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
) -> None:
    """Rows and objects of what was deleted are gone; the rest is there, and a second run finds nothing."""
    home = tmp_path / "home"
    home.mkdir()
    python = environment(*seeds.ENVIRONMENTS[seeds.NEWEST]) / "python"
    release = seeds.Release(python, home)
    schema = f"g{uuid.uuid4().hex[:8]}"
    mysql = place.database
    project = seeds.in_mysql(mysql, schema, tmp_path)
    with seeds.serving(release, project, free_ports(1)[0]) as url:
        output = release.run(seeds.PROGRAMS / "deleted_program.py", MLFLOW_TRACKING_URI=url)
    ids = json.loads(output.splitlines()[-1])
    client = place.aws.client("s3")
    client.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": emulator.REGION}
    )
    for path in project.artifacts.rglob("*"):
        if path.is_file():
            key = f"projects/{schema}/{path.relative_to(project.artifacts)}"
            client.upload_file(str(path), BUCKET, key)
    for table, column in AGED:
        mysql.query(f"UPDATE `{schema}`.{table} SET {column} = 1000 WHERE {column} IS NOT NULL")
    asked: dict[str, Any] = {
        "projects": [
            {
                "name": schema,
                "backend_store_uri": place.uri(schema),
                "artifacts_destination": f"s3://{BUCKET}/projects/{schema}",
                "database": place.identity(schema, MIGRATOR, suffix="m"),
            }
        ],
        "destination": f"s3://{BUCKET}/backups",
        "aws": place.aws.options(),
        "retention_days": {schema: 30},
    }

    def keys() -> set[str]:
        found = client.list_objects_v2(Bucket=BUCKET, Prefix=f"projects/{schema}/")
        return {one["Key"] for one in found.get("Contents", [])}

    before = keys()
    with data_verbs.started(python, place.entry.parent, place.environment()) as verbs:
        listed = verbs.call("gc", asked)
        assert keys() == before
        removed = verbs.call("gc", {**asked, "remove": True})
        again = verbs.call("gc", {**asked, "remove": True, "remove_orphans": True})
    kinds = ("runs", "experiments", "logged_models", "traces", "model_versions")
    assert [removed[kind] for kind in kinds] == [listed[kind] for kind in kinds] == [2, 1, 2, 1, 2]
    assert [again[kind] for kind in kinds] == [0] * len(kinds)
    gone = {f"projects/{schema}/{path}" for path in removed["artifacts"]["examples"]}
    assert len(gone) == 4
    assert keys() == before - gone
    texts = mysql.query(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = %s "
        "AND data_type IN ('varchar', 'text', 'char', 'mediumtext', 'longtext')",
        schema,
    )
    for kind in ("runs", "models", "traces"):
        for name, identifier in ids[kind].items():
            named = {
                (table, column)
                for table, column in texts
                if mysql.query(
                    f"SELECT 1 FROM `{schema}`.`{table}` WHERE INSTR(`{column}`, %s) LIMIT 1",
                    identifier,
                )
            } - {("logged_models", "source_run_id"), ("runs", "name")}
            assert bool(named) == (not name.startswith("goes")), (kind, name, named)
