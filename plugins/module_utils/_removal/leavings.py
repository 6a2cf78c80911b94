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

_GONE = {
    "404",
    "NoSuchBucket",
    "NotFoundException",
    "NotFound",
    "RepositoryNotFoundException",
    "ParameterNotFound",
    "ResourceNotFoundException",
    "DBClusterSnapshotNotFoundFault",
}
_KEY_DAYS = 7
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

    def delete_bucket(self, name: str) -> None:
        """Delete all versions of all objects of a bucket, and the bucket."""
        client = self._client("s3")
        with _aws.explained(f"empty and delete bucket '{name}'", client):
            for page in client.get_paginator("list_object_versions").paginate(Bucket=name):
                entries = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                objects = [
                    {"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries
                ]
                if objects:
                    client.delete_objects(
                        Bucket=name,
                        Delete={"Objects": objects, "Quiet": True},
                        ExpectedBucketOwner=self._account,
                    )
            client.delete_bucket(Bucket=name, ExpectedBucketOwner=self._account)

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
        client = self._client("kms")
        with _aws.explained(f"look at the KMS key {identifier}", client):
            found = _unless_gone(lambda: client.describe_key(KeyId=identifier))
        return bool(found) and found["KeyMetadata"]["KeyState"] != "PendingDeletion"

    def delete_key(self, identifier: str) -> None:
        """Schedule the deletion of a key, which costs nothing from then on."""
        client = self._client("kms")
        with _aws.explained(f"schedule the deletion of the KMS key {identifier}", client):
            client.schedule_key_deletion(KeyId=identifier, PendingWindowInDays=_KEY_DAYS)

    def snapshots(self, cluster: str) -> list[str]:
        """Return the names of a cluster's snapshots, which a deletion makes; the cluster may be gone."""
        client = self._client("rds")
        with _aws.explained(f"list the snapshots of the cluster '{cluster}'", client):
            answer = client.describe_db_cluster_snapshots(
                DBClusterIdentifier=cluster, SnapshotType="manual"
            )
        return [entry["DBClusterSnapshotIdentifier"] for entry in answer["DBClusterSnapshots"]]

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

    def _client(self, service: str) -> t.Any:
        """Return a client of a service."""
        if service not in self._clients:
            self._clients[service] = _aws.client(self._params, service)
        return self._clients[service]


def _unless_gone(call: t.Callable[[], t.Any]) -> t.Any:
    """Return what a call answers, or None if what it is about does not exist."""
    try:
        return call()
    except Exception as error:
        if _aws.error_code(error) in _GONE:
            return None
        raise
