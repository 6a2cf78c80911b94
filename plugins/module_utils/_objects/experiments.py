# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: MLflow's experiments as they are, as they should be, and what is to be done."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._objects import api, plans

# Where MLflow's page keeps an experiment's description.
DESCRIPTION_TAG = "mlflow.note.content"
NAME_LENGTH = 500
_DELETED = "deleted"
_PAGE = 1000
# The oldest first: those of a list are usually among them, and then no second page is read.
_SEARCH = api.Request(
    "POST",
    "experiments/search",
    {"max_results": _PAGE, "view_type": "ALL", "order_by": ["creation_time ASC"]},
    "search for experiments",
)


class Experiment(t.NamedTuple):
    """An experiment on a server; one that is deleted can be restored."""

    name: str
    id: str
    deleted: bool
    artifact_location: str
    tags: t.Mapping[str, str]


class Wanted(t.NamedTuple):
    """An experiment of a list; artifact_location is "" where the server chooses."""

    name: str
    tags: t.Mapping[str, str]
    artifact_location: str = ""
    absent: bool = False


def wanted(entries: t.Sequence[t.Mapping[str, t.Any]], option: str) -> list[Wanted]:
    """Return the experiments of a list, whose entries have the keys of mlflow_experiment."""
    plans.require_distinct(option, (entry["name"] for entry in entries))
    return [_wanted(entry, option) for entry in entries]


def _wanted(entry: t.Mapping[str, t.Any], option: str) -> Wanted:
    """Return the experiment of one entry."""
    name = entry["name"]
    where = f"{option}: experiment '{name}'"
    if len(name) > NAME_LENGTH:
        raise MlflowError(
            f"{option}: the name '{name[:40]}...' has {len(name)} characters; MLflow allows {NAME_LENGTH}."
        )
    tags = plans.tag_values(where, entry.get("tags") or {})
    description = entry.get("description")
    if description is not None:
        if DESCRIPTION_TAG in tags:
            raise MlflowError(
                f"{where} has a description and the tag {DESCRIPTION_TAG}, which is the same; remove one of them."
            )
        tags[DESCRIPTION_TAG] = description
    location = (entry.get("artifact_location") or "").rstrip("/")
    if location and not location.startswith("/") and ":" not in location:
        raise MlflowError(
            f"{where}: artifact_location '{location}' depends on the server's directory; write a URI or an "
            "absolute path."
        )
    return Wanted(name, tags, location, entry.get("state") == plans.ABSENT)


def kind(purge: bool) -> plans.Kind[Wanted, Experiment]:
    """Return how experiments are read and planned; purge removes tags that are not listed."""
    return plans.Kind(read, functools.partial(plan, purge=purge))


def read(ask: api.Ask, names: t.Collection[str]) -> dict[str, Experiment]:
    """Return the experiments of these names, deleted ones included, page by page."""
    found: dict[str, Experiment] = {}
    for page in api.pages(ask, _SEARCH, "experiments"):
        found |= {item["name"]: _experiment(item) for item in page if item["name"] in names}
        # A name belongs to one experiment.
        if len(found) == len(set(names)):
            break
    return found


def _experiment(item: t.Mapping[str, t.Any]) -> Experiment:
    """Return an experiment as the server describes it."""
    return Experiment(
        name=item["name"],
        id=item["experiment_id"],
        deleted=item.get("lifecycle_stage") == _DELETED,
        artifact_location=item.get("artifact_location", ""),
        tags={tag["key"]: tag.get("value", "") for tag in item.get("tags") or []},
    )


def plan(entry: Wanted, found: Experiment | None, purge: bool = False) -> plans.Plan:
    """Return what is to be done about one experiment."""
    before = _picture(found)
    if entry.absent:
        if found is None or found.deleted:
            identity = found.id if found else ""
            return plans.Plan(entry.name, plans.KEEP, (), before, before, identity)
        requests = [_request("delete", {"experiment_id": found.id}, f"delete {_called(entry)}")]
        after = {**before, "state": _DELETED}
        return plans.Plan(entry.name, plans.DELETE, tuple(requests), before, after, found.id)
    if found is None:
        return _creation(entry, before)
    _require_location(entry, found)
    changed, surplus = plans.tag_changes(entry.tags, found.tags, purge)
    requests = [
        *_restoration(entry, found),
        *(_set(entry, found, key, value) for key, value in changed.items()),
        *(_unset(entry, found, key) for key in surplus),
    ]
    action = plans.RESTORE if found.deleted else plans.UPDATE if requests else plans.KEEP
    tags = {key: value for key, value in found.tags.items() if key not in surplus} | changed
    after = _picture(found._replace(deleted=False, tags=tags))
    return plans.Plan(entry.name, action, tuple(requests), before, after, found.id)


def _creation(entry: Wanted, before: dict[str, t.Any]) -> plans.Plan:
    """Return the plan for an experiment that is not there."""
    body: dict[str, t.Any] = {
        "name": entry.name,
        "tags": [{"key": key, "value": value} for key, value in entry.tags.items()],
    }
    if entry.artifact_location:
        body["artifact_location"] = entry.artifact_location
    request = _request("create", body, f"create {_called(entry)}")
    after = _picture(Experiment(entry.name, "", False, entry.artifact_location, entry.tags))
    return plans.Plan(entry.name, plans.CREATE, (request,), before, after)


def _require_location(entry: Wanted, found: Experiment) -> None:
    """Refuse another place for artifacts, which an experiment keeps for ever."""
    asked, has = entry.artifact_location, found.artifact_location.rstrip("/")
    if asked and has not in (asked, f"file://{asked}"):
        raise MlflowError(
            f"Experiment '{entry.name}' keeps its artifacts in {has}, which cannot be changed to {asked}; remove "
            "artifact_location, or choose another name."
        )


def _restoration(entry: Wanted, found: Experiment) -> list[api.Request]:
    """Return the request that restores an experiment, if it is deleted."""
    if not found.deleted:
        return []
    return [_request("restore", {"experiment_id": found.id}, f"restore {_called(entry)}")]


def _set(entry: Wanted, found: Experiment, key: str, value: str) -> api.Request:
    """Return the request that sets a tag."""
    body = {"experiment_id": found.id, "key": key, "value": value}
    return _request("set-experiment-tag", body, f"set the tag '{key}' of {_called(entry)}")


def _unset(entry: Wanted, found: Experiment, key: str) -> api.Request:
    """Return the request that removes a tag."""
    body = {"experiment_id": found.id, "key": key}
    return _request("delete-experiment-tag", body, f"remove the tag '{key}' of {_called(entry)}")


def _request(verb: str, body: t.Mapping[str, t.Any], about: str) -> api.Request:
    """Return a request about an experiment."""
    return api.Request("POST", f"experiments/{verb}", body, about)


def _called(entry: Wanted) -> str:
    """Name an experiment in a sentence."""
    return f"the experiment '{entry.name}'"


def _picture(found: Experiment | None) -> dict[str, t.Any]:
    """Return an experiment for a diff and a record."""
    if found is None:
        return {"state": plans.ABSENT, "artifact_location": "", "tags": {}}
    return {
        "state": _DELETED if found.deleted else "present",
        "artifact_location": found.artifact_location,
        "tags": dict(sorted(found.tags.items())),
    }


def record(plan_: plans.Plan) -> dict[str, t.Any]:
    """Return the record of an experiment, as it is after its plan."""
    return {"name": plan_.name, "action": plan_.action, "experiment_id": plan_.id, **plan_.after}
