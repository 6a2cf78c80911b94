# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: plans what a CloudFormation stack needs, purely.

In: the template, what is wanted, the stack as DescribeStacks tells it, the change set as
DescribeChangeSet tells it. Out: a plan, refusals, and records for the module's result.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _names
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import records as _records
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import template
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.records import Found

CREATE, UPDATE, KEEP = "create", "update", "keep"
ABSENT, SHELL, BUSY, SETTLED, ROLLED_BACK, BROKEN = (
    "absent",
    "shell",
    "busy",
    "settled",
    "rolled back",
    "broken",
)
OWNER_TAG = "mlflow_aws"
CHANGE_SET_PREFIX = "mlflow-aws-"
PROTECTION_PARAMETER = "DeletionProtection"
PROJECTS_PARAMETER = "Projects"
# What must not be lost by a replacement that nobody asked for.
GUARDED_TYPES = ("AWS::RDS::DBCluster", "AWS::S3::Bucket", "AWS::KMS::Key")
MAX_PROJECTS = 100

_MAX_LIST_BYTES = 4096
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}\Z")
_SETTLED = {
    "CREATE_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
}
_REMEDIES = {
    "CREATE_FAILED": "delete it with 'aws cloudformation delete-stack' and run this again",
    "DELETE_FAILED": (
        "remove what blocks it and delete it again with 'aws cloudformation delete-stack'"
    ),
    "UPDATE_FAILED": "end that update with 'aws cloudformation rollback-stack'",
    "UPDATE_ROLLBACK_FAILED": (
        "repair that resource and run 'aws cloudformation continue-update-rollback'"
    ),
}


class Wanted(t.NamedTuple):
    """A stack as it should be.

    given: parameters by name, as the user wrote them; protection: None leaves it as it is;
    replace: logical ids that may be replaced; projects: names to have and names to drop in
    the template's list parameter Projects, or None where the template has none; foresee: a
    parameter that is given as None is known only later.
    """

    name: str
    owner: str
    body: str
    given: t.Mapping[str, t.Any]
    tags: t.Mapping[str, str]
    protection: bool | None
    replace: t.Sequence[str]
    projects: tuple[t.Sequence[str], t.Sequence[str]] | None = None
    foresee: bool = False


class Plan(t.NamedTuple):
    """What to do about a stack.

    action: create, update or keep; parameters: all of the template's, with their source;
    tags: all of the stack's; reuse_template: the stack has it already; protect: the wanted
    termination protection where it is to change, else None.
    """

    action: str
    parameters: t.Mapping[str, template.Parameter]
    tags: t.Mapping[str, str]
    reuse_template: bool
    protect: bool | None
    changed_parameters: t.Sequence[str]

    @property
    def changed(self) -> bool:
        """Say whether the plan does anything."""
        return self.action != KEEP or self.protect is not None

    @property
    def values(self) -> dict[str, str]:
        """Return the parameters' values by name."""
        return {name: parameter.value for name, parameter in self.parameters.items()}


def phase(stack: Found | None) -> str:
    """Say in which of its phases a stack is, as far as a change of it goes."""
    if stack is None or stack.status == "DELETE_COMPLETE":
        return ABSENT
    if stack.status == "REVIEW_IN_PROGRESS":
        return SHELL
    if stack.status.endswith("_IN_PROGRESS"):
        return BUSY
    if stack.status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED"):
        return ROLLED_BACK
    return SETTLED if stack.status in _SETTLED else BROKEN


def require_name(name: str) -> None:
    """Refuse a name that CloudFormation does not take."""
    if not _NAME.match(name):
        raise MlflowError(
            f"'{name}' cannot name a stack: start with a letter and go on with letters, digits and "
            "dashes, 128 characters at most."
        )


def require_ours(stack: Found, owner: str) -> None:
    """Refuse a stack that was not made by this collection for this deployment."""
    tag = stack.tags.get(OWNER_TAG)
    if tag == owner:
        return
    why = f"its tag {OWNER_TAG} is '{tag}'" if tag else f"it has no tag {OWNER_TAG}"
    raise MlflowError(
        f"Stack '{stack.name}' exists and is not ours ({why}): choose another name, or set its tag "
        f"{OWNER_TAG} to '{owner}' if it is to be managed here."
    )


