# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: classifies MySQL schemas, and has MLflow migrate those that need it.

What a schema holds was read by mlflow_project_schema; what MLflow knows of itself stands in
docker/mlflow.json. From these a schema is in one of the states

    empty    no table in it
    current  at the head revision of the MLflow that will serve it
    behind   at an older revision of the same MLflow
    half     its tables are not those of its revision: a migration broke off
    unknown  nothing is known of it here; MLflow itself looks, when it migrates

and anything else is refused, before any schema is touched. The migration itself is the verb
migrate-all of docker/mlflow_entry.py, which looks again, under a lock: see entry_migrate.py.
"""

from __future__ import annotations

import json
import re
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import container_spec, jobs
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import (
    commands,
    environ,
    files,
    interpreter,
)

EMPTY, CURRENT, BEHIND, HALF, UNKNOWN = "empty", "current", "behind", "half", "unknown"
PREFIX = "mysql+pymysql://"
VERB = "migrate-all"

_URI = re.compile(re.escape(PREFIX) + r"[^/@?#]+/(?P<schema>[^/?#]+)\Z")
_REQUEST = "request.json"
_RECORD = {"name": str}
# What the program needs around the seconds that it gives the migrations.
_GRACE_SECONDS = 60


class Known(t.NamedTuple):
    """What one MLflow knows: its head, all revisions that lead there, and their numbers of tables."""

    version: str
    head: str
    revisions: frozenset[str]
    tables: t.Mapping[str, int]


class Schema(t.NamedTuple):
    """One project's schema as it was found; request is its entry in the migration's request."""

    name: str
    schema: str
    state: str
    revision: str
    request: dict[str, t.Any]


class Runner(t.Protocol):
    """Has MLflow carry out a request of migrate-all."""

    def run(self, request: t.Mapping[str, t.Any], timeout: float) -> list[dict[str, t.Any]]:
        """Return the records that MLflow told, one for each schema that it came to."""


def is_mysql(uri: str) -> bool:
    """Say whether a schema's URI is for this way."""
    return uri.startswith("mysql")


def known_revisions(told: t.Mapping[str, t.Any] | None) -> Known | None:
    """Return what an MLflow told of itself by `describe`; None where there is none yet."""
    if not told:
        return None
    try:
        return Known(
            str(told["version"]),
            str(told["head"]),
            frozenset(map(str, told["revisions"])),
            dict(told.get("tables") or {}),
        )
    except (KeyError, TypeError, ValueError):
        raise MlflowError(
            "What MLflow should have told of itself lacks version, head or revisions: give the content of "
            "docker/mlflow.json."
        ) from None


def classify(
    item: t.Mapping[str, t.Any], found: t.Mapping[str, t.Any] | None, known: Known | None
) -> Schema:
    """Return a schema's state; raises MlflowError for one that must not be touched.

    item has name, uri and database; found is its record of mlflow_project_schema.
    """
    name, uri = str(item["name"]), str(item["uri"])
    match = _URI.match(uri)
    if not match:
        raise MlflowError(
            f"Project '{name}': the URI of its database is not {PREFIX}HOST:PORT/SCHEMA, without user and "
            "options: use the one of the backend record."
        )
    if not item.get("database"):
        raise MlflowError(
            f"Project '{name}': its schema needs the option 'database' with user and secret of the migrator."
        )
    request = {"name": name, "uri": uri, "database": dict(item["database"])}
    schema = Schema(name, match["schema"], UNKNOWN, "", request)
    if found is None:
        return schema
    revision = str(found["revision"])
    schema = schema._replace(revision=revision, state=_state(int(found["tables"]), revision, known))
    if schema.state not in (CURRENT, UNKNOWN) and found.get("obstacles"):
        raise MlflowError(
            f"Project '{name}': a migration of schema {schema.schema} would break off half-way, since "
            f"{'; and '.join(map(str, found['obstacles']))}; nothing was done."
        )
    if known and schema.state == UNKNOWN:
        raise MlflowError(
            f"Project '{name}': schema {schema.schema} is at revision {revision}, which MLflow "
            f"{known.version} does not know, so a newer MLflow wrote it: use the collection release that "
            "carries that MLflow; nothing was done."
        )
    return schema


