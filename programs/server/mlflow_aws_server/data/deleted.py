# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users deleted in MLflow longer ago than a retention, and what its database refers to.

MLflow only marks what is deleted, so that it can be restored. What has gone for good here:

- runs, unless a version of a registered model was made of them;
- logged models, unless a version of a registered model was made of them;
- experiments with everything in them, once all of their runs go; not the default one, which MLflow does
  not create again, and none whose scorers are guardrails;
- versions of registered models; of the newest one, whose number would be given out again, the tags.

Without a time, or with one that is still to come, nothing is old.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..errors import EntryError
from ..revisions import known_head
from .owners import MODEL, RUN, TRACE, Owner, below, named
from .places import Place
from .projects import Project
from .tables import Snapshot

DAY_SECONDS = 86400
DEFAULT_EXPERIMENT = 0
# What MLflow calls the stage of a version that was deleted.
GONE = "Deleted_Internal"
_LOCATION_KEYS = "('mlflow.artifactLocation', 'mlflow.trace.archiveLocation')"
_GUARDS = "scorer_id IN (SELECT scorer_id FROM guardrails)"
_OF_A_VERSION = "versions of registered models refer to them"


class Deleted(NamedTuple):
    """What goes for good, by ID; cutoff is the time in milliseconds before which it was deleted.

    versions: name and number of registered models' versions, and whether the row stays; kept: how many of
    what was deleted that long ago stay, by kind and reason; elsewhere: locations beyond the project's
    artifacts.
    """

    cutoff: int
    runs: list[str]
    models: list[str]
    experiments: list[int]
    traces: list[str]
    versions: list[tuple[str, int, bool]]
    kept: dict[tuple[str, str], int]
    elsewhere: int


class References(NamedTuple):
    """What the database refers to: owners that are there, and files and folders by path.

    bases: locations of experiments below the project's artifacts that are not a number.
    """

    owners: set[Owner]
    paths: set[str]
    bases: set[str]


def cutoff_of(project: Project, days: int) -> int:
    """Return the time in milliseconds before which what was deleted goes.

    Of two clocks the earlier one counts: a clock that is ahead must not delete anything.
    """
    return int((min(time.time(), project.database.now()) - days * DAY_SECONDS) * 1000)


def read(project: Project, days: int) -> tuple[Deleted, References]:
    """Return what goes, and what the database refers to, also of what goes."""
    cutoff = cutoff_of(project, days)
    with project.database.glance() as snapshot:
        if snapshot.revision() != known_head().revision:
            raise EntryError(
                f"The schema of project '{project.name}' is not at the revision of this MLflow; run the upgrade "
                "playbook first."
            )
        return _deleted(snapshot, project.artifacts, cutoff), references(
            snapshot, project.artifacts
        )


def references(snapshot: Snapshot, artifacts: Place) -> References:
    """Return what the database refers to."""
    root = artifacts.text()
    found = References(set(), set(), set())
    tables = (
        (RUN, "SELECT run_uuid, artifact_uri FROM runs"),
        (MODEL, "SELECT model_id, artifact_location FROM logged_models"),
    )
    for kind, query in tables:
        for identifier, location in snapshot.fetch(query):
            found.owners.add(Owner(kind, str(identifier)))
            _refer(found, location, root)
    found.owners.update(
        Owner(TRACE, str(row[0])) for row in snapshot.fetch("SELECT request_id FROM trace_info")
    )
    queries = (
        f"SELECT value FROM trace_tags WHERE trace_tags.key IN {_LOCATION_KEYS}",
        f"SELECT source FROM model_versions WHERE current_stage <> '{GONE}'",
        f"SELECT storage_location FROM model_versions WHERE current_stage <> '{GONE}'",
    )
    for query in queries:
        for (location,) in snapshot.fetch(query):
            _refer(found, location, root)
    for (location,) in snapshot.fetch("SELECT artifact_location FROM experiments"):
        path = below(str(location or ""), root)
        if path and not path.isdecimal():
            found.bases.add(path)
    return found


def _refer(found: References, location: Any, root: str) -> None:
    """Take a location into account."""
    if not isinstance(location, str):
        return
    owner = named(location)
    if owner:
        found.owners.add(owner)
    path = below(location, root)
    if path:
        found.paths.add(path)


