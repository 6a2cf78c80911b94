# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: computes whether servers may need more connections than a database allows, purely."""

from __future__ import annotations

import typing as t

# What a process of a server may open: programs/server/mlflow_aws_server/connections.py.
PER_PROCESS = 20
_POOL_SIZE, _OVERFLOW = "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW"
_POOL = {_POOL_SIZE: PER_PROCESS - 1, _OVERFLOW: 1}
# For Aurora itself, migrations, the administrator, and a client of a person.
_RESERVED = 15
# Default max_connections of Aurora MySQL by the maximum of capacity units. AWS documents no value for
# others, to which the next lower one applies here; it is in force after a reboot or a pause.
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html#aurora-serverless-v2.max-connections
_ALLOWED = {1: 90, 4: 135, 8: 1000, 16: 2000, 32: 3000, 64: 4000, 128: 5000}

Variables = t.Mapping[str, t.Any]


def allowed(capacity: float) -> int:
    """Return how many connections Aurora MySQL allows at this MaxCapacity."""
    return max((count for units, count in _ALLOWED.items() if units <= capacity), default=90)


def needed(records: t.Sequence[Variables], hosts: t.Iterable[Variables]) -> int:
    """Return how many connections the servers of project records may open on these hosts, at most.

    hosts: the variables of each; mlflow_server_projects and mlflow_server_state are read.
    """
    sizes = {record["name"]: _processes(record) for record in records}
    total = 0
    for host in hosts:
        if host.get("mlflow_server_state", "present") == "present":
            served = host.get("mlflow_server_projects")
            total += sum(sizes.get(name, 0) for name in (sizes if served is None else served))
    return total


def notes(
    records: t.Sequence[Variables],
    hosts: t.Iterable[Variables],
    parameters: t.Mapping[str, t.Any],
) -> list[str]:
    """Return a sentence if the servers may need more connections than the stack's database allows.

    parameters: the backend stack's, by name; of an existing database the limit is not known.
    """
    capacity = parameters.get("MaxCapacity")
    if parameters.get("ExistingDatabaseEndpoint") or not capacity:
        return []
    need, limit = needed(records, hosts), allowed(float(capacity))
    if need + _RESERVED <= limit:
        return []
    fitting = [units for units, count in _ALLOWED.items() if need + _RESERVED <= count]
    remedy = (
        f"set {_POOL_SIZE} in server.environment, which is {_POOL[_POOL_SIZE]} by default, to less"
    )
    if fitting:
        remedy = (
            f"set MaxCapacity in mlflow_stack_parameters to {fitting[0]}, which allows "
            f"{_ALLOWED[fitting[0]]:,} once the database has paused or rebooted, or {remedy}"
        )
    text = (
        f"The servers of this inventory may need {need:,} connections to the database if all are busy, and "
        f"with MaxCapacity {capacity} it allows {limit:,}, {_RESERVED} of which are for others; {remedy}."
    )
    return [text]


def _processes(record: Variables) -> int:
    """Return how many connections one server of a project may open."""
    if record["state"] != "present":
        return 0
    server = record["server"]
    environment = server.get("environment") or {}
    sizes = [_size(environment.get(name), usual) for name, usual in _POOL.items()]
    # The job runner is a process too.
    return sum(sizes) * (int(server.get("workers") or 1) + bool(server.get("jobs")))


def _size(given: t.Any, usual: int) -> int:
    """Return the size that a variable sets; what is no number is the server's to refuse."""
    return int(given) if str(given).isdecimal() and int(given) else usual
