# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: a project's experiments, which are created through its server."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._objects.experiments import (
    DESCRIPTION_TAG,
    NAME_LENGTH,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._projects import fields

_KEYS = ("name", "description", "tags")
_KEY_LENGTH = 250


def listed(where: str, value: t.Any) -> list[dict[str, t.Any]]:
    """Read the experiments of a project: names, or dictionaries with a name, a description and tags.

    Each is returned as a dictionary with all three keys; a description that is None is not changed.
    """
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise MlflowError(
            f"{where} is {fields.kind(value)}; write a list of names, or of dictionaries with a name."
        )
    place = where.replace("key 'experiments'", "experiments")
    found = [_experiment(f"{place}[{index}]", entry) for index, entry in enumerate(value)]
    seen: dict[str, int] = {}
    for index, entry in enumerate(found):
        first = seen.setdefault(entry["name"], index)
        again = f"{place}[{index}]"
        if first != index:
            raise MlflowError(
                f"{again}: key 'name' has the value {entry['name']!r} of experiments[{first}]; keep one of them."
            )
    return found


def _experiment(where: str, entry: t.Any) -> dict[str, t.Any]:
    """Read one experiment."""
    if isinstance(entry, str):
        entry = {"name": entry}
    fields.require_mapping(where, entry, "write a name, or a dictionary with at least a name")
    fields.require_known(where, entry, _KEYS)
    name = fields.text(f"{where}: key 'name'", entry.get("name"))
    if not name.strip() or len(name) > NAME_LENGTH:
        raise MlflowError(
            f"{where}: key 'name' has {len(name)} characters; write a name of 1 to {NAME_LENGTH}."
        )
    # For MySQL a name that ends in spaces is that without them.
    if name != name.strip():
        raise MlflowError(
            f"{where}: key 'name' is {name!r}; remove the whitespace at its beginning or end."
        )
    description = entry.get("description")
    if description is not None:
        description = fields.text(f"{where}: key 'description'", description)
    tags = _tags(f"{where}: key 'tags'", entry.get("tags"))
    if description is not None and DESCRIPTION_TAG in tags:
        raise MlflowError(
            f"{where}: key 'description' is the tag {DESCRIPTION_TAG}, which 'tags' sets too; remove one of them."
        )
    return {"name": name, "description": description, "tags": tags}


def _tags(where: str, value: t.Any) -> dict[str, str]:
    """Read tags; a number is text that YAML reads as one."""
    entry = {} if value is None else value
    fields.require_mapping(where, entry, "write it as a dictionary")
    for key, given in entry.items():
        if not isinstance(key, str) or not key or len(key) > _KEY_LENGTH:
            raise MlflowError(
                f"{where} has the tag {str(key)[:40]!r}; write a name of 1 to {_KEY_LENGTH} characters, in quotes "
                "if necessary."
            )
        if isinstance(given, bool) or not isinstance(given, (str, int)):
            raise MlflowError(
                f"{where}: tag '{key}' is {fields.kind(given)}; write its value in quotes."
            )
    return {key: str(given) for key, given in entry.items()}
