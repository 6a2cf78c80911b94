# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what a template makes of given parameter values.

It knows as much of the language as a plan needs: loops, conditions and rules. What refers to
resources is known only once CloudFormation works on it.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.parameters import (
    list_items,
    plain_text,
)

_LOOP = "Fn::ForEach::"


def require_rules(content: t.Mapping[str, t.Any], values: t.Mapping[str, str]) -> None:
    """Refuse values that break one of the template's rules; what cannot be known yet passes."""
    for rule in (content.get("Rules") or {}).values():
        if not _known(rule.get("RuleCondition", True), content, values, unknown=False):
            continue
        for assertion in rule.get("Assertions", []):
            if not _known(assertion["Assert"], content, values, unknown=True):
                text = str(assertion.get("AssertDescription", "")) or str(assertion["Assert"])
                raise MlflowError(f"The parameters break a rule of the template: {text}")


def template_resources(
    content: t.Mapping[str, t.Any], values: t.Mapping[str, str]
) -> dict[str, dict[str, t.Any]]:
    """Return the resources that a template makes of these parameter values, by logical id."""
    return _section(content, "Resources", values)


class _UnknownError(Exception):
    """A value that is known only once CloudFormation works on it."""


def _section(
    content: t.Mapping[str, t.Any], name: str, values: t.Mapping[str, str]
) -> dict[str, t.Any]:
    """Return a section with its loops unrolled, without what its conditions leave out."""
    entries = _unroll(content.get(name) or {}, content, values)
    return {
        key: entry
        for key, entry in entries.items()
        if not isinstance(entry, dict) or _holds(entry.get("Condition"), content, values)
    }


def _unroll(
    entries: t.Mapping[str, t.Any], content: t.Mapping[str, t.Any], values: t.Mapping[str, str]
) -> dict[str, t.Any]:
    """Return a section's entries with each Fn::ForEach written out."""
    found: dict[str, t.Any] = {}
    for key, entry in entries.items():
        if not key.startswith(_LOOP):
            found[key] = entry
            continue
        identifier, collection, body = entry
        for item in _collection(collection, content, values):
            found.update(_unroll(_filled(body, identifier, item), content, values))
    return found


def _collection(
    collection: t.Any, content: t.Mapping[str, t.Any], values: t.Mapping[str, str]
) -> list[str]:
    """Return what a loop goes over; nothing where that is not known yet."""
    try:
        given = _value(collection, content, values)
    except _UnknownError:
        return []
    items = list_items(given) if isinstance(given, str) else [plain_text(item) for item in given]
    return [item for item in items if item]


def _filled(body: t.Any, identifier: str, item: str) -> t.Any:
    """Return a loop's body for one item; &{X} is the item without what ids may not hold."""
    text = json.dumps(body, default=str)
    text = text.replace(f"${{{identifier}}}", item)
    return json.loads(text.replace(f"&{{{identifier}}}", re.sub(r"[^A-Za-z0-9]", "", item)))


def _holds(condition: t.Any, content: t.Mapping[str, t.Any], values: t.Mapping[str, str]) -> bool:
    """Return whether a condition holds; one that cannot be known yet is taken to hold."""
    known = isinstance(condition, str)
    return not known or _known({"Condition": condition}, content, values, unknown=True)


def _known(
    expression: t.Any, content: t.Mapping[str, t.Any], values: t.Mapping[str, str], unknown: bool
) -> bool:
    """Return an expression's truth, or the given one where that cannot be known yet."""
    try:
        return bool(_value(expression, content, values))
    except _UnknownError:
        return unknown


def _value(expression: t.Any, content: t.Mapping[str, t.Any], values: t.Mapping[str, str]) -> t.Any:
    """Return the value of an expression that holds parameters and conditions only."""
    if isinstance(expression, list):
        return [_value(item, content, values) for item in expression]
    if not isinstance(expression, dict):
        return expression if isinstance(expression, bool) else plain_text(expression)
    if len(expression) != 1:
        raise _UnknownError
    function, argument = next(iter(expression.items()))
    if function == "Ref":
        if argument not in values:
            raise _UnknownError
        return values[argument]
    if function == "Condition":
        return _value((content.get("Conditions") or {}).get(argument, {}), content, values)
    parts = _value(argument, content, values)
    try:
        return _FUNCTIONS[function](parts)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise _UnknownError from None


_FUNCTIONS: dict[str, t.Callable[[t.Any], t.Any]] = {
    "Fn::And": all,
    "Fn::Or": any,
    "Fn::Not": lambda parts: not parts[0],
    "Fn::Contains": lambda parts: parts[1] in parts[0],
    "Fn::Equals": lambda parts: plain_text(parts[0]) == plain_text(parts[1]),
    "Fn::Join": lambda parts: parts[0].join(
        list_items(parts[1]) if isinstance(parts[1], str) else parts[1]
    ),
    "Fn::Split": lambda parts: parts[1].split(parts[0]),
    "Fn::Select": lambda parts: (list_items(parts[1]) if isinstance(parts[1], str) else parts[1])[
        int(parts[0])
    ],
    "Fn::Length": lambda parts: str(len(list_items(parts) if isinstance(parts, str) else parts)),
}