def _deleted(snapshot: Snapshot, artifacts: Place, cutoff: int) -> Deleted:
    """Return what goes."""
    kept: Counter[tuple[str, str]] = Counter()
    used = _used(snapshot, artifacts)
    runs = []
    for (run_id,) in snapshot.fetch(
        f"SELECT run_uuid FROM runs WHERE lifecycle_stage = 'deleted' AND deleted_time <= {cutoff}"
    ):
        if Owner(RUN, run_id) in used:
            kept["runs", _OF_A_VERSION] += 1
        else:
            runs.append(str(run_id))
    experiments = _experiments(snapshot, cutoff, set(runs), used, kept)
    models = []
    for model_id, experiment, old in snapshot.fetch(
        "SELECT model_id, experiment_id, lifecycle_stage = 'deleted' AND "
        f"last_updated_timestamp_ms <= {cutoff} FROM logged_models"
    ):
        if Owner(MODEL, model_id) not in used:
            if old or experiment in experiments:
                models.append(str(model_id))
        elif old:
            kept["logged models", _OF_A_VERSION] += 1
    traces: list[str] = []
    for experiment in experiments:
        query = f"SELECT request_id FROM trace_info WHERE experiment_id = {experiment}"
        traces += [str(row[0]) for row in snapshot.fetch(query)]
    return Deleted(
        cutoff,
        runs,
        models,
        sorted(experiments),
        traces,
        _versions(snapshot, cutoff),
        dict(kept),
        _elsewhere(snapshot, artifacts, {*runs, *models}),
    )


def _used(snapshot: Snapshot, artifacts: Place) -> set[Owner]:
    """Return the runs and logged models of which versions of registered models were made."""
    root = artifacts.text()
    used = set()
    for run_id, *locations in snapshot.fetch(
        f"SELECT run_id, source, storage_location FROM model_versions WHERE current_stage <> '{GONE}'"
    ):
        if run_id:
            used.add(Owner(RUN, str(run_id)))
        for location in filter(None, locations):
            owner = named(location)
            if owner:
                used.add(owner)
            # Wherever the location of the experiment is, the ID is part of the path.
            for part in (below(location, root) or "").split("/"):
                used.update((Owner(RUN, part), Owner(MODEL, part)))
    return used


def _experiments(
    snapshot: Snapshot, cutoff: int, runs: set[str], used: set[Owner], kept: Counter[Any]
) -> set[int]:
    """Return the experiments that go, and count those that stay although they are old enough."""
    old = {
        int(row[0])
        for row in snapshot.fetch(
            "SELECT experiment_id FROM experiments WHERE lifecycle_stage = 'deleted' "
            f"AND last_update_time <= {cutoff}"
        )
    }
    if not old:
        return old
    holding = {}
    if DEFAULT_EXPERIMENT in old:
        holding[DEFAULT_EXPERIMENT] = "MLflow does not create the default experiment again"
    chosen = ", ".join(map(str, old))
    inside = f"WHERE experiment_id IN ({chosen})"
    reasons: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
        (
            f"SELECT experiment_id, run_uuid FROM runs {inside}",
            lambda run_id: run_id not in runs,
            "they have runs that stay",
        ),
        (
            f"SELECT experiment_id, model_id FROM logged_models {inside}",
            lambda model_id: Owner(MODEL, model_id) in used,
            _OF_A_VERSION,
        ),
        (
            f"SELECT experiment_id, scorer_id FROM scorers {inside} AND {_GUARDS}",
            lambda _scorer: True,
            "guardrails use their scorers",
        ),
    )
    for query, holds, reason in reasons:
        for experiment, identifier in snapshot.fetch(query):
            if holds(identifier):
                holding.setdefault(int(experiment), reason)
    for reason in holding.values():
        kept["experiments", reason] += 1
    return old - set(holding)


def _versions(snapshot: Snapshot, cutoff: int) -> list[tuple[str, int, bool]]:
    """Return the versions of registered models that go, or only lose their tags."""
    tagged = {
        (row[0], int(row[1]))
        for row in snapshot.fetch("SELECT DISTINCT name, version FROM model_version_tags")
    }
    newest = {
        row[0]: int(row[1])
        for row in snapshot.fetch("SELECT name, MAX(version) FROM model_versions GROUP BY name")
    }
    found = []
    for name, version in snapshot.fetch(
        f"SELECT name, version FROM model_versions WHERE current_stage = '{GONE}' "
        f"AND last_updated_time <= {cutoff}"
    ):
        stays = int(version) == newest[name]
        if not stays or (name, int(version)) in tagged:
            found.append((str(name), int(version), stays))
    return found


def _elsewhere(snapshot: Snapshot, artifacts: Place, gone: set[str]) -> int:
    """Return how many of what goes have artifacts beyond the project's."""
    root = artifacts.text()
    locations: list[Sequence[Any]] = [
        *snapshot.fetch(
            "SELECT run_uuid, artifact_uri FROM runs WHERE lifecycle_stage = 'deleted'"
        ),
        *snapshot.fetch("SELECT model_id, artifact_location FROM logged_models"),
    ]
    return sum(
        1
        for identifier, location in locations
        if identifier in gone and below(str(location or ""), root) is None
    )
