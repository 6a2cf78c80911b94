# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the only reader of the inventory list ``mlflow_projects``.

A project record is a dictionary with these keys, all of them always there:

    name                     text; names the folder, the schema and the artifact prefix
    port                     number; where the project's server listens on each host
    port_fixed               whether the entry names the port, rather than its place in the list
    description, owner       text, possibly empty
    state                    present, stopped or absent
    artifact_retention_days  number of days, or None; nothing deletes artifacts yet
    server                   dictionary: workers (number), allowed_hosts (list of text),
                             environment (dictionary of text), metrics and jobs (true or false)
"""

from __future__ import annotations

import difflib
import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import addresses

DEFAULT_BASE_PORT = 5001
STATES = ("present", "stopped", "absent")

_NAME = re.compile(r"[a-z](-?[a-z0-9])*\Z")
_NAME_LENGTH = 40
_PORTS = range(1024, 65536)
_WORKERS = range(1, 65)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_NUMBER = re.compile(r"[0-9]{1,5}\Z")


def project_records(
    projects: t.Any, base_port: t.Any = DEFAULT_BASE_PORT
) -> list[dict[str, t.Any]]:
    """Parse, default and validate the list of projects.

    projects is the value of ``mlflow_projects``; base_port is the port of the first entry
    that names none, and each later entry's default is one higher, so that appending an entry
    changes no other. Returns the records in list order. Raises MlflowError with one sentence
    that names the entry, the key and the remedy.
    """
    # `-e mlflow_base_port=6001` gives a string.
    number = isinstance(base_port, str) and base_port.isdecimal()
    base = _number("mlflow_base_port", int(base_port) if number else base_port, _PORTS)
    if projects is None:
        raise MlflowError(
            "mlflow_projects is not set; list at least one project in group_vars, for example "
            "mlflow_projects: [{name: demo}]."
        )
    if not isinstance(projects, (list, tuple)):
        raise MlflowError(
            f"mlflow_projects is {_kind(projects)}; write a list with one entry for each project, "
            "for example [{name: demo}]."
        )
    if not projects:
        raise MlflowError(
            "mlflow_projects is empty; list at least one project. To stop a project's servers, keep "
            "its entry and set 'state: absent'."
        )
    records = [_record(index, entry, base) for index, entry in enumerate(projects)]
    _require_distinct(records)
    return records


def _record(index: int, entry: t.Any, base_port: int) -> dict[str, t.Any]:
    """Return the record of one entry."""
    where = f"mlflow_projects[{index}]"
    _require_mapping(where, entry, "write it as a dictionary with at least a name")
    name = entry.get("name")
    where = where if name is None else f"{where} '{name}'"
    _require_known(where, entry, _READERS)
    if name is None:
        raise MlflowError(f"{where}: key 'name' is missing; give the project a name.")
    fields: dict[str, t.Any] = {
        key: reader(f"{where}: key '{key}'", entry.get(key)) for key, reader in _READERS.items()
    }
    fields["port_fixed"] = fields["port"] is not None
    if not fields["port_fixed"]:
        fields["port"] = base_port + index
        if fields["port"] not in _PORTS:
            raise MlflowError(
                f"{where}: its default port {fields['port']} is above {_PORTS[-1]}; lower "
                "mlflow_base_port or give the entry a 'port'."
            )
    return fields


def _require_distinct(records: list[dict[str, t.Any]]) -> None:
    """Refuse two entries with one name or one port."""
    remedies = {
        "name": "rename one of them",
        "port": "give one of them another 'port' (entries without one count up from "
        "mlflow_base_port in list order)",
    }
    for key, remedy in remedies.items():
        seen: dict[t.Any, int] = {}
        for index, record in enumerate(records):
            first = seen.setdefault(record[key], index)
            if first != index:
                raise MlflowError(
                    f"mlflow_projects[{index}] '{record['name']}': key '{key}' has the value "
                    f"{record[key]!r} of mlflow_projects[{first}] '{records[first]['name']}'; {remedy}."
                )


def _require_mapping(where: str, value: t.Any, remedy: str) -> None:
    """Refuse a value that is not a dictionary."""
    if not isinstance(value, dict):
        raise MlflowError(f"{where} is {_kind(value)}; {remedy}.")


def _require_known(where: str, entry: t.Mapping[t.Any, t.Any], known: t.Iterable[str]) -> None:
    """Refuse an unknown key, naming the nearest known one."""
    names = list(known)
    for key in entry:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"choose from {', '.join(names)}."
            raise MlflowError(f"{where}: unknown key '{key}'; {hint}")


def _name(where: str, value: t.Any) -> str:
    """Read a project's name."""
    if not isinstance(value, str) or not _NAME.match(value) or len(value) > _NAME_LENGTH:
        raise MlflowError(
            f"{where} must start with a lower-case letter, followed by lower-case letters, digits "
            f"and single dashes, {_NAME_LENGTH} characters at most; rename the project."
        )
    return str(value)