def require_our_shell(name: str, change_sets: t.Iterable[str]) -> None:
    """Refuse a stack that somebody else is about to create by a change set of theirs."""
    foreign = [entry for entry in change_sets if not entry.startswith(CHANGE_SET_PREFIX)]
    if foreign:
        raise MlflowError(
            f"Stack '{name}' is being prepared by a change set that is not ours ({foreign[0]}): choose "
            "another name, or delete that change set and its stack."
        )


def require_deployed(name: str, stack: Found | None, where: str) -> None:
    """Refuse a stack that has no outputs to go on with."""
    status = stack.status if stack else ""
    if phase(stack) == SETTLED or status.startswith("UPDATE_"):
        return
    what = f"is in status {status}" if status else "is not deployed"
    raise MlflowError(
        f"Stack '{name}' {what} in {where}: deploy it first, with the playbook mlops.mlflow_aws.backend or "
        "mlops.mlflow_aws.deploy, or correct its name, region and profile."
    )


def require_usable(stack: Found, events: t.Sequence[t.Mapping[str, t.Any]]) -> None:
    """Refuse a stack in a state that only a person can end, and say how."""
    if phase(stack) != BROKEN:
        return
    failure = _records.first_failure(events)
    cause = _records.describe_failure(failure) if failure else stack.reason or "no reason given"
    remedy = _REMEDIES.get(stack.status, "bring it to a complete state in the AWS console")
    raise MlflowError(
        f"Stack '{stack.name}' is in status {stack.status} ({cause}) and takes no change: {remedy}."
    )


def plan(wanted: Wanted, stack: Found | None) -> Plan:
    """Return what the stack needs; one that is absent or rolled back is created."""
    content = template.parse(wanted.body)
    definitions = content.get("Parameters") or {}
    exists = stack if phase(stack) == SETTLED else None
    given = _given(wanted, definitions, exists)
    if wanted.projects is not None and not given[PROJECTS_PARAMETER]:
        # CloudFormation knows no empty stack: the last project's secrets go with the stack.
        return Plan(KEEP, {}, exists.tags if exists else {}, True, None, [])
    parameters = template.resolve(
        definitions, given, exists.parameters if exists else None, wanted.foresee
    )
    if not any(parameter.source == template.UNKNOWN for parameter in parameters.values()):
        values = {name: parameter.value for name, parameter in parameters.items()}
        template.require_rules(content, values)
    tags = {**wanted.tags, OWNER_TAG: wanted.owner}
    protect = wanted.protection
    if exists is None:
        return Plan(CREATE, parameters, tags, False, protect or None, list(parameters))
    if protect == exists.protected:
        protect = None
    same = template.same(exists.template, wanted.body)
    differing = [
        name
        for name, parameter in parameters.items()
        if name not in exists.parameters
        or (
            parameter.source == template.GIVEN
            and not template.equal_value(
                definitions[name], parameter.value, exists.parameters[name]
            )
        )
    ]
    # AWS's own tags, such as those of Service Catalog, are not ours to compare.
    own = {key: text for key, text in exists.tags.items() if not key.startswith("aws:")}
    action = KEEP if same and not differing and own == tags else UPDATE
    # A reused template has been transformed already, for the parameters of then.
    reuse = same and not content.get("Transform")
    return Plan(action, parameters, tags, reuse, protect, differing)


def projects_parameter(
    existing: t.Iterable[str], present: t.Iterable[str], absent: t.Iterable[str]
) -> list[str]:
    """Return the items of the parameter Projects: the stack's, then new ones, less absent.

    existing are the stack's items, present and absent are names of projects. A project that
    left the inventory's list stays until it is named as absent. Raises MlflowError where
    CloudFormation could not hold the result.
    """
    gone = set(absent)
    known = map(project_name, existing)
    names = [name for name in dict.fromkeys([*known, *present]) if name and name not in gone]
    if len(names) > MAX_PROJECTS:
        raise MlflowError(
            f"There would be {len(names)} projects in one stack, which holds {MAX_PROJECTS}: set projects "
            "that are over to 'state: absent', or deploy the others under another mlflow_stack_name."
        )
    items = [project_item(name) for name in names]
    size = len(",".join(items))
    if size > _MAX_LIST_BYTES:
        raise MlflowError(
            f"The names of the {len(names)} projects take {size} bytes, and a stack's parameter holds "
            f"{_MAX_LIST_BYTES}: use shorter names, or set projects that are over to 'state: absent'."
        )
    return items


