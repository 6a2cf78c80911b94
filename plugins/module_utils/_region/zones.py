# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: two availability zones that have what a backend consists of."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

# What a cluster's subnet group spans at least.
_ZONES = 2


def choose_zones(
    database: t.Sequence[str], by_type: t.Mapping[str, t.Container[str]], region: str
) -> tuple[str, str]:
    """Return the two zones of the database that offer most of the instance types, by name.

    database: zones with db.serverless; by_type: zones that offer each instance type. Raises
    MlflowError if the database has fewer than two zones, or an instance type has neither.
    """
    if len(database) < _ZONES:
        raise MlflowError(
            f"Region {region} offers Aurora Serverless in {len(database)} of the availability zones of this "
            "account, and a cluster needs two; choose another region."
        )
    ranked = sorted(
        database, key=lambda zone: (sum(zone not in found for found in by_type.values()), zone)
    )
    first, second = sorted(ranked[:_ZONES])
    for name, found in by_type.items():
        if first not in found and second not in found:
            raise MlflowError(
                f"Instance type {name} is not offered in the availability zones {first} and {second} of the "
                "database; choose another type, for the relay with RelayInstanceType and for hosts with "
                "InstanceType."
            )
    return first, second
