# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: reads CloudFormation templates in long form, purely.

It knows as much of the language as a plan needs: parameters and their constraints, which
resources a template has for given values, and what it must be acknowledged for.
"""

from __future__ import annotations

import difflib
import json
import re
import typing as t

from ansible.module_utils.common.yaml import HAS_YAML, yaml_load
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

GIVEN, PREVIOUS, DEFAULT, UNKNOWN = "given", "previous", "default", "unknown"

_MAX_BYTES = 4096
_LOOP = "Fn::ForEach::"
# What a change of these alone does not count as to CloudFormation.
_IDLE_SECTIONS = ("AWSTemplateFormatVersion", "Description", "Metadata")
_UNSEEN = "****"


class Parameter(t.NamedTuple):
    """A parameter's value as text, and where it comes from: one of the words above."""

    value: str
    source: str


def parse(body: str) -> dict[str, t.Any]:
    """Return a template's content from YAML in long form, or JSON."""
    try:
        content = json.loads(body)
    except ValueError:
        content = _parse_yaml(body)
    if not isinstance(content, dict) or not isinstance(content.get("Resources"), dict):
        raise MlflowError("The template has no section 'Resources': check what it was read from.")
    return content


def same(one: t.Any, other: t.Any) -> bool:
    """Say whether two templates, each as text or content, do the same.

    CloudFormation gives characters beyond ASCII back as question marks.
    """
    if isinstance(one, str) and isinstance(other, str) and _ascii(one) == _ascii(other):
        return True
    return bool(_meaning(one) == _meaning(other))


