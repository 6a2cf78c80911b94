# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the state of all projects as lines, and the words that page and lines share."""

from __future__ import annotations

import hashlib
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._data.status import UNLISTED, when
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._sizes import readable

NONE = "-"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_ENOUGH = 2
_DIGITS = 8
_SCHEMAS = {
    "older": "older",
    "foreign": "newer or incomplete",
    "empty": "empty",
    "unread": "not read",
}

Record = t.Mapping[str, t.Any]


def columns() -> dict[str, t.Callable[[Record, int], str]]:
    """Return the columns of a project: title, and what makes its text of a row and the time."""
    return {
        "PROJECT": lambda row, _now: str(row["name"]),
        "STATE": lambda row, _now: state(row),
        "MLFLOW": lambda row, _now: row["mlflow"] or NONE,
        "SCHEMA": lambda row, _now: schema(row),
        "EXPERIMENTS": lambda row, _now: counted(row, "experiments"),
        "RUNS": lambda row, _now: counted(row, "runs"),
        "POINTS": lambda row, _now: counted(row, "metric_points"),
        "TRACES": lambda row, _now: counted(row, "traces"),
        "MODELS": lambda row, _now: counted(row, "registered_models"),
        "ARTIFACTS": lambda row, _now: artifacts(row),
        "CONTENT": lambda row, _now: content(row),
        "BACKUP": backup,
        "REHEARSED": rehearsed,
        "CONNECTED": lambda row, _now: connected(row),
    }


def table(document: Record) -> list[str]:
    """Return the lines: a table of the projects, then the database, the cost, and what could not be read."""
    found, now = columns(), document["at"]
    if not any(row["checksums"] for row in document["projects"]):
        del found["CONTENT"]
    rows = [tuple(found)]
    rows += [tuple(text(row, now) for text in found.values()) for row in document["projects"]]
    hosts = [str(row["host"]) for row in document["projects"]]
    if len(set(hosts)) > 1:
        rows = [(host, *row) for host, row in zip(["HOST", *hosts], rows)]
    lines = _aligned(rows)
    if document["database"]:
        lines += database_lines(document["database"])
    if document["cost"]:
        lines += cost_lines(document["cost"])
    return lines + [f"Not read: {problem}" for problem in document["problems"]]


def state(row: Record) -> str:
    """Return the state of a project."""
    return "not in the list" if row["state"] == UNLISTED else str(row["state"])


def schema(row: Record) -> str:
    """Return the revision of a schema, and whether it is the one that is needed."""
    if row["schema"] == "current":
        return str(row["revision"])
    note = _SCHEMAS[row["schema"]]
    return f"{row['revision']} ({note})" if row["revision"] else note


def counted(row: Record, name: str) -> str:
    """Return a number of things."""
    number = row["counts"].get(name)
    return NONE if number is None else f"{number:,}"


def artifacts(row: Record) -> str:
    """Return number and size of the artifacts."""
    found = row["artifacts"]
    return f"{found['objects']:,}, {readable(found['bytes'])}" if found else NONE


def content(row: Record) -> str:
    """Return one checksum of all content that counts; equal for equal content."""
    sums = row["checksums"]
    if not sums:
        return NONE
    text = "\n".join(f"{table} {sums[table]}" for table in sorted(sums))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def backup(row: Record, now: int) -> str:
    """Return how old the newest backup is."""
    found = row["backup"]
    return f"{age(now - found['created'])} old" if found else "none" if row["known"] else NONE


def rehearsed(row: Record, now: int) -> str:
    """Return how long ago a restore was rehearsed, and whether it failed."""
    found = row["rehearsal"]
    if not found:
        return "never" if row["known"] else NONE
    ago = f"{age(now - found['at'])} ago"
    return ago if found.get("same") else f"failed {ago}"


def connected(row: Record) -> str:
    """Return who is connected."""
    return ", ".join(f"{number} x {who}" for who, number in row["users"]) or NONE


def age(seconds: float) -> str:
    """Return a time span as people say it."""
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= _ENOUGH * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{max(0, seconds):.0f} s"


def database_lines(database: Record) -> list[str]:
    """Return the lines of the database."""
    if not database.get("cluster"):
        return [f"Database: {' '.join(database['awake_by'])}"]
    lines = [f"Database: {capacity(database)}"]
    lines += [f"  {reason}" for reason in database["awake_by"]]
    if database["pauses"] and not database["awake_by"] and not database["asleep"]:
        lines.append(f"  Nothing keeps it awake; {pause_rule(database)}")
    return lines


def capacity(database: Record) -> str:
    """Return what capacity a database has and may have."""
    now = database.get("capacity")
    current = (
        "capacity unknown" if now is None else "paused" if now == 0 else f"{now:g} ACU at present"
    )
    least, most = database.get("min_capacity"), database.get("max_capacity")
    limits = f", of {least:g} to {most:g} ACU" if None not in (least, most) else ""
    pause = f"; {pause_rule(database)}" if database["pauses"] else ""
    return f"{current}{limits}{pause}"


def pause_rule(database: Record) -> str:
    """Return when a database pauses."""
    seconds = database.get("pause_seconds")
    after = f"{seconds} seconds" if seconds else "some time"
    return f"it pauses after {after} without a connection"


def cost_lines(cost: Record) -> list[str]:
    """Return the lines of the estimate."""
    parts = ", ".join(f"{part['name'].lower()} {part['dollars']:.2f}" for part in cost["parts"])
    return [
        f"Estimate for {cost['month'] or 'a month'}: {cost['dollars']:.2f} US dollars ({parts})",
        *(f"  {sentence}" for sentence in cost["rests_on"]),
    ]


def heading(document: Record) -> str:
    """Return what the document is about, and of when."""
    backend = document["backend"]
    where = f"AWS {backend['region']}" if backend["kind"] == "aws" else "local backend"
    return f"{where}, {backend['place']}, {when(document['at'])}"


def _aligned(rows: t.Sequence[tuple[str, ...]]) -> list[str]:
    """Return each row as a line, its cells below those of the others."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    ]
