# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: says in a line for each project what a verb did."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._sizes import readable

Record = t.Mapping[str, t.Any]
# Of what is named, in one line.
_SOME = 3


def lines(records: t.Iterable[Record], verb: str) -> list[str]:
    """Return a line for each record of a verb, of gc several."""
    return [
        f"{record['name']}: {line}"
        for record in records
        for line in _VERBS[verb](record).split("\n")
    ]


def _backup(record: Record) -> str:
    """Return what was backed up."""
    removed = f"; removed {', '.join(record['removed'])}" if record["removed"] else ""
    return (
        f"backup {record['backup']} in {record['place']}, {record['rows']} rows and {record['objects']} "
        f"artifacts, {readable(record['bytes'])}, of which {record['copied']} artifacts "
        f"({readable(record['copied_bytes'])}) are new, in {record['seconds']:.0f} s{removed}"
    )


def _archive(record: Record) -> str:
    """Return the last backup."""
    return f"archived, with {_backup(record)}"


def _removal(record: Record) -> str:
    """Return the backup that is left."""
    if not record["backup"]:
        return "there was nothing to back up"
    return (
        f"what is left is {_backup(record)}"
        if record["rows"]
        else f"what is left is backup {record['backup']}"
    )


def _restore(record: Record) -> str:
    """Return what was restored."""
    former = f"; the former database is kept as {record['previous']}" if record["previous"] else ""
    moved = f", {record['relocated']} locations moved" if record["relocated"] else ""
    webhooks, secrets = record["disabled_webhooks"], record["lost_secrets"]
    lost = (
        f"; the project has another root key, so {webhooks} webhooks were disabled and {secrets} secrets of the "
        "gateway cannot be decrypted: enter their secrets again"
        if webhooks or secrets
        else ""
    )
    return (
        f"restored from backup {record['backup']}, {record['rows']} rows, {record['written']} of "
        f"{record['objects']} artifacts written{moved}, in {record['seconds']:.0f} s{former}{lost}"
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


def _gc(record: Record) -> str:
    """Return what was deleted, what stays, and what is orphaned."""
    counts = [
        f"{record[key]} {name}"
        for key, name in _DELETED.items()
        if record[key] or key in ("runs", "experiments")
    ]
    verb = "removed" if record["removed"] else "can be removed:"
    told = [f"{verb} {', '.join(counts)}, with {_artifacts(record['artifacts'])}"]
    told += record["kept"]
    if record["elsewhere"]:
        told.append(f"artifacts of {record['elsewhere']} of these are elsewhere and not touched")
    for key, name in _LEFT.items():
        if record[key]["objects"]:
            removed = "removed, " if key == "orphans" and record["orphans_removed"] else ""
            paths = ", ".join(record[key]["examples"])
            told.append(f"{name}: {removed}{_artifacts(record[key])}, such as {paths}")
    return "\n".join(told)


def _artifacts(found: t.Mapping[str, t.Any]) -> str:
    """Return number and size of artifacts."""
    return f"{found['objects']} artifacts ({readable(found['bytes'])})"


_DELETED = {
    "runs": "runs",
    "experiments": "experiments",
    "logged_models": "logged models",
    "traces": "traces",
    "model_versions": "model versions",
}
_LEFT = {
    "orphans": "orphans",
    "unknown": "nothing refers to these, and their path does not say whose they are, so they stay",
}


def _plan(record: Record) -> str:
    """Return what is to be upgraded."""
    if not record["older"]:
        return f"at revision {record['after']}, nothing to upgrade"
    counts = record["counts"]
    held = ", ".join(
        f"{counts[name]} {name.replace('_', ' ')}"
        for name in ("runs", "metric_points", "traces", "spans")
        if counts.get(name)
    )
    return (
        f"from revision {record['before']} to {record['after']}, with {held or 'no run'}, in about "
        f"{_seconds(counts)} s"
    )


def _seconds(counts: t.Mapping[str, int]) -> int:
    """Return about how long an upgrade takes, by what was measured of its parts.

    A copy and its checks take about 20 microseconds for each row; MLflow's revision 75868b020152 rewrites
    each trace and span, in half a millisecond, and a5b4c3d2e1f0 indexes metrics, in 4 microseconds each.
    """
    rewritten = counts.get("traces", 0) + counts.get("spans", 0)
    return 5 + round(
        sum(counts.values()) * 2e-5 + rewritten * 5e-4 + counts.get("metric_points", 0) * 4e-6
    )


def _import(record: Record) -> str:
    """Return what was imported, and what is not as in the source."""
    return _imported(record, "imported")


def _import_plan(record: Record) -> str:
    """Return what an import would do."""
    return _imported(record, "would be imported")


def _imported(record: Record, verb: str) -> str:
    """Return what is imported, and what is not as in the source."""
    artifacts = record["artifacts"]
    added = ", ".join(f"{number} {_named(kind)}" for kind, number in record["added"].items())
    what = f"{added or 'nothing new'}, {artifacts['written']} artifacts ({readable(artifacts['bytes'])})"
    parts = [f"{verb} from {record['source']}: {what} in {record['seconds']:.0f} s"]
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
    "plan": _plan,
    "upgrade": _upgrade,
    "gc": _gc,
    "archive": _archive,
    "removal": _removal,
    "import": _import,
    "import_plan": _import_plan,
}
