# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the members of a front door, and the role that each has in a project."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._projects import fields

# Every member.
ALL = "*"
ROLES = ("read", "edit", "manage")
KINDS = ("person", "service")
_KEYS = ("name", "kind", "email")
# It stands in headers, in the audit log, and as the user of a client.
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def roles(where: str, value: t.Any) -> dict[str, str]:
    """Read the members of a project: the role for each name, or for * that of every member."""
    if value is None:
        return {}
    fields.require_mapping(where, value, "write a role for each name, such as {ada: edit}")
    for name, role in value.items():
        if name != ALL:
            _require_name(f"{where}: the name", name)
        if role not in ROLES:
            raise MlflowError(
                f"{where}: the role of {name} is {role!r}; choose from {', '.join(ROLES)}."
            )
    return {str(name): str(role) for name, role in value.items()}


def members(value: t.Any) -> list[dict[str, str]]:
    """Read mlflow_members; each member is returned with all of its keys. Raises MlflowError."""
    if not isinstance(value, (list, tuple)):
        raise MlflowError(
            f"mlflow_members is {fields.kind(value)}; write a list of members, such as [{{name: ada}}]."
        )
    found = [_member(f"mlflow_members[{index}]", entry) for index, entry in enumerate(value)]
    for key in ("name", "email"):
        seen: dict[str, int] = {}
        for index, member in enumerate(found):
            text = member[key].casefold()
            first = seen.setdefault(text, index)
            if text and first != index:
                raise MlflowError(
                    f"mlflow_members[{index}]: key '{key}' has the value {member[key]!r} of mlflow_members[{first}]; "
                    "keep one of them."
                )
    return found


def require_known(
    records: t.Iterable[t.Mapping[str, t.Any]], known: t.Iterable[t.Mapping[str, str]]
) -> None:
    """Refuse a member of a project record who is not among the members."""
    names = {member["name"] for member in known} | {ALL}
    for record in records:
        for name in record["members"]:
            if name not in names:
                raise MlflowError(
                    f"mlflow_projects '{record['name']}': the member {name} is not in mlflow_members; add it there, or "
                    "remove it here."
                )


def _member(where: str, entry: t.Any) -> dict[str, str]:
    """Read one member."""
    fields.require_mapping(where, entry, "write a dictionary with at least a name")
    fields.require_known(where, entry, _KEYS)
    _require_name(f"{where}: key 'name'", entry.get("name"))
    kind = entry.get("kind", KINDS[0])
    if kind not in KINDS:
        raise MlflowError(f"{where}: key 'kind' is {kind!r}; choose from {', '.join(KINDS)}.")
    email = fields.text(f"{where}: key 'email'", entry.get("email"))
    if email and not _EMAIL.fullmatch(email):
        raise MlflowError(f"{where}: key 'email' is {email!r}; write an email address.")
    return {"name": entry["name"], "kind": kind, "email": email}


def _require_name(where: str, name: t.Any) -> None:
    """Refuse what cannot be a member's name."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise MlflowError(
            f"{where} is {name!r}; write lower-case letters, digits, dots, dashes and underscores, at most 64."
        )
