# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: which value each parameter of a template has, and whether it is allowed."""

from __future__ import annotations

import difflib
import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

GIVEN, PREVIOUS, DEFAULT, UNKNOWN = "given", "previous", "default", "unknown"
_MAX_BYTES = 4096
# A value {CREATE: VALUE} applies to a new stack only.
CREATE = "create"
_UNSEEN = "****"


class Parameter(t.NamedTuple):
    """A parameter's value as text, and where it comes from: one of the words above."""

    value: str
    source: str


def resolve_parameters(
    definitions: t.Mapping[str, t.Any],
    given: t.Mapping[str, t.Any],
    previous: t.Mapping[str, str] | None,
    foresee: bool = False,
) -> dict[str, Parameter]:
    """Return every parameter's value: the given one, else the stack's previous, else the default.

    previous is None where there is no stack yet; with foresee, one that is given as None may
    be known only later. Raises MlflowError for an unknown parameter, for a value that breaks
    the template's own rules, and for one that is missing.
    """
    _require_known(definitions, given)
    values = {}
    for name, definition in definitions.items():
        value = _applying(given.get(name), previous)
        if value is not None:
            text = _text(name, value, definition)
            _require_valid(name, text, definition)
            values[name] = Parameter(text, GIVEN)
        elif previous is not None and name in previous:
            values[name] = Parameter(previous[name], PREVIOUS)
        elif "Default" in definition:
            values[name] = Parameter(plain_text(definition["Default"]), DEFAULT)
        elif foresee and name in given:
            values[name] = Parameter("", UNKNOWN)
        else:
            raise MlflowError(f"Parameter '{name}' of the template has no default; set it.")
    return values


def _applying(value: t.Any, previous: t.Mapping[str, str] | None) -> t.Any:
    """Return a given value, or None if it is for a new stack only and there is one."""
    if isinstance(value, dict) and set(value) == {CREATE}:
        return value[CREATE] if previous is None else None
    return value


def equal_value(definition: t.Mapping[str, t.Any], one: str, other: str) -> bool:
    """Return whether two texts are one value to a parameter; a NoEcho value is never known."""
    if _UNSEEN in (one, other):
        return False
    if _is_list(definition):
        return list_items(one) == list_items(other)
    return one == other


def nearest(name: str, known: t.Iterable[str]) -> str:
    """Return a hint at the nearest known name, or at all of them."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return (
        f"did you mean '{near[0]}'?"
        if near
        else f"its parameters are {', '.join(names) or 'none'}."
    )


def _require_known(definitions: t.Mapping[str, t.Any], given: t.Mapping[str, t.Any]) -> None:
    """Refuse a parameter that the template does not have."""
    for name in given:
        if name not in definitions:
            hint = nearest(str(name), definitions)
            raise MlflowError(f"The template has no parameter '{name}'; {hint}")


def _is_list(definition: t.Mapping[str, t.Any]) -> bool:
    """Return whether a parameter takes several values."""
    return "List" in str(definition.get("Type", ""))


def list_items(text: str) -> list[str]:
    """Return the values of a list parameter."""
    return [item.strip() for item in text.split(",")]


def _text(name: str, value: t.Any, definition: t.Mapping[str, t.Any]) -> str:
    """Return a given value as the text that CloudFormation takes."""
    if isinstance(value, (list, tuple)):
        if definition.get("Type") == "Number":
            raise MlflowError(f"Parameter '{name}' is a list and takes one number; write a number.")
        items = [plain_text(item) for item in value]
        if any("," in item for item in items):
            raise MlflowError(
                f"Parameter '{name}' has an item with a comma; list both parts separately."
            )
        return ",".join(items)
    if isinstance(value, dict):
        raise MlflowError(f"Parameter '{name}' is a dictionary; write a string or a list.")
    return plain_text(value)


def plain_text(value: t.Any) -> str:
    """Return a YAML value as CloudFormation writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _require_valid(name: str, text: str, definition: t.Mapping[str, t.Any]) -> None:
    """Refuse a value that CloudFormation would refuse, before anything is asked of it."""
    if len(text.encode("utf-8")) > _MAX_BYTES:
        raise MlflowError(
            f"Parameter '{name}' is {len(text.encode('utf-8'))} bytes long, and the limit is {_MAX_BYTES}; "
            "shorten it."
        )
    for item in list_items(text) if _is_list(definition) else [text]:
        problem = _problem(item, definition)
        if problem:
            shown = _UNSEEN if definition.get("NoEcho") in (True, "true") else item
            hint = str(definition.get("ConstraintDescription", "")).rstrip(".")
            raise MlflowError(
                f"Parameter '{name}' is '{shown}' and must {problem}{'; it ' + hint if hint else ''}."
            )


def _problem(text: str, definition: t.Mapping[str, t.Any]) -> str:
    """Return the rule of a parameter that a value breaks, or an empty text."""
    allowed = [plain_text(value) for value in definition.get("AllowedValues", [])]
    if allowed and text not in allowed:
        return f"be one of {', '.join(repr(value) for value in allowed)}"
    pattern = definition.get("AllowedPattern")
    if pattern and not _matches(str(pattern), text):
        return f"match {pattern}"
    if definition.get("Type") == "Number":
        return _outside("be a number", definition, "Value", _number(text))
    if definition.get("Type") == "String":
        return _outside("", definition, "Length", float(len(text)))
    return ""


def _outside(kind: str, definition: t.Mapping[str, t.Any], bound: str, size: float | None) -> str:
    """Return the bound that a number or a length breaks, or an empty text."""
    if size is None:
        return kind
    what = "be" if bound == "Value" else "have a length of"
    least, most = definition.get(f"Min{bound}"), definition.get(f"Max{bound}")
    if least is not None and size < float(least):
        return f"{what} {least} or more"
    if most is not None and size > float(most):
        return f"{what} {most} or less"
    return ""


def _number(text: str) -> float | None:
    """Return a text as a number, if it is one."""
    try:
        return float(text)
    except ValueError:
        return None


def _matches(pattern: str, text: str) -> bool:
    """Return whether a value matches; a pattern that only Java knows is left to CloudFormation."""
    try:
        return re.fullmatch(pattern, text) is not None
    except re.error:
        return True
