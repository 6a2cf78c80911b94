# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the state of all projects as one document, purely.

Its keys, as the JSON file has them:

    format        1
    at            the time, in seconds since 1970
    backend       kind (aws or local), region, place (URI of the bucket, or the state folder)
    projects      a list, in the order of hosts and of mlflow_projects: host (empty on AWS), name, state (present,
                  stopped, archived, absent, or unlisted for data of a project without an entry), description,
                  owner, known (whether it was read), the keys of mlflow_project_info, and users: who is connected,
                  as pairs of a name and a number
    database      as mlflow_database_info returns it, with asleep, pauses (whether it can pause), awake_by (sentences:
                  what keeps it awake); None for the local backend
    cost          as estimate.py returns it; None for the local backend
    problems      sentences about what could not be read
"""

from __future__ import annotations

import datetime
import typing as t
from collections import Counter
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _names
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._backend import local

FORMAT = 1
UNLISTED, ABSENT, PRESENT, STOPPED = "unlisted", "absent", "present", "stopped"
ASLEEP = "The database is paused and was not woken (mlflow_status_wake), so nothing was read of it"

Record = t.Mapping[str, t.Any]
Row = t.Dict[str, t.Any]


class Host(t.NamedTuple):
    """What one host told: its records of the inventory, what the backend keeps, the records that were read.

    failure: why it told nothing, otherwise empty.
    """

    name: str
    records: t.Sequence[Record]
    kept: t.Sequence[Record]
    found: t.Sequence[Record]
    failure: str


class Account(t.NamedTuple):
    """What was read of the backend's database: the result of mlflow_database_info, and what it costs."""

    database: Record
    asleep: bool
    cost: Record | None
    problems: t.Sequence[str]


def document(
    hosts: t.Sequence[Host], backend: Record, account: Account | None, now: int
) -> dict[str, t.Any]:
    """Return the document. account is None for the local backend."""
    on_aws = backend.get("kind") == "aws"
    problems = [f"{host.name}: {host.failure}" for host in hosts if host.failure]
    # One backend on AWS serves all hosts, of which one has read it.
    told = ([host for host in hosts if host.found] or list(hosts))[:1] if on_aws else list(hosts)
    sessions = (account.database.get("sessions") if account else None) or []
    rows = [row for host in told for row in _rows(host, sessions, on_aws)]
    if account:
        problems += account.problems
        if account.asleep:
            problems.append(f"{ASLEEP}.")
    problems += [row["error"] for row in rows if row["error"]]
    return {
        "format": FORMAT,
        "at": now,
        "backend": {
            "kind": backend.get("kind", "local"),
            "region": backend.get("region", ""),
            "place": backend.get("artifact_root") or backend.get("state_dir", ""),
        },
        "projects": rows,
        "database": _database(account, rows) if account else None,
        "cost": account.cost if account else None,
        "problems": list(dict.fromkeys(problems)),
    }


def targets(backend: Record, records: t.Iterable[Record]) -> list[dict[str, str]]:
    """Return the projects without an entry in the backend record that may have kept data, as modules take them.

    On AWS their database users are gone, so that only artifacts and backups can be read.
    """
    names = [str(record["name"]) for record in records if record["state"] == ABSENT]
    if backend["kind"] == "local":
        places = local.record(Path(backend["state_dir"]), names)["projects"]
        return [{"name": name, **place} for name, place in places.items()]
    names += [str(kept["name"]) for kept in backend.get("kept", ())]
    return [
        {
            "name": name,
            "backend_store_uri": "",
            "artifacts_destination": f"{backend['artifact_root']}/projects/{name}",
        }
        for name in dict.fromkeys(names)
    ]


def stored_bytes(rows: t.Iterable[Record]) -> int | None:
    """Return the bytes of artifacts and newest backups; None if artifacts were not counted."""
    rows = list(rows)
    if not any(row.get("artifacts") for row in rows):
        return None
    parts = [row.get(part) or {} for row in rows for part in ("artifacts", "backup")]
    return sum(int(part.get("bytes", 0)) for part in parts)