def require_whole(
    schemas: t.Iterable[Schema], found: t.Mapping[str, t.Any], repair: t.Collection[str]
) -> None:
    """Refuse half-migrated schemas that are not to be repaired, and names of none to repair."""
    known = {schema.schema: schema for schema in schemas}
    for name in repair:
        if name not in known:
            raise MlflowError(
                f"repair names {name!r}, which is the schema of no project here: the schemas are "
                f"{', '.join(known)}; nothing was done."
            )
    for schema in known.values():
        if schema.state == HALF and schema.schema not in repair:
            tables = found[schema.name]["tables"]
            raise MlflowError(
                f"Project '{schema.name}': schema {schema.schema} is half-migrated: it has {tables} tables, "
                f"which are not those of its revision {schema.revision or '(it has none)'}, as after an "
                "error 1419 or a migration that was killed: restore it from a snapshot or, where it holds "
                f"no data, name {schema.schema} in repair; nothing was done."
            )


def migrate(
    runner: Runner,
    schemas: t.Sequence[Schema],
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
            records = runner.run(request, timeout + _GRACE_SECONDS)
            told.update({str(record["name"]): record for record in records})
    # What a record lacks counts as not told.
    return {schema.name: {**_silent(schema), **told.get(schema.name, {})} for schema in schemas}


class ProcessRunner:
    """Runs migrate-all by an MLflow that is installed on this host."""

    def __init__(self, python: str, entrypoint: str) -> None:
        """Use this interpreter and mlflow_entry.py."""
        self._python = python
        self._entrypoint = entrypoint

    def run(self, request: t.Mapping[str, t.Any], timeout: float) -> list[dict[str, t.Any]]:
        """Return what MLflow told; the request lies in a folder of this user's for that long."""
        with tempfile.TemporaryDirectory(prefix="mlflow-migrate-") as folder:
            path = Path(folder) / _REQUEST
            files.write_private(path, json.dumps(request))
            answer = commands.run(
                interpreter.isolated(self._python, self._entrypoint, VERB, str(path)),
                timeout,
                f"MLflow's {VERB} did not end well",
                "run again, or raise the timeout",
                environment=environ.clean_for_aws(),
            )
        return parse(answer.code, answer.output, answer.errors)


class DockerRunner:
    """Runs migrate-all in a container of the image that will serve the schemas."""

    def __init__(
        self, engine: Engine, image: str, *, network: str, aws_config_dir: str, user: str
    ) -> None:
        """Use an image of this engine, with the host's AWS configuration where a folder is given."""
        self._engine = engine
        self._image = image
        self._network = network
        self._aws_config_dir = aws_config_dir
        self._user = user

    def run(self, request: t.Mapping[str, t.Any], timeout: float) -> list[dict[str, t.Any]]:
        """Return what MLflow told; the request lies in the container's own volume for that long."""
        binds, environment = container_spec.aws_access(self._aws_config_dir)
        rootless = bool(self._aws_config_dir) and self._engine.rootless
        answer = jobs.run_once(
            self._engine,
            self._image,
            [VERB, f"{container_spec.VOLUME_PATH}/{_REQUEST}"],
            {_REQUEST: json.dumps(request)},
            binds=binds,
            network=self._network,
            user=container_spec.container_user(self._user, self._aws_config_dir, rootless),
            environment=environment,
            timeout=timeout,
        )
        return parse(answer.code, answer.stdout, answer.stderr)


def parse(code: int, output: str, errors: str) -> list[dict[str, t.Any]]:
    """Return the records in what migrate-all printed; raises MlflowError where it failed itself."""
    if code != 0:
        reason = commands.reason(errors, output)
        raise MlflowError(f"MLflow's {VERB} failed with code {code}: {reason}: run again.")
    return [
        commands.document(line, f"What MLflow's {VERB} printed", "run again", _RECORD)
        for line in output.splitlines()
        if line.startswith("{")
    ]


def _state(tables: int, revision: str, known: Known | None) -> str:
    """Return the state by number of tables and revision; unknown where MLflow does not know that."""
    if not tables:
        return EMPTY
    if not revision:
        return HALF
    if known is None or revision not in known.revisions:
        return UNKNOWN
    if known.tables.get(revision, tables) != tables:
        return HALF
    return CURRENT if revision == known.head else BEHIND


def _silent(schema: Schema) -> dict[str, t.Any]:
    """Return the record of a schema of which MLflow told nothing."""
    error = (
        f"Project '{schema.name}': MLflow told nothing of schema {schema.schema}: run again, which says "
        "how it stands."
    )
    return {"before": schema.revision, "after": schema.revision, "repaired": False, "error": error}
