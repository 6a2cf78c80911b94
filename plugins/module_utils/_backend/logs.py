# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: how long CloudWatch keeps the logs of a database cluster.

RDS creates a log group with the first entry, and without retention. CloudFormation cannot adopt
it, so it is created and bounded here; RDS writes to one that exists.
"""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws

# As exported by the template.
LOGS = ("audit", "error", "slowquery")
# What CloudWatch accepts, up to ten years.
DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922),
    *(3288, 3653),
)
_EXISTS = "ResourceAlreadyExistsException"


class Group(t.NamedTuple):
    """A log group that is to change: its days of retention, None for ever, and whether it exists."""

    name: str
    days: int | None
    exists: bool


def plan(cluster: str, found: t.Mapping[str, int | None], days: int) -> list[Group]:
    """Return the log groups of a cluster that are missing or have another retention.

    found: retention in days by the name of each log group that exists.
    """
    names = [f"{prefix(cluster)}{log}" for log in LOGS]
    return [
        Group(name, found.get(name), name in found) for name in names if found.get(name) != days
    ]


def prefix(cluster: str) -> str:
    """Return how the names of a cluster's log groups begin."""
    return f"/aws/rds/cluster/{cluster}/"


class Logs:
    """The log groups of a cluster at CloudWatch."""

    def __init__(self, client: t.Any) -> None:
        """Use a client of CloudWatch Logs."""
        self._client = client

    def retention(self, cluster: str) -> dict[str, int | None]:
        """Return the retention in days of each log group, None for ever."""
        with _aws.explained(f"list the log groups of the cluster '{cluster}'", self._client):
            pages = self._client.get_paginator("describe_log_groups").paginate(
                logGroupNamePrefix=prefix(cluster)
            )
            found = [group for page in pages for group in page["logGroups"]]
        return {group["logGroupName"]: group.get("retentionInDays") for group in found}

    def apply(self, group: Group, days: int) -> None:
        """Create a log group if it is missing, and set its retention."""
        with _aws.explained(f"set the retention of the log group {group.name}", self._client):
            if not group.exists:
                self._create(group.name)
            self._client.put_retention_policy(logGroupName=group.name, retentionInDays=days)

    def _create(self, name: str) -> None:
        """Create a log group, unless RDS has done so meanwhile."""
        try:
            self._client.create_log_group(logGroupName=name)
        except self._client.exceptions.ClientError as error:
            if _aws.error_code(error) != _EXISTS:
                raise
