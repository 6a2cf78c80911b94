# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a team's projects might be like: for tests of their report, and for its picture in the documents.

PYTHON -m ansible_collections.mlops.mlflow_aws.tests.parts.status_sample FILE.html
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _names
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._data import (
    estimate,
    status,
    status_page,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.template import (
    parse_template,
)

NOW = 1_795_767_000
HEAD, OLDER = "dc11669786a5", "a1b2c3d4e5f6"
# The last ones are stopped and absent.
NAMES = (
    "churn",
    "fraud-detection",
    "recommender",
    "demand-forecast",
    "image-search",
    "pricing",
    "document-extraction",
    "sandbox",
    "old-experiments",
)
DEAD = (
    "Project 'pricing': The database at db.example.com:3306 does not answer (timed out); check that it "
    "runs and is reachable."
)
KEPT = {"name": "thesis", "place": "schema mlflow_thesis, s3://mlflow-artifacts/projects/thesis"}
ROOT = Path(__file__).resolve().parents[2]
_HOUR, _DAY, _MIB = 3600, 86400, 1 << 20


def record(name: str) -> dict[str, Any]:
    """Return a project as the inventory has it."""
    states = {"sandbox": "stopped", "old-experiments": "absent"}
    return {
        "name": name,
        "state": states.get(name, "present"),
        "description": "Customers who may leave" if name == "churn" else "",
        "owner": "growth@example.com" if name in ("churn", "recommender") else "",
        "server": {"jobs": name == "recommender"},
    }


def told(name: str, *, dead: bool = False) -> dict[str, Any]:
    """Return what mlflow_project_info tells of a project."""
    chance = random.Random(name)
    runs = chance.randrange(200, 9_000)
    read = not dead and name != "old-experiments"
    backup = {
        "id": "000012-20261126T020000Z",
        "created": NOW - chance.randrange(2, 40) * _HOUR,
        "bytes": chance.randrange(_MIB, 4096 * _MIB),
    }
    return {
        "name": name,
        "error": DEAD if dead else "",
        "mlflow": "3.17.2",
        "engine": "mysql" if read else "",
        "schema": "unread" if not read else "older" if name == "image-search" else "current",
        "revision": "" if not read else OLDER if name == "image-search" else HEAD,
        "head": HEAD,
        "counts": {
            "experiments": chance.randrange(1, 40),
            "runs": runs,
            "metric_points": runs * chance.randrange(20, 900),
            "traces": chance.randrange(50_000),
            "registered_models": chance.randrange(30),
        }
        if read
        else {},
        "deleted": {"experiments": 0, "runs": chance.randrange(20)} if read else {},
        "checksums": {},
        "database_bytes": chance.randrange(_MIB, 900 * _MIB) if read else 0,
        "connections": [],
        "artifacts": {"objects": 4 * runs, "bytes": chance.randrange(64 * _MIB, 90_000 * _MIB)},
        "backup": None if name == "sandbox" else backup,
        "rehearsal": {"at": NOW - chance.randrange(2, 30) * _DAY, "same": name != "fraud-detection"}
        if len(name) % 2
        else None,
    }


def database(**changes: Any) -> dict[str, Any]:
    """Return what mlflow_database_info returns of a database that could pause."""
    chance = random.Random(7)
    days = [
        [day, round(chance.uniform(2, 9) if day % 7 not in (0, 1) else chance.uniform(0, 1), 2)]
        for day in range(1, 28)
    ]
    runtime = _names.runtime_user
    session = {"host": "10.0.1.17", "command": "Sleep", "seconds": 3}
    return {
        "cluster": "mlflow-database-1a2b3c",
        "status": "available",
        "engine_version": "8.0.mysql_aurora.3.10.1",
        "min_capacity": 0.0,
        "max_capacity": 4.0,
        "pause_seconds": 300,
        "capacity": 0.5,
        "connections": 4,
        "storage_bytes": 5_300_000_000,
        "month": "2026-11",
        "hours_gone": 630.0,
        "acu_hours": round(sum(value for _day, value in days), 2),
        "measured_hours": 630.0,
        "days": days,
        "sessions": [
            {**session, "user": runtime("churn"), "schema": "mlflow_churn"},
            {**session, "user": runtime("churn"), "schema": "mlflow_churn"},
            {**session, "user": runtime("recommender"), "schema": "mlflow_recommender"},
            {**session, "user": "admin", "host": "10.0.9.4", "schema": None},
        ],
        **changes,
    }


def templates() -> dict[str, str]:
    """Return the texts of the templates."""
    return {
        name: (ROOT / "cloudformation" / f"{name}.yml").read_text(encoding="utf-8")
        for name in ("backend", "projects")
    }


def basis(**changes: Any) -> estimate.Basis:
    """Return what an estimate rests on."""
    parameters = parse_template(templates()["backend"])["Parameters"]
    values = {name: str(entry.get("Default", "")) for name, entry in parameters.items()}
    made = estimate.Basis(values, ["iam"] * len(NAMES), templates(), database(), 100 * 10**9)
    return made._replace(**changes)


def document(names: tuple[str, ...] = NAMES, **changes: Any) -> dict[str, Any]:
    """Return the document about these projects; changes are those of the database."""
    found = [told(name, dead=name == "pricing") for name in names]
    backend = {
        "kind": "aws",
        "region": "eu-central-1",
        "artifact_root": "s3://mlflow-artifactbucket-1a2b3c",
    }
    used = database(**changes)
    cost = estimate.estimate(basis(database=used, stored=status.stored_bytes(found)))
    host = status.Host("ada", [record(name) for name in names], [KEPT], found, "")
    return status.document([host], backend, status.Account(used, False, cost, []), NOW)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(status_page.page(document()), encoding="utf-8")
