# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: classifies MySQL schemas and brings them to MLflow's head revision.

What a schema holds was read by mlflow_project_schema; what MLflow knows of itself stands in
docker/mlflow.json. The migration itself is the verb migrate-all of programs/server/mlflow_entry.py,
which looks again, under a lock. A schema in the state unknown, of which nothing was read, is
looked at by MLflow alone.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.mysql_runners import (
    MigrationRunner,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.revisions import (
    CURRENT,
    HALF,
    UNKNOWN,
    Revisions,
    state_of,
)

PREFIX = "mysql+pymysql://"

_URI = re.compile(re.escape(PREFIX) + r"[^/@?#]+/(?P<schema>[^/?#]+)\Z")
# How long migrations that were begun in time may go on: a project of many years takes hours.
_LONGEST_SECONDS = 7 * 86400


class MysqlSchema(t.NamedTuple):
    """One project's schema as it was found; request is its entry in the migration's request."""

    name: str
    schema: str
    state: str
    revision: str
    request: dict[str, t.Any]


def run(
    items: t.Sequence[t.Mapping[str, t.Any]],
    found: t.Mapping[str, t.Mapping[str, t.Any]],
    revisions: Revisions | None,
    migrate_all: t.Callable[[t.Sequence[MysqlSchema]], dict[str, dict[str, t.Any]]],
    *,
    repair: t.Collection[str],
    check_mode: bool,
) -> dict[str, t.Any]:
    """Return the module's result; raises it with the errors of schemas that could not be migrated.

    found are the records of mlflow_project_schema by project; migrate_all migrates schemas and
    returns MLflow's record of each, by project.
    """
    schemas = [classify(item, found.get(item["name"]), revisions) for item in items]
    require_whole(schemas, found, repair)
    todo = [schema for schema in schemas if schema.state != CURRENT]
    told = migrate_all(todo) if todo and not check_mode else {}
    head = revisions.head if revisions else ""
    changed = {
        name: record["after"]
        for name, record in told.items()
        if record["after"] != record["before"] or record["repaired"]
    }
    if check_mode:
        changed = {schema.name: head or "the head revision" for schema in todo}
    records = [_record(schema, head, told.get(schema.name, {})) for schema in schemas]
    before = {schema.name: schema.revision for schema in todo if schema.name in changed}
    result = {
        "changed": bool(changed),
        "schemas": records,
        "diff": {"before": before, "after": changed},
    }
    errors = [str(record["error"]) for record in records if record["error"]]
    if errors:
        raise MlflowError(" ".join(errors), result)
    return result


def classify(
    item: t.Mapping[str, t.Any], found: t.Mapping[str, t.Any] | None, revisions: Revisions | None
) -> MysqlSchema:
    """Return a schema's state; raises MlflowError for one that must not be touched.

    item has name, uri and database; found is its record of mlflow_project_schema.
    """
    name, uri = str(item["name"]), str(item["uri"])
    match = _URI.match(uri)
    if not match:
        raise MlflowError(
            f"Project '{name}': the URI of its database is not {PREFIX}HOST:PORT/SCHEMA, without user and "
            "options; pass the URI of the backend record."
        )
    request = {"name": name, "uri": uri, "database": dict(item["database"])}
    schema = MysqlSchema(name, match["schema"], UNKNOWN, "", request)
    if found is None:
        return schema
    revision = str(found["revision"])
    state = state_of(int(found["tables"]), revision, revisions)
    schema = schema._replace(revision=revision, state=state)
    if state not in (CURRENT, UNKNOWN) and found.get("obstacles"):
        raise MlflowError(
            f"Project '{name}': a migration of schema {schema.schema} would fail half-way, since "
            f"{'; and '.join(map(str, found['obstacles']))}. Nothing was changed."
        )
    if revisions and state == UNKNOWN:
        raise MlflowError(
            f"Project '{name}': schema {schema.schema} is at revision {revision}, which MLflow "
            f"{revisions.version} does not know, so a newer MLflow wrote it; use the collection release "
            "that carries that MLflow. Nothing was changed."
        )
    return schema


def require_whole(
    schemas: t.Iterable[MysqlSchema], found: t.Mapping[str, t.Any], repair: t.Collection[str]
) -> None:
    """Refuse half-migrated schemas that are not to be repaired, and unknown names to repair."""
    known = {schema.schema: schema for schema in schemas}
    for name in repair:
        if name not in known:
            raise MlflowError(
                f"repair names {name!r}, which is not the schema of any project here; choose from "
                f"{', '.join(known)}. Nothing was changed."
            )
    for schema in known.values():
        if schema.state == HALF and schema.schema not in repair:
            tables = found[schema.name]["tables"]
            raise MlflowError(
                f"Project '{schema.name}': schema {schema.schema} is half-migrated: its {tables} tables "
                f"are not those of its revision {schema.revision or '(it has none)'}, as after an error "
                "1419 or a migration that was killed; restore it from a snapshot or, if it holds no data, "
                f"name {schema.schema} in repair. Nothing was changed."
            )


def migrate(
    runner: MigrationRunner,
    schemas: t.Sequence[MysqlSchema],
    aws: t.Mapping[str, t.Any],
    *,
    repair: t.Collection[str],
    workers: int,
    timeout: float,
) -> dict[str, dict[str, t.Any]]:
    """Have schemas brought to the head; returns MLflow's record of each, by project."""
    told: dict[str, dict[str, t.Any]] = {}
    groups = {
        flag: [item for item in schemas if (item.schema in repair) is flag]
        for flag in (False, True)
    }
    for flag, group in groups.items():
        if group:
            request = {
                "schemas": [item.request for item in group],
                "aws": dict(aws),
                "workers": workers,
                "timeout": timeout,
                "repair": flag,
            }
            records = runner.run(request, timeout + _LONGEST_SECONDS)
            told.update({str(record["name"]): record for record in records})
    # What a record lacks counts as not told.
    return {schema.name: {**_silent(schema), **told.get(schema.name, {})} for schema in schemas}


def _record(schema: MysqlSchema, head: str, told: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the record of one schema; its form is the module's documentation."""
    return {
        "name": schema.name,
        "state": schema.state,
        "revision": schema.revision,
        "head": head,
        "error": told.get("error", ""),
    }


def _silent(schema: MysqlSchema) -> dict[str, t.Any]:
    """Return the record of a schema about which MLflow said nothing."""
    error = (
        f"Project '{schema.name}': MLflow said nothing about schema {schema.schema}; rerun to see its "
        "state."
    )
    return {"before": schema.revision, "after": schema.revision, "repaired": False, "error": error}