def _text(where: str, value: t.Any) -> str:
    """Read a string that may be left out."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise MlflowError(f"{where} is {_kind(value)}; write a string, in quotes if necessary.")
    return str(value)


def _state(where: str, value: t.Any) -> str:
    """Read the wanted state, present by default."""
    if value is None:
        return STATES[0]
    if value not in STATES:
        raise MlflowError(f"{where} is {value!r}; choose from {', '.join(STATES)}.")
    return str(value)


def _number(where: str, value: t.Any, within: range) -> int:
    """Read an integer within a range."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise MlflowError(f"{where} is {_kind(value)}; write an integer without quotes.")
    if value not in within:
        raise MlflowError(
            f"{where} is {value}, which is out of range; choose {within[0]} to {within[-1]}."
        )
    return int(value)


def _port(where: str, value: t.Any) -> int | None:
    """Read a port; None leaves it to the list order."""
    return None if value is None else _number(where, value, _PORTS)


def _days(where: str, value: t.Any) -> int | None:
    """Read the number of days that artifacts are kept; None keeps them forever."""
    return None if value is None else _number(where, value, range(1, 36501))


def _workers(where: str, value: t.Any) -> int:
    """Read the number of worker processes, 1 by default."""
    return 1 if value is None else _number(where, value, _WORKERS)


def _server(where: str, value: t.Any) -> dict[str, t.Any]:
    """Read the settings of a project's servers."""
    entry = {} if value is None else value
    _require_mapping(where, entry, "write it as a dictionary")
    where = where.replace("key 'server'", "server")
    _require_known(where, entry, _SERVER_READERS)
    found = {
        key: reader(f"{where}: key '{key}'", entry.get(key))
        for key, reader in _SERVER_READERS.items()
    }
    if not found["jobs"]:
        _require_no_jobs(f"{where}: key 'environment'", found["environment"])
    return found


def _require_no_jobs(where: str, environment: t.Mapping[str, str]) -> None:
    """Refuse variables on which only the job runner acts."""
    for name in environment:
        if name in _JOB_VARIABLES:
            raise MlflowError(
                f"{where} sets {name}, which has no effect without jobs; set 'server.jobs: true', or "
                "remove it."
            )


def _hosts(where: str, value: t.Any) -> list[str]:
    """Read the host names under which clients may call a server."""
    hosts = [] if value is None else value
    if not isinstance(hosts, (list, tuple)):
        raise MlflowError(f"{where} is {_kind(hosts)}; write a list of host names.")
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


def _flag(where: str, value: t.Any) -> bool:
    """Read a boolean, false by default."""
    if value is not None and not isinstance(value, bool):
        raise MlflowError(f"{where} is {_kind(value)}; write true or false without quotes.")
    return bool(value)


def _environment(where: str, value: t.Any) -> dict[str, str]:
    """Read extra environment variables; refuse those that the server sets itself."""
    entry = {} if value is None else value
    _require_mapping(where, entry, "write it as a dictionary of variables")
    for name, text in entry.items():
        if not isinstance(name, str) or not _VARIABLE.match(name):
            raise MlflowError(
                f"{where} contains {name!r}, which is not the name of a variable; use letters, digits and _."
            )
        if name not in _LIMITS and (
            name.startswith(("_MLFLOW", "MLFLOW_AWS_")) or name in _OWNED_VARIABLES
        ):
            raise MlflowError(f"{where} sets {name}, which the server sets itself; remove it.")
        if name in _UNREAD_VARIABLES:
            raise MlflowError(
                f"{where} sets {name}, which has no effect here; {_UNREAD_VARIABLES[name]}."
            )
        if isinstance(text, bool) or not isinstance(text, (str, int)):
            raise MlflowError(
                f"{where}: variable {name} is {_kind(text)}; write its value in quotes."
            )
        if name in _LIMITS and not (_NUMBER.match(str(text)) and 1 <= int(text) <= 86400):
            raise MlflowError(
                f"{where}: variable {name} is not a number of seconds; choose 1 to 86400."
            )
    return {str(name): str(text) for name, text in entry.items()}


