# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: gives what CloudFormation tells the shapes that we use, purely."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import commands

_CANCELLED = re.compile(r"Resource \w+ cancelled")
_UNCHANGED = re.compile(
    r"didn.t contain changes|no updates are to be performed|no changes", re.IGNORECASE
)
_OVERTAKEN = re.compile(
    r"_IN_PROGRESS\b|stack\b.* (already exists|does not exist)|cannot be executed", re.IGNORECASE
)
_OVERTAKEN_CODES = {
    "AlreadyExistsException",
    "ChangeSetNotFound",
    "ChangeSetNotFoundException",
    "InvalidChangeSetStatus",
    "OperationInProgressException",
    "StaleRequestException",
    "TokenAlreadyExistsException",
}
_HANDLER = re.compile(r'Resource handler returned message: "?(?P<text>.*?)"?(?: \(RequestToken|$)')
_REQUEST = re.compile(r"\s*\((?:Service|RequestToken|Status Code)\b[^()]*\)")
_STACK_TYPE = "AWS::CloudFormation::Stack"
# CREATE_FAILED and UPDATE_FAILED are events on the way to a rollback.
_ENDS = {
    "CREATE_COMPLETE",
    "DELETE_COMPLETE",
    "DELETE_FAILED",
    "ROLLBACK_COMPLETE",
    "ROLLBACK_FAILED",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "UPDATE_ROLLBACK_FAILED",
}
_DEPLOY = "run the deploy playbook, or delete that output if it is not ours"
_PROJECT_KEYS = ("runtime_secret", "migrator_secret", "role", "policy", "key")
_REPLACEMENT = {"True": "yes", "Conditional": "maybe", "False": "no"}
# What makes AWS build another one of what holds data, always or on some condition, by its resource
# types' schemas (a test compares them). A change of another property never does, whatever an
# emulator that does not know the type says.
REPLACING: dict[str, tuple[str, ...]] = {
    "AWS::KMS::Key": (),
    "AWS::RDS::DBCluster": (
        "AvailabilityZones",
        "ClusterScalabilityType",
        "DBClusterIdentifier",
        "DBSubnetGroupName",
        "DBSystemId",
        "DatabaseName",
        "Engine",
        "EngineMode",
        "GlobalClusterIdentifier",
        "KmsKeyId",
        "MasterUsername",
        "PubliclyAccessible",
        "RestoreToTime",
        "RestoreType",
        "SnapshotIdentifier",
        "SourceDBClusterIdentifier",
        "SourceDbClusterResourceId",
        "SourceRegion",
        "StorageEncrypted",
        "UseLatestRestorableTime",
    ),
    "AWS::S3::Bucket": ("BucketName", "BucketNamePrefix", "BucketNamespace"),
}


class Found(t.NamedTuple):
    """A stack as it is; template is its text or content, read only where it is needed."""

    name: str
    stack_id: str
    status: str
    reason: str
    parameters: t.Mapping[str, str]
    tags: t.Mapping[str, str]
    outputs: t.Mapping[str, str]
    protected: bool
    template: t.Any = None


def found(description: t.Mapping[str, t.Any]) -> Found:
    """Return a stack from one entry of DescribeStacks."""
    return Found(
        name=description["StackName"],
        stack_id=description["StackId"],
        status=description["StackStatus"],
        reason=tidy(description.get("StackStatusReason", "")),
        parameters={
            entry["ParameterKey"]: entry.get("ParameterValue", "")
            for entry in description.get("Parameters", [])
        },
        tags={entry["Key"]: entry["Value"] for entry in description.get("Tags", [])},
        outputs={
            entry["OutputKey"]: entry["OutputValue"] for entry in description.get("Outputs", [])
        },
        protected=bool(description.get("EnableTerminationProtection", False)),
    )


def info(stack: Found | None) -> dict[str, t.Any]:
    """Return the record of a stack; its form is the documentation of mlflow_stack_info."""
    return {
        "exists": stack is not None,
        "status": stack.status if stack else "ABSENT",
        "stack_id": stack.stack_id if stack else "",
        "outputs": dict(stack.outputs) if stack else {},
        "projects": projects(stack.outputs) if stack else {},
        "parameters": dict(stack.parameters) if stack else {},
        "tags": dict(stack.tags) if stack else {},
        "protected": stack.protected if stack else False,
    }