def project_item(name: str) -> str:
    """Return how the parameter Projects writes a project, in letters and digits alone.

    X stands for each dash. Where the project's database user is not its name, Y and that
    user without its prefix follow. See cloudformation/projects.yml.
    """
    user = _names.runtime_user(name)[len(_names.runtime_user("")) :]
    item = name.replace("-", "X")
    return item if user == name.replace("-", "_") else f"{item}Y{user.replace('_', 'X')}"


def project_name(item: str) -> str:
    """Return the project that an item of the parameter Projects stands for."""
    return item.strip().partition("Y")[0].replace("X", "-")


def foreseen_changes(wanted: Wanted, stack: Found | None, plan_: Plan) -> list[dict[str, t.Any]]:
    """Return the records of a change set that was not made, from the templates alone.

    Where a resource stays but its definition differs, only AWS knows whether that replaces it.
    """
    after = template.resources(template.parse(wanted.body), plan_.values)
    before = {}
    if phase(stack) == SETTLED and stack is not None and stack.template:
        content = stack.template
        content = template.parse(content) if isinstance(content, str) else content
        before = template.resources(content, stack.parameters)
    records = []
    for name in sorted({*after, *before}):
        entry, old = after.get(name), before.get(name)
        if entry != old:
            action = "Remove" if entry is None else "Modify" if old else "Add"
            replaced = old and entry and old.get("Type") != entry.get("Type")
            kind = (entry or old or {}).get("Type", "")
            answer = "yes" if replaced else "unknown" if action == "Modify" else "no"
            records.append(_records.record(action, name, "", kind, answer, _differing(old, entry)))
    return records


def refuse_loss(
    name: str, records: t.Iterable[t.Mapping[str, t.Any]], allowed: t.Collection[str]
) -> None:
    """Refuse to replace or remove what holds data, unless it is allowed by name."""
    lost = [
        record
        for record in records
        if record["type"] in GUARDED_TYPES
        and record["logical_id"] not in allowed
        and (record["action"] == "Remove" or record["replacement"] in ("yes", "maybe"))
    ]
    if not lost:
        return
    words = [_loss(record) for record in lost]
    ids = ", ".join(record["logical_id"] for record in lost)
    raise MlflowError(
        f"Changing stack '{name}' {' and '.join(words)}, and what it holds would be lost: undo that in "
        f"template or parameters, or save the data and allow it with replace: [{ids}].",
        {"changes": list(records)},
    )


def difference(
    wanted: Wanted, stack: Found | None, plan_: Plan, records: t.Sequence[t.Mapping[str, t.Any]]
) -> dict[str, dict[str, t.Any]]:
    """Return what changes as before and after, for Ansible's diff mode."""
    if not plan_.changed:
        return {"before": {}, "after": {}}
    exists = stack if phase(stack) == SETTLED else None
    definitions = template.parse(wanted.body).get("Parameters") or {}
    before: dict[str, t.Any] = {"stack": wanted.name if exists else ""}
    after: dict[str, t.Any] = {"stack": wanted.name}
    old = dict(exists.parameters) if exists else {}
    names = plan_.changed_parameters
    before["parameters"] = {name: old[name] for name in names if name in old}
    after["parameters"] = {
        name: "****" if _is_hidden(definitions[name]) else plan_.values[name] for name in names
    }
    if wanted.protection and PROTECTION_PARAMETER in after["parameters"]:
        # Where a create leaves it off, the same run turns it on.
        after["parameters"][PROTECTION_PARAMETER] = "true"
    before["tags"], after["tags"] = dict(exists.tags) if exists else {}, dict(plan_.tags)
    if plan_.protect is not None:
        before["termination_protection"] = not plan_.protect
        after["termination_protection"] = plan_.protect
    before["resources"] = {
        record["logical_id"]: record["type"] for record in records if record["action"] != "Add"
    }
    after["resources"] = {
        record["logical_id"]: _shown(record) for record in records if record["action"] != "Remove"
    }
    return {"before": before, "after": after}