def _kind(value: t.Any) -> str:
    """Return what a value of the wrong type is."""
    kinds: list[tuple[t.Any, str]] = [
        (type(None), "empty"),
        (bool, "true or false"),
        (str, "a string"),
        ((int, float), "a number"),
        (dict, "a dictionary"),
        ((list, tuple), "a list"),
    ]
    return next((word for kind, word in kinds if isinstance(value, kind)), "of an unknown type")


# Those of programs/server/mlflow_aws_server/mysql.py, which a project may have of its own.
_LIMITS = (
    "MLFLOW_AWS_DATABASE_RETRY",
    "MLFLOW_AWS_DATABASE_TIMEOUT",
    "MLFLOW_AWS_DATABASE_WAIT",
    "MLFLOW_AWS_SECRET_POLL",
)
_OWNED_VARIABLES = (
    "MLFLOW_ARTIFACTS_DESTINATION",
    "MLFLOW_BACKEND_STORE_URI",
    "MLFLOW_DEFAULT_ARTIFACT_ROOT",
    "MLFLOW_REGISTRY_STORE_URI",
    "MLFLOW_SERVER_ALLOWED_HOSTS",
)
_NO_OPTIONS = "remove it, MLflow's application runs without that program's options"
_ALL_ARTIFACTS = "remove it, each server tracks runs and sends artifacts through itself"
# What only the command line of `mlflow server` reads, or a part of it that our servers lack; a
# test compares this with the installed MLflow.
_UNREAD_VARIABLES = {
    "MLFLOW_ARTIFACTS_ONLY": _ALL_ARTIFACTS,
    "MLFLOW_EXPOSE_PROMETHEUS": "use 'server.metrics'",
    "MLFLOW_GUNICORN_OPTS": _NO_OPTIONS,
    "MLFLOW_HOST": "use mlflow_server_host",
    "MLFLOW_PORT": "use the project's key 'port'",
    "MLFLOW_READ_REPLICA_BACKEND_STORE_URI": "remove it, a project has one database",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "use 'server.jobs'",
    "MLFLOW_SERVER_JOB_EXECUTION_ENGINE": "remove it, jobs are kept in the project's database",
    "MLFLOW_SERVER_JOB_FLUSH_PERIODIC_LOCKS_ON_STARTUP": "remove it, one job runner serves a project",
    "MLFLOW_SERVER_JOB_HUEY_REDIS_URL": "remove it, jobs are kept in the project's database",
    "MLFLOW_SERVER_JOB_ENABLE_PERIODIC_TASKS": "remove it, one job runner serves a project",
    "MLFLOW_SERVE_ARTIFACTS": _ALL_ARTIFACTS,
    "MLFLOW_STATIC_PREFIX": "remove it and give each project a host name or a port of its own",
    "MLFLOW_UVICORN_OPTS": _NO_OPTIONS,
    "MLFLOW_WORKERS": "use 'server.workers'",
    "PROMETHEUS_MULTIPROC_DIR": "use 'server.metrics'",
    "prometheus_multiproc_dir": "use 'server.metrics'",
}
# What only the job runner acts on.
_JOB_VARIABLES = ("MLFLOW_SQL_TRACE_ROLLUPS_ENABLED", "MLFLOW_TRACE_ARCHIVAL_CONFIG")
_SERVER_READERS: dict[str, t.Callable[[str, t.Any], t.Any]] = {
    "workers": _workers,
    "allowed_hosts": _hosts,
    "environment": _environment,
    "metrics": _flag,
    "jobs": _flag,
}
_READERS: dict[str, t.Callable[[str, t.Any], t.Any]] = {
    "name": _name,
    "port": _port,
    "description": _text,
    "owner": _text,
    "state": _state,
    "artifact_retention_days": _days,
    "server": _server,
}