def resolve(
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
        if given.get(name) is not None:
            text = _text(name, given[name], definition)
            _require_valid(name, text, definition)
            values[name] = Parameter(text, GIVEN)
        elif previous is not None and name in previous:
            values[name] = Parameter(previous[name], PREVIOUS)
        elif "Default" in definition:
            values[name] = Parameter(_plain(definition["Default"]), DEFAULT)
        elif foresee and name in given:
            values[name] = Parameter("", UNKNOWN)
        else:
            raise MlflowError(
                f"Parameter '{name}' of the template has no default: give it a value."
            )
    return values


def require_rules(content: t.Mapping[str, t.Any], values: t.Mapping[str, str]) -> None:
    """Refuse values that break one of the template's rules; what cannot be known yet passes."""
    for rule in (content.get("Rules") or {}).values():
        if not _known(rule.get("RuleCondition", True), content, values, unknown=False):
            continue
        for assertion in rule.get("Assertions", []):
            if not _known(assertion["Assert"], content, values, unknown=True):
                text = str(assertion.get("AssertDescription", "")) or str(assertion["Assert"])
                raise MlflowError(f"The parameters break a rule of the template: {text}")


def equal_value(definition: t.Mapping[str, t.Any], one: str, other: str) -> bool:
    """Say whether two texts are one value to a parameter; a NoEcho value is never known."""
    if _UNSEEN in (one, other):
        return False
    if _is_list(definition):
        return _items(one) == _items(other)
    return one == other


def resources(
    content: t.Mapping[str, t.Any], values: t.Mapping[str, str]
) -> dict[str, dict[str, t.Any]]:
    """Return the resources that a template makes of these parameter values, by logical id."""
    return _section(content, "Resources", values)


def capabilities(content: t.Mapping[str, t.Any]) -> list[str]:
    """Return what CloudFormation wants acknowledged for this template."""
    words = ["CAPABILITY_NAMED_IAM"] if "AWS::IAM::" in json.dumps(content, default=str) else []
    return [*words, "CAPABILITY_AUTO_EXPAND"] if content.get("Transform") else words


def nearest(name: str, known: t.Iterable[str]) -> str:
    """Return a hint at the nearest known name, or at all of them."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else f"known are {', '.join(names) or 'none'}."


def _parse_yaml(body: str) -> t.Any:
    """Return the content of a template in YAML."""
    if not HAS_YAML:
        raise MlflowError("Reading the template needs PyYAML: install it beside Ansible.")
    try:
        return yaml_load(body)
    except Exception as error:
        # PyYAML's own errors cannot be named where it may be missing.
        if type(error).__module__.partition(".")[0] != "yaml":
            raise
        text = " ".join(str(error).split())
        raise MlflowError(
            f"The template is no YAML in long form ({text}): correct it; short tags such as !Ref "
            "are to be written as Ref: or Fn::...:."
        ) from None


def _ascii(text: str) -> str:
    """Return a template as CloudFormation gives it back."""
    return "".join(letter if letter < "\x80" else "?" for letter in text).strip()


def _meaning(template: t.Any) -> t.Any:
    """Return a template's content without what changes nothing by itself."""
    content = parse(_ascii(template)) if isinstance(template, str) else template
    plain = json.loads(_ascii(json.dumps(content, default=str, ensure_ascii=False)))
    return {key: value for key, value in plain.items() if key not in _IDLE_SECTIONS}


def _require_known(definitions: t.Mapping[str, t.Any], given: t.Mapping[str, t.Any]) -> None:
    """Refuse a parameter that the template does not have."""
    for name in given:
        if name not in definitions:
            hint = nearest(str(name), definitions)
            raise MlflowError(f"The template has no parameter '{name}': {hint}")


def _is_list(definition: t.Mapping[str, t.Any]) -> bool:
    """Say whether a parameter takes several values."""
    return "List" in str(definition.get("Type", ""))


def _items(text: str) -> list[str]:
    """Return the values of a list parameter."""
    return [item.strip() for item in text.split(",")]


def _text(name: str, value: t.Any, definition: t.Mapping[str, t.Any]) -> str:
    """Return a given value as the text that CloudFormation takes."""
    if isinstance(value, (list, tuple)):
        if definition.get("Type") == "Number":
            raise MlflowError(f"Parameter '{name}' takes one number: write no list.")
        items = [_plain(item) for item in value]
        if any("," in item for item in items):
            raise MlflowError(
                f"Parameter '{name}' has an item with a comma: list both parts apart."
            )
        return ",".join(items)
    if isinstance(value, dict):
        raise MlflowError(f"Parameter '{name}' is a dictionary: write a text or a list.")
    return _plain(value)


def _plain(value: t.Any) -> str:
    """Return a YAML value as CloudFormation writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _require_valid(name: str, text: str, definition: t.Mapping[str, t.Any]) -> None:
    """Refuse a value that CloudFormation would refuse, before anything is asked of it."""
    if len(text.encode("utf-8")) > _MAX_BYTES:
        raise MlflowError(
            f"Parameter '{name}' is {len(text.encode('utf-8'))} bytes long and may be {_MAX_BYTES}: "
            "shorten it."
        )
    for item in _items(text) if _is_list(definition) else [text]:
        problem = _problem(item, definition)
        if problem:
            shown = _UNSEEN if definition.get("NoEcho") in (True, "true") else item
            hint = str(definition.get("ConstraintDescription", "")).rstrip(".")
            raise MlflowError(
                f"Parameter '{name}' is '{shown}' and must {problem}{': ' + hint if hint else ''}."
            )


def _problem(text: str, definition: t.Mapping[str, t.Any]) -> str:
    """Return the rule of a parameter that a value breaks, or an empty text."""
    allowed = [_plain(value) for value in definition.get("AllowedValues", [])]
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
    """Say whether a value matches; a pattern that only Java knows is left to CloudFormation."""
    try:
        return re.fullmatch(pattern, text) is not None
    except re.error:
        return True


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
    items = _items(given) if isinstance(given, str) else [_plain(item) for item in given]
    return [item for item in items if item]


def _filled(body: t.Any, identifier: str, item: str) -> t.Any:
    """Return a loop's body for one item; &{X} is the item without what ids may not hold."""
    text = json.dumps(body, default=str)
    text = text.replace(f"${{{identifier}}}", item)
    return json.loads(text.replace(f"&{{{identifier}}}", re.sub(r"[^A-Za-z0-9]", "", item)))


def _holds(condition: t.Any, content: t.Mapping[str, t.Any], values: t.Mapping[str, str]) -> bool:
    """Say whether a condition holds; one that cannot be known yet is taken to hold."""
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
        return expression if isinstance(expression, bool) else _plain(expression)
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
    "Fn::Equals": lambda parts: _plain(parts[0]) == _plain(parts[1]),
    "Fn::Join": lambda parts: parts[0].join(
        _items(parts[1]) if isinstance(parts[1], str) else parts[1]
    ),
    "Fn::Split": lambda parts: parts[1].split(parts[0]),
    "Fn::Select": lambda parts: (_items(parts[1]) if isinstance(parts[1], str) else parts[1])[
        int(parts[0])
    ],
    "Fn::Length": lambda parts: str(len(_items(parts) if isinstance(parts, str) else parts)),
}
