# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the capacity that an Aurora cluster has, uses and has used this month.

What cannot be read is unknown, with one sentence that says why.
"""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

CAPACITY, CONNECTIONS, STORAGE = (
    "ServerlessDatabaseCapacity",
    "DatabaseConnections",
    "VolumeBytesUsed",
)
_NAMESPACE = "AWS/RDS"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
# CloudWatch has a point some minutes after it was measured.
_LATEST_SECONDS = 900
_QUERY_SESSIONS = (
    "SELECT p.user, p.host, p.db, p.command, p.time FROM information_schema.processlist p "
    "WHERE p.id <> CONNECTION_ID() AND p.user NOT IN ('rdsadmin', 'event_scheduler', 'system user')"
)

Record = t.Dict[str, t.Any]
Points = t.Sequence[t.Tuple[int, float]]


class Reading(t.NamedTuple):
    """What was read of a cluster, and a sentence for what could not be."""

    record: Record
    problems: list[str]


class UsageApi:
    """One call of AWS per method; each raises MlflowError with one sentence."""

    def __init__(self, params: t.Mapping[str, t.Any]) -> None:
        """Take the options of _aws.ARGUMENTS."""
        self._rds = _aws.client(params, "rds")
        self._cloudwatch = _aws.client(params, "cloudwatch")

    def cluster(self, name: str) -> Record:
        """Return a cluster as RDS describes it."""
        with _aws.explained(f"read the database cluster '{name}'", self._rds):
            found = self._rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
        if not found:
            raise MlflowError(f"There is no database cluster '{name}'; check the region.")
        return dict(found[0])

    def metrics(
        self, cluster: str, names: t.Sequence[str], begin: int, end: int, period: int
    ) -> dict[str, list[tuple[int, float]]]:
        """Return time and average of each period between two times, by metric, the oldest first."""
        queries = [
            {
                "Id": name.lower(),
                "MetricStat": {
                    "Metric": {
                        "Namespace": _NAMESPACE,
                        "MetricName": name,
                        "Dimensions": [{"Name": "DBClusterIdentifier", "Value": cluster}],
                    },
                    "Period": period,
                    "Stat": "Average",
                },
            }
            for name in names
        ]
        found: dict[str, list[tuple[int, float]]] = {name: [] for name in names}
        with _aws.explained(f"read the metrics of the cluster '{cluster}'", self._cloudwatch):
            pages = self._cloudwatch.get_paginator("get_metric_data").paginate(
                MetricDataQueries=queries, StartTime=_utc(begin), EndTime=_utc(end)
            )
            for page in pages:
                for result in page["MetricDataResults"]:
                    name = next(one for one in names if one.lower() == result["Id"])
                    times = (int(when.timestamp()) for when in result["Timestamps"])
                    found[name] += zip(times, map(float, result["Values"]))
        return {name: sorted(points) for name, points in found.items()}


def read(api: UsageApi, cluster: str, now: int) -> Reading:
    """Return what is known of a cluster at a time in seconds since 1970; see mlflow_database_info."""
    record: Record = {
        "cluster": cluster,
        "status": "",
        "engine_version": "",
        "min_capacity": None,
        "max_capacity": None,
        "pause_seconds": None,
        "capacity": None,
        "connections": None,
        "storage_bytes": None,
        "month": month_of(now),
        "hours_gone": round((now - month_start(now)) / _HOUR, 3),
        "acu_hours": None,
        "measured_hours": 0.0,
        "days": [],
        "sessions": None,
    }
    problems = []

    def part(work: t.Callable[[], Record]) -> None:
        try:
            record.update(work())
        except MlflowError as error:
            problems.append(str(error))

    part(lambda: described(api.cluster(cluster)))
    names = (CAPACITY, CONNECTIONS)
    part(
        lambda: latest(
            api.metrics(cluster, names, now - _LATEST_SECONDS, now, _MINUTE),
        )
    )
    begin = month_start(now)
    part(
        lambda: so_far(api.metrics(cluster, (CAPACITY, STORAGE), begin, now, _HOUR), begin, now),
    )
    return Reading(record, list(dict.fromkeys(problems)))


def described(cluster: t.Mapping[str, t.Any]) -> Record:
    """Return what a cluster's description says of its capacity."""
    scaling = cluster.get("ServerlessV2ScalingConfiguration") or {}
    return {
        "status": str(cluster.get("Status", "")),
        "engine_version": str(cluster.get("EngineVersion", "")),
        "min_capacity": scaling.get("MinCapacity"),
        "max_capacity": scaling.get("MaxCapacity"),
        "pause_seconds": scaling.get("SecondsUntilAutoPause"),
    }


def latest(points: t.Mapping[str, Points]) -> Record:
    """Return the latest capacity and number of connections, None where nothing was measured."""
    return {
        "capacity": points[CAPACITY][-1][1] if points[CAPACITY] else None,
        "connections": round(points[CONNECTIONS][-1][1]) if points[CONNECTIONS] else None,
    }


def so_far(points: t.Mapping[str, Points], begin: int, now: int) -> Record:
    """Return what was used since the beginning of the month, by hourly averages.

    An hour without a point was before the cluster existed, or is not measured yet.
    """
    hours = [(when, value, min(_HOUR, now - when) / _HOUR) for when, value in points[CAPACITY]]
    days: dict[int, float] = {}
    for when, value, share in hours:
        day = (when - begin) // _DAY + 1
        days[day] = days.get(day, 0.0) + value * share
    storage = points[STORAGE]
    return {
        "acu_hours": round(sum(days.values()), 3) if hours else None,
        "measured_hours": round((now - hours[0][0]) / _HOUR, 3) if hours else 0.0,
        "days": [[day, round(value, 3)] for day, value in sorted(days.items())],
        "storage_bytes": round(storage[-1][1]) if storage else None,
    }


def sessions(query: t.Callable[[str], t.Sequence[t.Sequence[t.Any]]]) -> list[Record]:
    """Return who is connected to the database, by an administrator's query."""
    names = ("user", "host", "schema", "command", "seconds")
    rows = query(_QUERY_SESSIONS)
    return [
        {**dict(zip(names, row)), "host": str(row[1]).rpartition(":")[0] or str(row[1])}
        for row in rows
    ]


def month_start(now: int) -> int:
    """Return the time at which the month of a time began, in UTC as AWS bills."""
    first = _utc(now).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return int(first.timestamp())


def month_of(now: int) -> str:
    """Return the month of a time, as 2026-11."""
    return _utc(now).strftime("%Y-%m")


def _utc(seconds: int) -> datetime.datetime:
    """Return a time in UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
