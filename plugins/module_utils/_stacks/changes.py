# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the changes in a change set, and whether they replace a resource."""

from __future__ import annotations

import typing as t

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


def change_records(change_set: t.Iterable[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return a record for each resource that a change set changes, by logical id."""
    entries = [entry["ResourceChange"] for entry in change_set if entry.get("ResourceChange")]
    settled = _replaced(entries)
    entries.sort(key=lambda entry: entry["LogicalResourceId"])
    return [_change(entry, settled[entry["LogicalResourceId"]]) for entry in entries]


def removed(records: t.Iterable[t.Mapping[str, t.Any]]) -> set[str]:
    """Return the logical ids of the resources that are removed."""
    return {record["logical_id"] for record in records if record["action"] == "Remove"}


def change_record(
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
    return change_record(
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
    """Return whether one of a resource's changed properties may have it replaced."""
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
    """Return whether AWS changes that property in place, although the change set leaves it open."""
    return (
        kind in REPLACING
        and target["RequiresRecreation"] == "Conditionally"
        and target.get("Attribute", "Properties") == "Properties"
        and target.get("Name") not in (None, "", *REPLACING[kind])
    )
