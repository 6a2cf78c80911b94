# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: plans for MLflow's objects, and how they are carried out."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._objects import api

KEEP, CREATE, UPDATE, RESTORE, DELETE = "keep", "create", "update", "restore", "delete"
ABSENT = "absent"
# MLflow keeps some of its own settings in tags.
_MLFLOWS = "mlflow."

W = t.TypeVar("W", bound="Named")
F = t.TypeVar("F")


class Named(t.Protocol):
    """An entry of a list."""

    @property
    def name(self) -> str:
        """Return the object's name."""


class Plan(t.NamedTuple):
    """What is done about an object: its requests, its state before and after, and its ID, "" without."""

    name: str
    action: str
    requests: tuple[api.Request, ...]
    before: dict[str, t.Any]
    after: dict[str, t.Any]
    id: str = ""

    @property
    def diff(self) -> dict[str, t.Any]:
        """Return the plan for Ansible's diff mode."""
        return {
            "before_header": self.name,
            "after_header": self.name,
            "before": self.before,
            "after": self.after,
        }


class Kind(t.Generic[W, F]):
    """A kind of object: read returns those of some names, plan what is done about an entry."""

    def __init__(
        self,
        read: t.Callable[[api.Ask, t.Collection[str]], t.Mapping[str, F]],
        plan: t.Callable[[W, F | None], Plan],
    ) -> None:
        """Take both functions."""
        self.read, self.plan = read, plan


def foresee(kind: Kind[W, F], ask: api.Ask, wanted: t.Sequence[W]) -> list[Plan]:
    """Return what is to be done about each entry, which changes nothing."""
    found = kind.read(ask, {entry.name for entry in wanted}) if wanted else {}
    return [kind.plan(entry, found.get(entry.name)) for entry in wanted]


def converge(kind: Kind[W, F], ask: api.Ask, wanted: t.Sequence[W], check: bool) -> list[Plan]:
    """Bring objects to their desired state, in order; return what was done about each.

    All plans are made before the first change, and check mode ends there. If a request fails, the
    MlflowError has in its details as `done` the plans that were carried out, and as `partly` whether
    that of the object that failed was in part.
    """
    planned = foresee(kind, ask, wanted)
    if check:
        return planned
    done: list[Plan] = []
    try:
        for entry, plan in zip(wanted, planned):
            done.append(_apply(kind, ask, entry, plan))
    except MlflowError as error:
        partly = error.details.get("partly", False)
        raise MlflowError(str(error), {"done": done, "partly": partly}) from None
    return done


def result(
    kind: Kind[W, F],
    ask: api.Ask,
    wanted: t.Sequence[W],
    check: bool,
    key: str,
    record: t.Callable[[Plan], dict[str, t.Any]],
) -> dict[str, t.Any]:
    """Return what a module returns, with the records under key; a failure has those of what was done."""
    try:
        return summary(converge(kind, ask, wanted, check), key, record)
    except MlflowError as error:
        raise MlflowError(str(error), failed(error, key, record)) from None


def failed(
    error: MlflowError, key: str, record: t.Callable[[Plan], dict[str, t.Any]]
) -> dict[str, t.Any]:
    """Return what was done before an error of converge, as the result of a module."""
    found = summary(error.details.get("done", []), key, record)
    return {**found, "changed": found["changed"] or error.details.get("partly", False)}


def summary(
    done: t.Sequence[Plan], key: str, record: t.Callable[[Plan], dict[str, t.Any]]
) -> dict[str, t.Any]:
    """Return plans as the result of a module."""
    changed = [plan for plan in done if plan.action != KEEP]
    return {
        "changed": bool(changed),
        key: [record(plan) for plan in done],
        "diff": [plan.diff for plan in changed],
    }


def _apply(kind: Kind[W, F], ask: api.Ask, entry: W, plan: Plan) -> Plan:
    """Carry out a plan; what another run has changed meanwhile is read again once."""
    try:
        return _send(ask, plan)
    except api.ApiError as error:
        if error.code not in api.OUTDATED:
            raise
        again = kind.plan(entry, kind.read(ask, {entry.name}).get(entry.name))
        # Something that a search does not return has the name, such as a prompt or one in other case.
        if again.action == CREATE and error.code == api.ALREADY_EXISTS:
            raise
        if not error.details["partly"]:
            return _send(ask, again)
    # What was done before the request that failed counts, too.
    try:
        return _send(ask, again)._replace(action=plan.action, before=plan.before)
    except MlflowError as error:
        error.details["partly"] = True
        raise


def _send(ask: api.Ask, plan: Plan) -> Plan:
    """Send a plan's requests in order; return it with the ID that the server gave the object."""
    identity, sent = plan.id, False
    try:
        for request in plan.requests:
            identity = str(ask(request).get("experiment_id", identity))
            sent = True
    except MlflowError as error:
        error.details["partly"] = sent
        raise
    return plan._replace(id=identity)


def tag_changes(
    wanted: t.Mapping[str, str], found: t.Mapping[str, str], purge: bool
) -> tuple[dict[str, str], list[str]]:
    """Return the tags to set and the keys to remove; MLflow's own are never removed."""
    changed = {key: value for key, value in wanted.items() if found.get(key) != value}
    surplus = [key for key in found if key not in wanted and not key.startswith(_MLFLOWS)]
    return changed, sorted(surplus) if purge else []


def tag_values(where: str, tags: t.Mapping[t.Any, t.Any]) -> dict[str, str]:
    """Return tags as text; refuse values that YAML and MLflow may write differently."""
    for key, value in tags.items():
        if not isinstance(key, str) or not key:
            raise MlflowError(f"{where}: tag {key!r} has no name; write its key in quotes.")
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise MlflowError(f"{where}: the value of tag '{key}' is not text; write it in quotes.")
    return {key: str(value) for key, value in tags.items()}


def require_distinct(option: str, names: t.Iterable[str]) -> None:
    """Refuse an empty name, and two entries of one name."""
    seen = set()
    for name in names:
        if not name:
            raise MlflowError(f"{option} has an entry with an empty name; give it one.")
        if name in seen:
            raise MlflowError(f"{option} has two entries named '{name}'; keep one of them.")
        seen.add(name)