def when(seconds: float) -> str:
    """Return a time as people read it, in UTC."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _rows(host: Host, sessions: t.Sequence[Record], on_aws: bool) -> list[Row]:
    """Return the rows of a host: those of its inventory, then what is kept of others."""
    found = {str(record["name"]): record for record in host.found}
    users = _users(sessions, [str(record["name"]) for record in host.records])
    rows = []
    for record in host.records:
        name = str(record["name"])
        rows.append(
            {
                "host": "" if on_aws else host.name,
                "name": name,
                "state": record["state"],
                "description": record.get("description", ""),
                "owner": record.get("owner", ""),
                "jobs": bool((record.get("server") or {}).get("jobs")),
                **_read(found.get(name)),
                "users": users.get(name) or _own(found.get(name)),
            }
        )
    for kept in host.kept:
        name = str(kept["name"])
        rows.append(
            {
                "host": "" if on_aws else host.name,
                "name": name,
                "state": UNLISTED,
                "description": f"Data kept: {kept['place']}",
                "owner": "",
                "jobs": False,
                **_read(found.get(name)),
                "users": [],
            }
        )
    return rows


def _read(found: Record | None) -> Row:
    """Return what was read of a project, in one form whether it was or not."""
    found = found or {}
    usual: Row = {
        "error": "",
        "engine": "",
        "schema": "unread",
        "revision": "",
        "head": "",
        "mlflow": "",
        "counts": {},
        "deleted": {},
        "checksums": {},
        "database_bytes": 0,
        "artifacts": None,
        "backup": None,
        "rehearsal": None,
    }
    return {**{key: found.get(key, value) for key, value in usual.items()}, "known": bool(found)}


def _users(sessions: t.Iterable[Record], names: t.Iterable[str]) -> dict[str, list[list[t.Any]]]:
    """Return who is connected, by project: a name for each user and host, and how many connections."""
    schemas = {_names.schema_name(name): name for name in names}
    owners = {}
    for name in schemas.values():
        owners[_names.runtime_user(name)] = (name, "server")
        owners[_names.migrator_user(name)] = (name, "migration")
    counts: dict[str, t.Counter[str]] = {}
    for session in sessions:
        user = str(session["user"])
        project, role = owners.get(user, (schemas.get(str(session.get("schema") or ""), ""), user))
        if project:
            counts.setdefault(project, Counter())[f"{role} at {session['host']}"] += 1
    return {name: [list(pair) for pair in found.most_common()] for name, found in counts.items()}


def _own(found: Record | None) -> list[list[t.Any]]:
    """Return the connections that the project's own user sees."""
    counts = Counter(
        f"{one['user']} at {str(one['host']).rpartition(':')[0] or one['host']}"
        for one in (found or {}).get("connections") or ()
    )
    return [list(pair) for pair in counts.most_common()]


def _database(account: Account, rows: t.Sequence[Row]) -> Row:
    """Return the database with what keeps it awake."""
    database = dict(account.database)
    pauses = database.get("min_capacity") == 0 if database.get("cluster") else False
    return {
        **database,
        "asleep": database.get("capacity") == 0,
        "pauses": pauses,
        "awake_by": _awake_by(database, rows),
    }


def _awake_by(database: Record, rows: t.Sequence[Row]) -> list[str]:
    """Return what keeps the database from pausing, none if nothing does."""
    if not database.get("cluster"):
        return ["The database is an existing one, about whose pauses this report knows nothing."]
    least = database.get("min_capacity")
    if least is None:
        return ["Whether it can pause is not known."]
    if least > 0:
        return [f"MinCapacity is {least:g}, so it never pauses; set MinCapacity to 0 to allow it."]
    found = []
    jobs = [row["name"] for row in rows if row["jobs"] and row["state"] == PRESENT]
    if jobs:
        found.append(
            f"The job runner of {', '.join(jobs)} queries it every few seconds (server.jobs)."
        )
    holders = [f"{row['name']} ({number} x {who})" for row in rows for who, number in row["users"]]
    if holders:
        found.append(
            f"Connected now: {', '.join(holders)}. Servers close idle connections after 20 seconds."
        )
    others = _strangers(database.get("sessions") or (), rows)
    if others:
        found.append(f"Connected to no project: {', '.join(others)}.")
    return found


def _strangers(sessions: t.Iterable[Record], rows: t.Sequence[Row]) -> list[str]:
    """Return the connections that belong to no project."""
    names = [row["name"] for row in rows]
    mine = {user(name) for name in names for user in (_names.runtime_user, _names.migrator_user)}
    schemas = {_names.schema_name(name) for name in names}
    counts = Counter(
        f"{session['user']} at {session['host']}"
        for session in sessions
        if session["user"] not in mine and (session.get("schema") or "") not in schemas
    )
    return [f"{number} x {who}" for who, number in counts.most_common()]
