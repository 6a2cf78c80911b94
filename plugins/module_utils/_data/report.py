# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: says in a line for each project what a verb did."""

from __future__ import annotations

import typing as t

Record = t.Mapping[str, t.Any]
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024
# Of what is named, in one line.
_SOME = 3


def lines(records: t.Iterable[Record], verb: str) -> list[str]:
    """Return a line for each record of a verb: backup, restore, rehearsal, upgrade or import."""
    return [f"{record['name']}: {_VERBS[verb](record)}" for record in records]


def size(number: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in _UNITS[:-1]:
        if number < _STEP:
            return f"{number:.0f} {unit}" if unit == _UNITS[0] else f"{number:.1f} {unit}"
        number /= _STEP
    return f"{number:.1f} {_UNITS[-1]}"


def _backup(record: Record) -> str:
    """Return what was backed up."""
    removed = f"; removed {', '.join(record['removed'])}" if record["removed"] else ""
    return (
        f"backup {record['backup']} in {record['place']}, {record['rows']} rows and {record['objects']} "
        f"artifacts, {size(record['bytes'])}, of which {record['copied']} artifacts "
        f"({size(record['copied_bytes'])}) are new, in {record['seconds']:.0f} s{removed}"
    )


def _restore(record: Record) -> str:
    """Return what was restored."""
    former = f"; the former database is kept as {record['previous']}" if record["previous"] else ""
    moved = f", {record['relocated']} locations moved" if record["relocated"] else ""
    return (
        f"restored from backup {record['backup']}, {record['rows']} rows, {record['written']} of "
        f"{record['objects']} artifacts written{moved}, in {record['seconds']:.0f} s{former}"
    )


def _rehearsal(record: Record) -> str:
    """Return what was tried out."""
    return (
        f"backup {record['backup']} can be restored: {record['rows']} rows and {record['objects']} artifacts "
        f"are as they were, in {record['seconds']:.0f} s"
    )


def _upgrade(record: Record) -> str:
    """Return what was upgraded."""
    if record["before"] == record["after"]:
        return f"already at revision {record['after']}"
    seconds = sum(record["seconds"].values())
    return (
        f"upgraded from revision {record['before']} to {record['after']} in {seconds:.0f} s; the former "
        f"database is kept as {record['previous']}"
    )


def _import(record: Record) -> str:
    """Return what was imported, and what is not as in the source."""
    artifacts = record["artifacts"]
    added = ", ".join(f"{number} {_named(kind)}" for kind, number in record["added"].items())
    what = (
        f"{added or 'nothing new'}, {artifacts['written']} artifacts ({size(artifacts['bytes'])})"
    )
    parts = [f"imported from {record['source']}: {what} in {record['seconds']:.0f} s"]
    there = sum(record["there"].values())
    if there:
        parts.append(f"{there} were there already")
    for kind, number in record["different"].items():
        parts.append(
            f"{number} {_named(kind)} differ from the source and were not changed ({_some(record['differing'][kind])})"
        )
    for key, text in (
        ("differing", "whose artifacts differ from the source and were not changed"),
        ("missing", "whose artifacts were not found"),
    ):
        if artifacts[key]:
            parts.append(f"runs and models {text}: {_some(artifacts[key])}")
    if record["unreadable"]:
        parts.append(f"not readable, so not imported: {_some(record['unreadable'])}")
    if record["left_out"]:
        parts.append(
            "not imported: "
            + ", ".join(f"{number} rows of {table}" for table, number in record["left_out"].items())
        )
    return "; ".join(parts)


def _named(kind: str) -> str:
    """Return a kind as people write it."""
    return kind.replace("_", " ")


def _some(texts: t.Sequence[str]) -> str:
    """Return the first of many texts."""
    return ", ".join(texts[:_SOME]) + (", ..." if len(texts) > _SOME else "")


_VERBS: dict[str, t.Callable[[Record], str]] = {
    "backup": _backup,
    "restore": _restore,
    "rehearsal": _rehearsal,
    "upgrade": _upgrade,
    "import": _import,
}
