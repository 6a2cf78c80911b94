# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Projects in a real MySQL with artifacts in an emulated S3, and the verbs about data that work on them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql
import pytest
from ansible_collections.mlops.mlflow_aws.tests.integration.aws._entry import MIGRATOR, Place
from ansible_collections.mlops.mlflow_aws.tests.parts import bulk, data_verbs, emulator, seeds
from ansible_collections.mlops.mlflow_aws.tests.parts.data_verbs import Verbs

# Points of several batches, which what compresses them holds back.
SMALL = bulk.Size(runs=30, points=6_000, spans=40, objects=25)
BUCKET = "data"


@dataclass
class Space:
    """A MySQL, a bucket, the program, and what makes projects in them."""

    place: Place
    verbs: Verbs
    release: Callable[[str], seeds.Release]
    made: list[str] = field(default_factory=list)

    def schema(self, suffix: str = "") -> str:
        """Return the name of a new schema, which need not exist yet."""
        name = f"d{uuid.uuid4().hex[:8]}{suffix}"
        self.made.append(name)
        return name

    def store(self, schema: str, release: str = seeds.NEWEST) -> seeds.Project:
        """Make a schema as a release does that finds none; return it as that release reaches it."""
        folder = self.place.folder / schema
        folder.mkdir()
        project = seeds.in_mysql(self.place.database, schema, folder)
        seeds.upgrade(self.release(release), project)
        with (
            self.place.database.connect(database=schema) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SET sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')")
            cursor.execute(seeds.DEFAULT_EXPERIMENT)
        return project

    def project(self, release: str = seeds.NEWEST, size: bulk.Size = SMALL) -> dict[str, Any]:
        """Make a project with rows, and with artifacts in the bucket; return its request."""
        schema = self.schema()
        project = self.store(schema, release)
        bulk.bulk(project, size, self.place.database)
        client = self.place.aws.client("s3")
        for path in project.artifacts.rglob("*"):
            if path.is_file():
                key = f"projects/{schema}/{path.relative_to(project.artifacts)}"
                client.upload_file(str(path), BUCKET, key)
        return self.request(schema)

    def request(self, schema: str, **more: Any) -> dict[str, Any]:
        """Return the request for a project in a schema."""
        project = {
            "name": schema,
            "backend_store_uri": self.place.uri(schema),
            "artifacts_destination": f"s3://{BUCKET}/projects/{schema}",
            "database": self.place.identity(schema, MIGRATOR, suffix="m"),
        }
        return self._asked(project, **more)

    def folder_request(self, folder: Path, **more: Any) -> dict[str, Any]:
        """Return the request for a project in a folder, with backups in the bucket."""
        project = {
            "name": folder.name,
            "backend_store_uri": f"sqlite:///{folder}/mlflow.db",
            "artifacts_destination": f"{folder}/artifacts",
        }
        return self._asked(project, **more)

    def _asked(self, project: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Return the request for a project, with backups in the bucket."""
        made = {"projects": [project], "destination": f"s3://{BUCKET}/backups"}
        return {**made, "aws": self.place.aws.options(), **more}

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Carry out a statement as the administrator."""
        return self.place.database.query(statement, *values)

    def tables(self, schema: str) -> list[str]:
        """Return the names of the tables and views of a schema."""
        query = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s"
        return sorted(name for (name,) in self.sql(query, schema))

    def state(self, schema: str) -> dict[str, Any]:
        """Return tables with MySQL's own checksums, and the triggers, of a schema."""
        names = self.tables(schema)
        if not names:
            return {}
        whole = ", ".join(f"`{schema}`.`{name}`" for name in names)
        sums = {
            name.partition(".")[2]: number for name, number in self.sql(f"CHECKSUM TABLE {whole}")
        }
        triggers = self.sql(
            "SELECT trigger_name, event_object_table, action_statement FROM information_schema.triggers "
            "WHERE trigger_schema = %s ORDER BY 1",
            schema,
        )
        return {"sums": sums, "triggers": triggers}

    def objects(self, prefix: str) -> dict[str, str]:
        """Return keys and ETags below a prefix of the bucket."""
        pages = self.place.aws.client("s3").get_paginator("list_objects_v2")
        return {
            found["Key"]: found["ETag"]
            for page in pages.paginate(Bucket=BUCKET, Prefix=prefix)
            for found in page.get("Contents", [])
        }

    def end_sessions(self, schema: str) -> int:
        """End all sessions of a schema's migrator, as a restart does; return how many there were."""
        ended = 0
        for (number,) in self.place.sessions(f"{schema}_m"):
            with suppress(pymysql.err.MySQLError):
                self.sql(f"KILL {number}")
                ended += 1
        return ended


def schema_of(asked: dict[str, Any]) -> str:
    """Return the schema of a request's project."""
    return str(asked["projects"][0]["name"])


@pytest.fixture(scope="module")
def space(
    place: Place, environment: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Space]:
    """Return the parts, with an empty bucket."""
    home = tmp_path_factory.mktemp("home")
    place.aws.client("s3").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": emulator.REGION}
    )

    def release(name: str) -> seeds.Release:
        return seeds.Release(environment(*seeds.ENVIRONMENTS[name]) / "python", home)

    python = release(seeds.NEWEST).python
    with data_verbs.started(python, place.entry.parent, place.environment()) as verbs:
        yield Space(place, verbs, release)


def copied(space: Space, source: dict[str, Any], only: Sequence[str] = ()) -> dict[str, Any]:
    """Return the request of a copy of a schema, or of these tables, with triggers; its artifacts are the same."""
    name, origin = space.schema(), schema_of(source)
    space.place.make_schema(name)
    with space.place.database.connect(database=name) as connection, connection.cursor() as cursor:
        cursor.execute("SET foreign_key_checks = 0")
        cursor.execute(f"SHOW TABLES FROM `{origin}`")
        tables = only or [table for (table,) in cursor.fetchall()]
        for table in tables:
            cursor.execute(f"SHOW CREATE TABLE `{origin}`.`{table}`")
            cursor.execute(cursor.fetchone()[1])
            cursor.execute(
                "SELECT GROUP_CONCAT(CONCAT('`', column_name, '`')) FROM information_schema.columns "
                "WHERE table_schema = %s AND table_name = %s AND extra NOT LIKE '%%GENERATED'",
                (origin, table),
            )
            (columns,) = cursor.fetchone()
            cursor.execute("SET sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')")
            cursor.execute(
                f"INSERT INTO `{table}` ({columns}) SELECT {columns} FROM `{origin}`.`{table}`"
            )
        cursor.execute(f"SHOW TRIGGERS FROM `{origin}`")
        for trigger in cursor.fetchall():
            cursor.execute(
                f"CREATE TRIGGER `{trigger[0]}` {trigger[4]} {trigger[1]} ON `{trigger[2]}` FOR EACH ROW {trigger[3]}"
            )
    asked = space.request(name)
    asked["projects"][0]["artifacts_destination"] = source["projects"][0]["artifacts_destination"]
    return asked
