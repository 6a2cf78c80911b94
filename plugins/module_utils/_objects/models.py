# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: MLflow's registered models as they are and should be, and what is to be done."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._objects import api, plans

_PAGE = 1000
_SEARCH = api.Request(
    "GET",
    "registered-models/search",
    {"max_results": _PAGE, "order_by": "name ASC"},
    "search for registered models",
)


class Model(t.NamedTuple):
    """A registered model on a server; aliases has the version of each alias."""

    name: str
    description: str
    tags: t.Mapping[str, str]
    aliases: t.Mapping[str, str]


class Wanted(t.NamedTuple):
    """A registered model of a list; a description that is None is not changed."""

    name: str
    description: str | None
    tags: t.Mapping[str, str]
    aliases: t.Mapping[str, str]
    absent: bool = False


class Purge(t.NamedTuple):
    """Whether tags and aliases that are not listed are removed."""

    tags: bool = False
    aliases: bool = False


_NO_PURGE = Purge()


def wanted(entries: t.Sequence[t.Mapping[str, t.Any]]) -> list[Wanted]:
    """Return the models of the option of mlflow_registered_model."""
    plans.require_distinct("models", (entry["name"] for entry in entries))
    return [_wanted(entry) for entry in entries]


def _wanted(entry: t.Mapping[str, t.Any]) -> Wanted:
    """Return the model of one entry."""
    name = entry["name"]
    where = f"models: model '{name}'"
    absent = entry["state"] == plans.ABSENT
    if absent and entry["confirm"] != name:
        raise MlflowError(
            f"{where}: 'state: absent' deletes the model with all its versions for ever; to confirm it, set "
            f"'confirm: {name}'."
        )
    return Wanted(
        name,
        entry["description"],
        plans.tag_values(where, entry["tags"] or {}),
        {
            str(alias): _version(where, alias, value)
            for alias, value in (entry["aliases"] or {}).items()
        },
        absent,
    )


def _version(where: str, alias: str, value: t.Any) -> str:
    """Return the version of an alias."""
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise MlflowError(
            f"{where}: alias '{alias}' has the version {value!r}; write the number of a version."
        )
    return str(int(text))


def kind(purge: Purge) -> plans.Kind[Wanted, Model]:
    """Return how registered models are read and planned."""
    return plans.Kind(read, functools.partial(plan, purge=purge))


def read(ask: api.Ask, names: t.Collection[str]) -> dict[str, Model]:
    """Return the registered models of these names, page by page."""
    found: dict[str, Model] = {}
    for page in api.pages(ask, _SEARCH, "registered_models"):
        found |= {item["name"]: _model(item) for item in page if item["name"] in names}
        if len(found) == len(set(names)):
            break
    return found


def _model(item: t.Mapping[str, t.Any]) -> Model:
    """Return a model as the server describes it."""
    return Model(
        name=item["name"],
        description=item.get("description", ""),
        tags={tag["key"]: tag.get("value", "") for tag in item.get("tags") or []},
        aliases={alias["alias"]: str(alias["version"]) for alias in item.get("aliases") or []},
    )


def plan(entry: Wanted, found: Model | None, purge: Purge = _NO_PURGE) -> plans.Plan:
    """Return what is to be done about one registered model."""
    before = _picture(found)
    if entry.absent:
        if found is None:
            return plans.Plan(entry.name, plans.KEEP, (), before, before)
        request = _request(entry, "DELETE", "delete", {}, "delete")
        return plans.Plan(entry.name, plans.DELETE, (request,), before, _picture(None))
    if found is None:
        return _creation(entry, before)
    described = _description(entry, found)
    tags, tag_requests = _tags(entry, found, purge.tags)
    aliases, alias_requests = _aliases(entry, found, purge.aliases)
    requests = (*described, *tag_requests, *alias_requests)
    after = Model(entry.name, found.description, tags, aliases)
    if described and entry.description is not None:
        after = after._replace(description=entry.description)
    action = plans.UPDATE if requests else plans.KEEP
    return plans.Plan(entry.name, action, requests, before, _picture(after))


def _description(entry: Wanted, found: Model) -> list[api.Request]:
    """Return the request that changes the description, if it is to change."""
    if entry.description is None or entry.description == found.description:
        return []
    return [_request(entry, "PATCH", "update", {"description": entry.description}, "describe")]


def _tags(entry: Wanted, found: Model, purge: bool) -> tuple[dict[str, str], list[api.Request]]:
    """Return the tags as they will be, and the requests for that."""
    changed, surplus = plans.tag_changes(entry.tags, found.tags, purge)
    requests = [
        _request(entry, "POST", "set-tag", {"key": key, "value": value}, f"set the tag '{key}' of")
        for key, value in changed.items()
    ] + [
        _request(entry, "DELETE", "delete-tag", {"key": key}, f"remove the tag '{key}' of")
        for key in surplus
    ]
    kept = {key: value for key, value in found.tags.items() if key not in surplus}
    return kept | changed, requests


def _aliases(entry: Wanted, found: Model, purge: bool) -> tuple[dict[str, str], list[api.Request]]:
    """Return the aliases as they will be, and the requests for that."""
    moved = {
        alias: version
        for alias, version in entry.aliases.items()
        if found.aliases.get(alias) != version
    }
    surplus = sorted(set(found.aliases) - set(entry.aliases)) if purge else []
    requests = [
        _request(
            entry,
            "POST",
            "alias",
            {"alias": alias, "version": version},
            f"set the alias '{alias}' to version {version} of",
        )
        for alias, version in moved.items()
    ] + [
        _request(entry, "DELETE", "alias", {"alias": alias}, f"remove the alias '{alias}' of")
        for alias in surplus
    ]
    kept = {alias: version for alias, version in found.aliases.items() if alias not in surplus}
    return kept | moved, requests


def _creation(entry: Wanted, before: dict[str, t.Any]) -> plans.Plan:
    """Return the plan for a model that is not there, and so has no versions for aliases."""
    if entry.aliases:
        alias, version = next(iter(entry.aliases.items()))
        raise MlflowError(
            f"Registered model '{entry.name}' does not exist, so its alias '{alias}' cannot have version "
            f"{version}; register that version first, or remove the alias."
        )
    body = {
        "tags": [{"key": key, "value": value} for key, value in entry.tags.items()],
        **({"description": entry.description} if entry.description else {}),
    }
    request = _request(entry, "POST", "create", body, "create")
    after = _picture(Model(entry.name, entry.description or "", entry.tags, {}))
    return plans.Plan(entry.name, plans.CREATE, (request,), before, after)


def _request(
    entry: Wanted, method: str, verb: str, body: t.Mapping[str, t.Any], about: str
) -> api.Request:
    """Return a request about a model; about is a verb in a sentence."""
    return api.Request(
        method,
        f"registered-models/{verb}",
        {"name": entry.name, **body},
        f"{about} the registered model '{entry.name}'",
    )


def _picture(found: Model | None) -> dict[str, t.Any]:
    """Return a model for a diff and a record."""
    if found is None:
        return {"state": plans.ABSENT, "description": "", "tags": {}, "aliases": {}}
    return {
        "state": "present",
        "description": found.description,
        "tags": dict(sorted(found.tags.items())),
        "aliases": dict(sorted(found.aliases.items())),
    }


def record(plan_: plans.Plan) -> dict[str, t.Any]:
    """Return the record of a registered model, as it is after its plan."""
    return {"name": plan_.name, "action": plan_.action, **plan_.after}
