# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the settings of a project's servers."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._projects import fields, variables
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import addresses
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._sizes import size_in_bytes

_WORKERS = range(1, 65)
# MLflow's clients send up to 1 MB of metrics at once.
_LEAST_UPLOAD = 1 << 20
_RETENTION = re.compile(r"[1-9][0-9]{0,8}[mhd]\Z")
_EXPERIMENT = re.compile(r"[0-9]{1,20}\Z")
_SECONDS = range(1, 86401)
_TRACES = range(1, 10**9)


def settings(where: str, value: t.Any) -> dict[str, t.Any]:
    """Read the settings of a project's servers."""
    found = _dictionary(where, value, _READERS)
    where = _inside(where)
    variables.require_effect(f"{where}: key 'environment'", found)
    if found["trace_archival"] and not found["jobs"]:
        raise MlflowError(
            f"{where}: key 'trace_archival' has no effect without jobs; set 'server.jobs: true', or "
            "remove it."
        )
    return found


def _dictionary(
    where: str, value: t.Any, readers: t.Mapping[str, t.Callable[[str, t.Any], t.Any]]
) -> dict[str, t.Any]:
    """Read a dictionary whose keys have readers."""
    entry = {} if value is None else value
    fields.require_mapping(where, entry, "write it as a dictionary")
    where = _inside(where)
    fields.require_known(where, entry, readers)
    return {key: reader(f"{where}: key '{key}'", entry.get(key)) for key, reader in readers.items()}


def _inside(where: str) -> str:
    """Return how messages name a dictionary when they are about one of its keys."""
    return re.sub(r"key '(\w+)'\Z", r"\1", where)


def _workers(where: str, value: t.Any) -> int:
    """Read the number of worker processes, 1 by default."""
    return 1 if value is None else fields.number(where, value, _WORKERS)


def _hosts(where: str, value: t.Any) -> list[str]:
    """Read the host names under which clients may call a server."""
    hosts = [] if value is None else value
    if not isinstance(hosts, (list, tuple)):
        raise MlflowError(f"{where} is {fields.kind(hosts)}; write a list of host names.")
    found = []
    for host in hosts:
        plain = addresses.allowed_host(host) if isinstance(host, str) else None
        if plain is None:
            raise MlflowError(
                f"{where} contains {host!r}; write a host name such as mlflow.example.com, without "
                "scheme or path."
            )
        found.append(plain)
    return found


def _size(where: str, value: t.Any) -> str:
    """Read a size such as 500m; empty for none."""
    if value is None:
        return ""
    if not isinstance(value, str) or (size_in_bytes(value) or 0) < _LEAST_UPLOAD:
        raise MlflowError(
            f"{where} is {_shown(value)}; write a size of 1m or more, such as 500m or 2g."
        )
    return str(value)


def _archival(where: str, value: t.Any) -> dict[str, t.Any] | None:
    """Read when traces are archived, in MLflow's words; None if they are not."""
    if value is None:
        return None
    found = _dictionary(where, value, _ARCHIVAL_READERS)
    return {key: given for key, given in found.items() if given is not None}


def _retention(where: str, value: t.Any) -> str:
    """Read the age at which traces are archived."""
    if not isinstance(value, str) or not _RETENTION.match(value):
        raise MlflowError(
            f"{where} is {_shown(value)}; write the age at which traces are archived in minutes, hours "
            "or days, such as 90m, 12h or 30d."
        )
    return str(value)


def _within(numbers: range) -> t.Callable[[str, t.Any], int | None]:
    """Return the reader of an integer that may be left out."""

    def read(where: str, value: t.Any) -> int | None:
        return None if value is None else fields.number(where, value, numbers)

    return read


def _experiments(where: str, value: t.Any) -> list[str] | None:
    """Read a list of experiment IDs, which are numbers, as text."""
    if value is None:
        return None
    if not isinstance(value, (list, tuple)):
        raise MlflowError(f"{where} is {fields.kind(value)}; write a list of experiment IDs.")
    for item in value:
        if not _EXPERIMENT.match(str(item)):
            raise MlflowError(
                f"{where} contains {item!r}; write the ID of an experiment, a number."
            )
    return [str(item) for item in value]


def _shown(value: t.Any) -> str:
    """Return a value for a message: a string as it is, of others the type."""
    return repr(value) if isinstance(value, str) else fields.kind(value)


_ARCHIVAL_READERS: dict[str, t.Callable[[str, t.Any], t.Any]] = {
    "retention": _retention,
    "interval_seconds": _within(_SECONDS),
    "max_traces_per_pass": _within(_TRACES),
    "long_retention_allowlist": _experiments,
}
_READERS: dict[str, t.Callable[[str, t.Any], t.Any]] = {
    "workers": _workers,
    "allowed_hosts": _hosts,
    "environment": variables.environment,
    "metrics": fields.flag,
    "jobs": fields.flag,
    "assistant": fields.flag,
    "trace_archival": _archival,
    "max_upload_size": _size,
    "presigned_only": fields.flag,
}
