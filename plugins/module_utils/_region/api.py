# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what a region says about databases and instances. It only reads."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

_ENGINE = "aurora-mysql"
_CLASS = "db.serverless"


class RegionApi:
    """One call of AWS per method; each raises MlflowError with one sentence."""

    def __init__(self, params: t.Mapping[str, t.Any]) -> None:
        """Take the options of _aws.ARGUMENTS."""
        self._rds = _aws.client(params, "rds")
        self._ec2 = _aws.client(params, "ec2")
        self.region = str(self._rds.meta.region_name)

    def engine_versions(self) -> list[dict[str, t.Any]]:
        """Return the versions of Aurora MySQL that new clusters can have."""
        return self._all("describe_db_engine_versions", "DBEngineVersions", Engine=_ENGINE)

    def instance_options(self) -> list[dict[str, t.Any]]:
        """Return what Aurora Serverless offers with each of these versions."""
        return self._all(
            "describe_orderable_db_instance_options",
            "OrderableDBInstanceOptions",
            Engine=_ENGINE,
            DBInstanceClass=_CLASS,
        )

    def upgrade_targets(self, version: str) -> list[dict[str, t.Any]]:
        """Return what a version can become, also one that new clusters can no longer have."""
        found = self._all(
            "describe_db_engine_versions",
            "DBEngineVersions",
            Engine=_ENGINE,
            EngineVersion=version,
            IncludeAll=True,
        )
        return [target for entry in found for target in entry.get("ValidUpgradeTarget") or []]

    def cluster_version(self, cluster: str) -> str:
        """Return the version that a cluster runs."""
        with _aws.explained(f"read the database cluster '{cluster}'", self._rds):
            found = self._rds.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"]
        if not found:
            raise MlflowError(f"There is no database cluster '{cluster}'; check the region.")
        return str(found[0]["EngineVersion"])

    def zones_of_types(self, types: t.Sequence[str]) -> dict[str, set[str]]:
        """Return the availability zones that offer each of these instance types."""
        found: dict[str, set[str]] = {name: set() for name in types}
        if not types:
            return found
        with _aws.explained("list the availability zones of instance types", self._ec2):
            pages = self._ec2.get_paginator("describe_instance_type_offerings").paginate(
                LocationType="availability-zone",
                Filters=[{"Name": "instance-type", "Values": list(types)}],
            )
            for offering in (entry for page in pages for entry in page["InstanceTypeOfferings"]):
                found[offering["InstanceType"]].add(offering["Location"])
        return found

    def _all(self, call: str, key: str, **query: t.Any) -> list[dict[str, t.Any]]:
        """Return the entries of all pages of an answer of RDS."""
        with _aws.explained("list the versions of Aurora MySQL", self._rds):
            pages = self._rds.get_paginator(call).paginate(**query)
            return [entry for page in pages for entry in page[key]]