def changes(change_set: t.Iterable[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return a record for each resource that a change set changes, by logical id."""
    entries = [entry["ResourceChange"] for entry in change_set if entry.get("ResourceChange")]
    settled = _replaced(entries)
    entries.sort(key=lambda entry: entry["LogicalResourceId"])
    return [_change(entry, settled[entry["LogicalResourceId"]]) for entry in entries]


def first_failure(events: t.Iterable[t.Mapping[str, t.Any]]) -> dict[str, t.Any] | None:
    """Return the event in which an operation went wrong; events are in order of time.

    What AWS cancels because of it, and the stack's own event that only sums up, come after.
    """
    failed = [event for event in events if event["status"].endswith("_FAILED")]
    own = [event for event in failed if event["type"] != _STACK_TYPE]
    causes = [event for event in own if event["reason"] and not _CANCELLED.search(event["reason"])]
    return dict((causes or own or failed or [{}])[0]) or None


def describe_failure(event: t.Mapping[str, t.Any]) -> str:
    """Return a failed event as part of a sentence."""
    reason = _aws.denied(event["reason"]) or event["reason"] or "no reason given"
    if event["type"] == _STACK_TYPE:
        return str(reason)
    return f"{event['logical_id']} ({event['type']}) {event['status']}: {reason}"


def event_record(event: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the record of one stack event of AWS."""
    moment = event["Timestamp"]
    return {
        "id": event["EventId"],
        "time": moment.isoformat() if hasattr(moment, "isoformat") else str(moment),
        "logical_id": event["LogicalResourceId"],
        "physical_id": event.get("PhysicalResourceId", ""),
        "type": event.get("ResourceType", ""),
        "status": event["ResourceStatus"],
        "reason": tidy(event.get("ResourceStatusReason", "")),
        "detail": event.get("DetailedStatus", ""),
    }


def shown(events: t.Iterable[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return events without what only we need of them."""
    return [
        {key: text for key, text in event.items() if key not in ("id", "detail")}
        for event in events
    ]


def event_line(event: t.Mapping[str, t.Any]) -> str:
    """Return an event as a line of progress."""
    reason = f": {event['reason']}" if event["reason"] else ""
    return f"{event['time'][11:19]} {event['status']} {event['type']} {event['logical_id']}{reason}"


def ended(events: t.Iterable[t.Mapping[str, t.Any]], stack_id: str) -> str:
    """Return the status in which an operation ended, from its events; empty if it goes on."""
    own = [event["status"] for event in events if event["physical_id"] == stack_id]
    return own[-1] if own and own[-1] in _ENDS else ""


def where(events: t.Iterable[t.Mapping[str, t.Any]]) -> str:
    """Return which resource an operation is at, as a part of a sentence."""
    last = {event["logical_id"]: event for event in events}
    open_ = [
        event
        for event in last.values()
        if event["status"].endswith("_IN_PROGRESS") and event["type"] != _STACK_TYPE
    ]
    if not open_:
        return ""
    return f", at {open_[0]['logical_id']} ({open_[0]['type']} {open_[0]['status']})"


def tidy(reason: str | None) -> str:
    """Return a reason of AWS on one line, without the ids of its requests and its full stop."""
    text = " ".join(str(reason or "").split())
    handled = _HANDLER.search(text)
    text = handled["text"] if handled else text
    return _REQUEST.sub("", text).strip().rstrip(".")


def is_unchanged(reason: str) -> bool:
    """Say whether a change set failed only because there is nothing to change."""
    return _UNCHANGED.search(reason) is not None


def is_overtaken(code: str, text: str) -> bool:
    """Say whether AWS refused because somebody else changed the stack meanwhile."""
    return code in _OVERTAKEN_CODES or (
        code == "ValidationError" and _OVERTAKEN.search(text) is not None
    )


def projects(outputs: t.Mapping[str, str]) -> dict[str, dict[str, t.Any]]:
    """Return what a stack's outputs tell of each project, by the project's name."""
    told = [
        commands.document(text, f"The stack's output {key}", _DEPLOY, {"name": str})
        for key, text in sorted(outputs.items())
        if key.startswith("Project") and text.startswith("{")
    ]
    return {record["name"]: record for record in told}


def project(name: str) -> dict[str, str]:
    """Return what an output tells of a project before anything of it is known."""
    return {"name": name, **dict.fromkeys(_PROJECT_KEYS, "")}


def record(
    action: str, logical_id: str, physical_id: str, kind: str, replacement: str, names: list[str]
) -> dict[str, t.Any]:
    """Return the record of one resource that changes; its form is the module's documentation."""
    return {
        "action": action,
        "logical_id": logical_id,
        "physical_id": physical_id,
        "type": kind,
        "replacement": replacement,
        "properties": names,
    }


def _change(entry: t.Mapping[str, t.Any], replacement: str) -> dict[str, t.Any]:
    """Return the record of one resource of a change set."""
    targets = [detail.get("Target", {}) for detail in entry.get("Details", [])]
    names = [target.get("Name") or target.get("Attribute", "") for target in targets]
    return record(
        entry["Action"],
        entry["LogicalResourceId"],
        entry.get("PhysicalResourceId", ""),
        entry.get("ResourceType", ""),
        replacement,
        sorted(filter(None, dict.fromkeys(names))),
    )


def _replaced(entries: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, str]:
    """Return for each resource of a change set whether it is replaced: yes, no or maybe.

    AWS says maybe of everything that refers to a resource that is changed. It is no after
    all where the resources that it refers to stay.
    """
    answers = {
        entry["LogicalResourceId"]: _REPLACEMENT.get(str(entry.get("Replacement")), "no")
        for entry in entries
    }
    settled = False
    while not settled:
        settled = True
        for entry in entries:
            name = entry["LogicalResourceId"]
            if answers[name] == "maybe" and not _may_replace(entry, answers):
                answers[name] = "no"
                settled = False
    return answers


def _may_replace(entry: t.Mapping[str, t.Any], answers: t.Mapping[str, str]) -> bool:
    """Say whether one of a resource's changed properties may have it replaced."""
    told = [
        detail
        for detail in entry.get("Details", [])
        if detail.get("Target", {}).get("RequiresRecreation") in ("Always", "Conditionally")
    ]
    if not told:
        return True
    kind = str(entry.get("ResourceType", ""))
    reasons = [detail for detail in told if not _never_replaces(kind, detail["Target"])]
    return any(
        detail.get("Evaluation") != "Dynamic"
        or detail.get("ChangeSource") not in ("ResourceAttribute", "ResourceReference")
        or answers.get(str(detail.get("CausingEntity", "")).partition(".")[0], "maybe") != "no"
        for detail in reasons
    )


def _never_replaces(kind: str, target: t.Mapping[str, t.Any]) -> bool:
    """Say whether AWS changes that property in place, although the change set leaves it open."""
    return (
        kind in REPLACING
        and target["RequiresRecreation"] == "Conditionally"
        and target.get("Attribute", "Properties") == "Properties"
        and target.get("Name") not in (None, "", *REPLACING[kind])
    )