def foreseen_outputs(plan_: Plan) -> dict[str, str]:
    """Return what a stack's outputs will tell of each project, where only AWS knows the rest."""
    items = plan_.values.get(PROJECTS_PARAMETER, "").split(",")
    return {
        f"Project{item.strip()}": json.dumps(_records.project(project_name(item)))
        for item in items
        if item.strip()
    }


def notes(plan_: Plan) -> list[str]:
    """Return what a person should know about these parameters."""
    values = plan_.values
    # A database of one's own pauses as it pleases.
    if values.get("ExistingDatabaseEndpoint") or values.get("MinCapacity") not in ("0", "0.0"):
        return []
    pause = values.get("SecondsUntilAutoPause", "")
    after = f"after {pause} seconds " if pause else ""
    text = (
        f"MinCapacity 0 lets the database pause {after}without a connection, and the next one waits 15 "
        "to 30 seconds for it to wake. Our servers close idle connections; whatever else stays "
        "connected keeps it awake, and so do an RDS Proxy, the binary log, enhanced monitoring and "
        "Performance Insights, which the template leaves off."
    )
    return [text]


def _given(
    wanted: Wanted, definitions: t.Mapping[str, t.Any], exists: Found | None
) -> dict[str, t.Any]:
    """Return the parameters to give: the user's, the projects, and the protection's own."""
    given = dict(wanted.given)
    if wanted.projects is not None:
        if PROJECTS_PARAMETER not in definitions:
            raise MlflowError(f"The template has no parameter '{PROJECTS_PARAMETER}' for projects.")
        before = exists.parameters.get(PROJECTS_PARAMETER, "").split(",") if exists else []
        given[PROJECTS_PARAMETER] = projects_parameter(before, *wanted.projects)
    if wanted.protection is None or PROTECTION_PARAMETER not in definitions:
        return given
    chosen = given.get(PROTECTION_PARAMETER)
    if chosen is not None and str(chosen).lower() != str(wanted.protection).lower():
        raise MlflowError(
            f"Parameter '{PROTECTION_PARAMETER}' is {str(chosen).lower()} and protection is "
            f"{str(wanted.protection).lower()}: leave that parameter out."
        )
    # Protected from the start, the rollback of a failed create could not delete what it made.
    given[PROTECTION_PARAMETER] = str(bool(wanted.protection and exists)).lower()
    return given


def _differing(old: t.Mapping[str, t.Any] | None, new: t.Mapping[str, t.Any] | None) -> list[str]:
    """Return the names of the properties in which two definitions of a resource differ."""
    if not old or not new:
        return []
    before, after = old.get("Properties") or {}, new.get("Properties") or {}
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _loss(record: t.Mapping[str, t.Any]) -> str:
    """Return how a resource would be lost, as part of a sentence."""
    what = f"{record['logical_id']} ({record['type']})"
    if record["action"] == "Remove":
        return f"would remove {what}"
    because = f" because of {', '.join(record['properties'])}" if record["properties"] else ""
    return f"{'would' if record['replacement'] == 'yes' else 'may'} replace {what}{because}"


def _shown(record: t.Mapping[str, t.Any]) -> str:
    """Return a changed resource as it stands in a diff."""
    if record["action"] == "Add":
        return str(record["type"])
    names = f": {', '.join(record['properties'])}" if record["properties"] else ""
    words = {"yes": "replaced", "no": "modified"}
    how = words.get(record["replacement"], "modified, may be replaced")
    return f"{record['type']} ({how}{names})"


def _is_hidden(definition: t.Mapping[str, t.Any]) -> bool:
    """Say whether AWS does not show a parameter's value."""
    return str(definition.get("NoEcho")).lower() == "true"
