# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the only reader of the inventory list ``mlflow_projects``.

A project record is a dictionary with these keys, all of them always there:

    name                     text; names the folder, the schema and the artifact prefix
    port                     number; where the project's server listens on each host
    port_fixed               whether the entry names the port, rather than its place in the list
    description, owner       text, possibly empty
    state                    present, stopped, archived or absent
    artifact_retention_days  number of days after which the gc playbook removes what users deleted
    server                   dictionary: workers (number), allowed_hosts (list of text),
                             environment (dictionary of text), metrics, jobs, assistant and
                             presigned_only (true or false), max_upload_size (text such as 2g, empty for no
                             limit), trace_archival (dictionary or None)
    experiments              list of dictionaries: name (text), description (text or None), tags (dictionary of
                             text)
    members                  dictionary: the role (read, edit or manage) for the name of a member of the front door,
                             or for * that of every member
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._projects import (
    experiments,
    fields,
    members,
    server,
)

DEFAULT_BASE_PORT = 5001
STATES = ("present", "stopped", "archived", "absent")
DEFAULT_RETENTION_DAYS = 30

_NAME = re.compile(r"[a-z](-?[a-z0-9])*\Z")
_NAME_LENGTH = 40
_PORTS = range(1024, 65536)


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
    base = fields.number("mlflow_base_port", int(base_port) if number else base_port, _PORTS)
    if projects is None:
        raise MlflowError(
            "mlflow_projects is not set; list at least one project in group_vars, for example "
            "mlflow_projects: [{name: demo}]."
        )
    if not isinstance(projects, (list, tuple)):
        raise MlflowError(
            f"mlflow_projects is {fields.kind(projects)}; write a list with one entry for each project, "
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


def server_state(state: str) -> str:
    """Return the state of the servers of a project in this state: an archived one has none."""
    return "absent" if state == "archived" else state


def _record(index: int, entry: t.Any, base_port: int) -> dict[str, t.Any]:
    """Return the record of one entry."""
    where = f"mlflow_projects[{index}]"
    fields.require_mapping(where, entry, "write it as a dictionary with at least a name")
    name = entry.get("name")
    where = where if name is None else f"{where} '{name}'"
    fields.require_known(where, entry, _READERS)
    if name is None:
        raise MlflowError(f"{where}: key 'name' is missing; give the project a name.")
    record: dict[str, t.Any] = {
        key: reader(f"{where}: key '{key}'", entry.get(key)) for key, reader in _READERS.items()
    }
    record["port_fixed"] = record["port"] is not None
    if not record["port_fixed"]:
        record["port"] = base_port + index
        if record["port"] not in _PORTS:
            raise MlflowError(
                f"{where}: its default port {record['port']} is above {_PORTS[-1]}; lower "
                "mlflow_base_port or give the entry a 'port'."
            )
    return record


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


def _name(where: str, value: t.Any) -> str:
    """Read a project's name."""
    if not isinstance(value, str) or not _NAME.match(value) or len(value) > _NAME_LENGTH:
        raise MlflowError(
            f"{where} must start with a lower-case letter, followed by lower-case letters, digits "
            f"and single dashes, {_NAME_LENGTH} characters at most; rename the project."
        )
    return str(value)


def _state(where: str, value: t.Any) -> str:
    """Read the wanted state, present by default."""
    if value is None:
        return STATES[0]
    if value not in STATES:
        raise MlflowError(f"{where} is {value!r}; choose from {', '.join(STATES)}.")
    return str(value)


def _port(where: str, value: t.Any) -> int | None:
    """Read a port; None leaves it to the list order."""
    return None if value is None else fields.number(where, value, _PORTS)


def _days(where: str, value: t.Any) -> int:
    """Read the number of days that what users deleted is kept before it can be removed for good."""
    return DEFAULT_RETENTION_DAYS if value is None else fields.number(where, value, range(1, 36501))


_READERS: dict[str, t.Callable[[str, t.Any], t.Any]] = {
    "name": _name,
    "port": _port,
    "description": fields.text,
    "owner": fields.text,
    "state": _state,
    "artifact_retention_days": _days,
    "server": server.settings,
    "experiments": experiments.listed,
    "members": members.roles,
}
