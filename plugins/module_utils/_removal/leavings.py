# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the calls that find and remove what a backend's stacks leave, by kind."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._backend.logs import Logs
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import ecr
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal.buckets import Bucket

_GONE = {
    "404",
    "NoSuchBucket",
    "NoSuchTagSet",
    "NotFoundException",
    "NotFound",
    "RepositoryNotFoundException",
    "ParameterNotFound",
    "ResourceNotFoundException",
    "DBClusterSnapshotNotFoundFault",
}
_KEY_DAYS = 7
_PENDING = "PendingDeletion"
# By which the template of the projects marks them.
_SECRET_TAG = "mlflow-stack"
_TEMPLATE = re.compile(r"[0-9a-f]{64}\.yml")
_DELETED = "DELETE_COMPLETE"


class Leavings:
    """What stays when stacks go; every method raises MlflowError with one sentence."""

    def __init__(self, params: t.Mapping[str, t.Any], account: str) -> None:
        """Take the options of _aws.ARGUMENTS, and the account that everything must belong to."""
        self._params = params
        self._account = account
        self._clients: dict[str, t.Any] = {}

    def deleted_stacks(self, name: str) -> list[str]:
        """Return the IDs of the stacks of a name that were deleted, which AWS lists for 90 days."""
        client = self._client("cloudformation")
        with _aws.explained("list the deleted stacks", client):
            pages = client.get_paginator("list_stacks").paginate(StackStatusFilter=[_DELETED])
            return [
                entry["StackId"]
                for page in pages
                for entry in page["StackSummaries"]
                if entry["StackName"] == name
            ]

    def has_repository(self, name: str) -> bool:
        """Return whether ECR has a repository."""
        return bool(ecr.find_repository(self._client("ecr"), name))

    def delete_repository(self, name: str) -> None:
        """Delete a repository with its images."""
        client = self._client("ecr")
        with _aws.explained(f"delete the ECR repository '{name}'", client):
            _unless_gone(lambda: client.delete_repository(repositoryName=name, force=True))

    def parameters(self, path: str) -> list[str]:
        """Return the names of the parameters below a path."""
        client = self._client("ssm")
        with _aws.explained(f"list the parameters below {path}", client):
            pages = client.get_paginator("describe_parameters").paginate(
                ParameterFilters=[{"Key": "Path", "Option": "Recursive", "Values": [path]}]
            )
            return [entry["Name"] for page in pages for entry in page["Parameters"]]

    def delete_parameter(self, name: str) -> None:
        """Delete a parameter."""
        client = self._client("ssm")
        with _aws.explained(f"delete the parameter {name}", client):
            _unless_gone(lambda: client.delete_parameter(Name=name))

    def has_bucket(self, name: str) -> bool:
        """Return whether the account has a bucket."""
        client = self._client("s3")
        with _aws.explained(f"look for bucket '{name}'", client):
            found = _unless_gone(
                lambda: client.head_bucket(Bucket=name, ExpectedBucketOwner=self._account)
            )
        return found is not None

    def bucket_tags(self, name: str) -> dict[str, str]:
        """Return the tags of a bucket."""
        client = self._client("s3")
        with _aws.explained(f"read the tags of bucket '{name}'", client):
            answer = _unless_gone(
                lambda: client.get_bucket_tagging(Bucket=name, ExpectedBucketOwner=self._account)
            )
        return {tag["Key"]: tag["Value"] for tag in (answer or {}).get("TagSet", [])}

    def bucket_age(self, name: str) -> str:
        """Return when a bucket was created, in ISO 8601, empty without one."""
        client = self._client("s3")
        with _aws.explained("list the buckets", client):
            found = {entry["Name"]: entry for entry in client.list_buckets()["Buckets"]}
        return found[name]["CreationDate"].isoformat() if name in found else ""

    def bucket(
        self,
        name: str,
        show: t.Callable[[str], None] = lambda _line: None,
        deadline: float = float("inf"),
    ) -> Bucket:
        """Return a bucket, to be emptied and deleted."""
        return Bucket(self._client("s3"), name, self._account, show, deadline)

    def delete_bucket(self, name: str) -> None:
        """Delete all versions of all objects of a bucket, and the bucket."""
        self.bucket(name).delete()

    def delete_templates(self, name: str) -> None:
        """Delete a bucket of templates; anything else in it keeps it."""
        client = self._client("s3")
        with _aws.explained(f"delete bucket '{name}' for templates", client):
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
                for entry in page.get("Contents", []):
                    if _TEMPLATE.fullmatch(entry["Key"]):
                        client.delete_object(
                            Bucket=name, Key=entry["Key"], ExpectedBucketOwner=self._account
                        )
            client.delete_bucket(Bucket=name, ExpectedBucketOwner=self._account)

    def has_key(self, identifier: str) -> bool:
        """Return whether a key is there, and not about to be deleted."""
        found = self._key(identifier)
        return bool(found) and found["KeyState"] != _PENDING

    def key_ends(self, identifier: str) -> str:
        """Return the day on which AWS deletes a key, empty if it does not."""
        found = self._key(identifier)
        return _day(found.get("DeletionDate")) if found.get("KeyState") == _PENDING else ""

    def delete_key(self, identifier: str, days: int = _KEY_DAYS) -> None:
        """Schedule the deletion of a key, which costs nothing from then on."""
        client = self._client("kms")
        with _aws.explained(f"schedule the deletion of the KMS key {identifier}", client):
            client.schedule_key_deletion(KeyId=identifier, PendingWindowInDays=days)

    def _key(self, identifier: str) -> dict[str, t.Any]:
        """Return what KMS tells of a key, empty without one."""
        client = self._client("kms")
        with _aws.explained(f"look at the KMS key {identifier}", client):
            found = _unless_gone(lambda: client.describe_key(KeyId=identifier))
        return dict(found["KeyMetadata"]) if found else {}

    def snapshots(self, cluster: str) -> list[str]:
        """Return the names of a cluster's snapshots, which a deletion makes; the cluster may be gone."""
        client = self._client("rds")
        with _aws.explained(f"list the snapshots of the cluster '{cluster}'", client):
            answer = client.describe_db_cluster_snapshots(
                DBClusterIdentifier=cluster, SnapshotType="manual"
            )
        return [entry["DBClusterSnapshotIdentifier"] for entry in answer["DBClusterSnapshots"]]

    def snapshot_keys(self) -> dict[str, str]:
        """Return the ID of the KMS key of each of the account's cluster snapshots, empty if RDS names none."""
        client = self._client("rds")
        with _aws.explained("list the database snapshots", client):
            pages = client.get_paginator("describe_db_cluster_snapshots").paginate(
                SnapshotType="manual"
            )
            found = [entry for page in pages for entry in page["DBClusterSnapshots"]]
        return {
            entry["DBClusterSnapshotIdentifier"]: str(entry.get("KmsKeyId", "")).rpartition("/")[2]
            for entry in found
        }

    def delete_snapshot(self, name: str) -> None:
        """Delete a snapshot."""
        client = self._client("rds")
        with _aws.explained(f"delete the database snapshot '{name}'", client):
            _unless_gone(
                lambda: client.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)
            )

    def log_groups(self, cluster: str) -> list[str]:
        """Return the names of a cluster's log groups."""
        return list(Logs(self._client("logs")).retention(cluster))

    def delete_log_group(self, name: str) -> None:
        """Delete a log group."""
        client = self._client("logs")
        with _aws.explained(f"delete the log group {name}", client):
            _unless_gone(lambda: client.delete_log_group(logGroupName=name))

    def secrets(self, stack: str) -> dict[str, str]:
        """Return the projects' secrets by ARN, each with the day on which AWS deletes it, empty if it does not."""
        client = self._client("secretsmanager")
        filters = [
            {"Key": "tag-key", "Values": [_SECRET_TAG]},
            {"Key": "tag-value", "Values": [stack]},
        ]
        with _aws.explained(f"list the secrets of '{stack}'", client):
            pages = client.get_paginator("list_secrets").paginate(
                Filters=filters, IncludePlannedDeletion=True
            )
            # A filter's value is but the beginning of what it matches.
            found = [
                entry
                for page in pages
                for entry in page["SecretList"]
                if {"Key": _SECRET_TAG, "Value": stack} in entry.get("Tags", [])
            ]
        return {entry["ARN"]: _day(entry.get("DeletedDate")) for entry in found}

    def delete_secret(self, arn: str, *, at_once: bool) -> None:
        """Delete a secret, without the days in which it can be recovered if it is to go at once."""
        client = self._client("secretsmanager")
        with _aws.explained(f"delete the secret {arn}", client):
            more = {"ForceDeleteWithoutRecovery": True} if at_once else {}
            _unless_gone(lambda: client.delete_secret(SecretId=arn, **more))

    def tagged(self, key: str, value: str) -> list[str]:
        """Return the ARNs of the region's resources that have a tag; AWS may list deleted ones for a while."""
        client = self._client("resourcegroupstaggingapi")
        with _aws.explained(f"list the resources with the tag {key}", client):
            pages = client.get_paginator("get_resources").paginate(
                TagFilters=[{"Key": key, "Values": [value]}]
            )
            return [
                entry["ResourceARN"] for page in pages for entry in page["ResourceTagMappingList"]
            ]

    def _client(self, service: str) -> t.Any:
        """Return a client of a service."""
        if service not in self._clients:
            self._clients[service] = _aws.client(self._params, service)
        return self._clients[service]


def _day(date: t.Any) -> str:
    """Return the day of a date of boto3's, empty for none."""
    return date.strftime("%Y-%m-%d") if date else ""


def _unless_gone(call: t.Callable[[], t.Any]) -> t.Any:
    """Return what a call answers, or None if what it is about does not exist."""
    try:
        return call()
    except Exception as error:
        if _aws.error_code(error) in _GONE:
            return None
        raise
