# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a template becomes with given parameters, worked out without AWS.

A small CloudFormation for the functions that our templates use. It is stricter than AWS: a
reference to something that is not there, or that a condition leaves out, is an error, as is a
function that it does not know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[3] / "cloudformation"
ACCOUNT = "123456789012"
PSEUDO = MappingProxyType(
    {
        "AWS::AccountId": ACCOUNT,
        "AWS::Partition": "aws",
        "AWS::Region": "eu-central-1",
        "AWS::StackName": "team",
        "AWS::URLSuffix": "amazonaws.com",
    }
)
_LOOP = "Fn::ForEach::"
_VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")
_NOTHING = object()


class Wrong(Exception):
    """What CloudFormation would refuse."""


def text(name: str) -> str:
    """Return a template's text."""
    return (FOLDER / f"{name}.yml").read_text(encoding="utf-8")


@cache
def load(name: str) -> dict[str, Any]:
    """Return a template's content, for reading."""
    content: dict[str, Any] = yaml.safe_load(text(name))
    return content


def walk(node: Any) -> Iterator[tuple[str, Any]]:
    """Give every key of a template with its value, at all depths."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield key, value
            yield from walk(value)
    elif isinstance(node, list):
        for item in node:
            yield from walk(item)


def references(node: Any) -> Iterator[str]:
    """Give the name of every parameter and resource that a part of a template refers to."""
    for key, value in walk(node):
        if key == "Ref" and isinstance(value, str):
            yield value
        elif key == "Fn::GetAtt" and isinstance(value[0], str):
            yield value[0]
        elif key == "Fn::Sub":
            words, own = value if isinstance(value, list) else (value, {})
            names = (name.partition(".")[0] for name in _VARIABLE.findall(words))
            yield from (name for name in names if name not in own)


def expand(template: Mapping[str, Any], lists: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return a template with its loops written out, as the transform does it on AWS.

    The identifier is filled in where AWS fills it in: in keys, in Fn::Sub, and as a Ref.
    """
    content = {key: value for key, value in template.items() if key != "Transform"}
    for section in ("Resources", "Outputs"):
        entries: dict[str, Any] = {}
        for key, value in template[section].items():
            if not key.startswith(_LOOP):
                entries[key] = value
                continue
            identifier, collection, body = value
            for item in lists[collection["Ref"]]:
                copies = {
                    name.replace(f"${{{identifier}}}", item): _filled(entry, identifier, item)
                    for name, entry in body.items()
                }
                if set(copies) & set(entries) or not all(name.isalnum() for name in copies):
                    raise Wrong(f"{key} makes {', '.join(copies)}")
                entries.update(copies)
        content[section] = entries
    return content


def _filled(node: Any, identifier: str, item: str) -> Any:
    """Return a loop's body for one item."""
    if isinstance(node, list):
        return [_filled(entry, identifier, item) for entry in node]
    if not isinstance(node, dict):
        return node
    if node == {"Ref": identifier}:
        return item
    filled = {key: _filled(value, identifier, item) for key, value in node.items()}
    words = filled.get("Fn::Sub")
    if isinstance(words, str):
        filled["Fn::Sub"] = words.replace(f"${{{identifier}}}", item)
    elif words:
        filled["Fn::Sub"] = [words[0].replace(f"${{{identifier}}}", item), words[1]]
    return filled


@dataclass(frozen=True)
class Deployed:
    """What a stack would hold: finished resources and outputs."""

    resources: dict[str, dict[str, Any]]
    outputs: dict[str, str]

    def properties(self, name: str) -> dict[str, Any]:
        """Return the properties of a resource."""
        found: dict[str, Any] = self.resources[name]["Properties"]
        return found

    def types(self) -> set[str]:
        """Return the types of all resources."""
        return {resource["Type"] for resource in self.resources.values()}


def deploy(name: str, **parameters: str) -> Deployed:
    """Return what a template becomes; raise Wrong with the first rule that the values break."""
    stack = Stack(*prepared(name, parameters))
    stack.check_rules()
    return Deployed(stack.section("Resources"), stack.outputs())


def prepared(name: str, parameters: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a template with its loops written out, and the value of each of its parameters."""
    template = load(name)
    definitions = template["Parameters"]
    if unknown := set(parameters) - set(definitions):
        raise Wrong(f"no parameter {unknown}")
    values = {
        key: accepted(key, definition, parameters.get(key))
        for key, definition in definitions.items()
    }
    lists = {
        key: values[key].split(",")
        for key, definition in definitions.items()
        if definition["Type"] == "CommaDelimitedList"
    }
    return expand(template, lists), values


def variables(words: str, one: Callable[[str], str]) -> str:
    """Return the text of a Fn::Sub with each of its variables replaced by what one gives."""
    return _VARIABLE.sub(lambda match: one(match[1]), words)


class Stack:
    """Works out the functions of one template for one set of parameters."""

    def __init__(
        self,
        template: Mapping[str, Any],
        values: Mapping[str, str],
        pseudo: Mapping[str, str] = PSEUDO,
    ) -> None:
        """Keep the expanded template and the value of each of its parameters."""
        self._template = template
        self._values = values
        self._pseudo = pseudo
        self._conditions: dict[str, bool] = {}
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._reference,
            "Condition": self._condition,
            "Fn::GetAtt": self._attribute,
            "Fn::Sub": self._substituted,
            "Fn::If": lambda parts: self.value(parts[1 if self._condition(parts[0]) else 2]),
            "Fn::Join": lambda parts: parts[0].join(self.value(parts[1])),
            "Fn::Split": lambda parts: self.value(parts[1]).split(parts[0]),
            "Fn::Select": lambda parts: self.value(parts[1])[int(parts[0])],
            "Fn::FindInMap": self._mapped,
            "Fn::GetAZs": lambda _region: [f"eu-central-1{letter}" for letter in "abc"],
            # The text as it is written, for tests to read.
            "Fn::Base64": self.value,
            "Fn::Cidr": lambda parts: [f"{self.value(parts[0])}#{n}" for n in range(parts[1])],
            "Fn::Equals": lambda parts: self.value(parts[0]) == self.value(parts[1]),
            "Fn::Not": lambda parts: not self.value(parts[0]),
            "Fn::And": lambda parts: all(self.value(part) for part in parts),
            "Fn::Or": lambda parts: any(self.value(part) for part in parts),
            "Fn::Contains": lambda parts: self.value(parts[1]) in parts[0],
        }

    def value(self, node: Any) -> Any:
        """Return a part of the template with its functions worked out."""
        if isinstance(node, list):
            return [item for item in map(self.value, node) if item is not _NOTHING]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            key, argument = next(iter(node.items()))
            if key in self._functions:
                return self._functions[key](argument)
            if key.startswith("Fn::"):
                raise Wrong(f"{key} is unknown here")
        worked = {key: self.value(entry) for key, entry in node.items()}
        return {key: entry for key, entry in worked.items() if entry is not _NOTHING}

    def section(self, name: str) -> dict[str, Any]:
        """Return the entries of a section whose conditions hold, worked out."""
        return {
            key: {part: self.value(content) for part, content in entry.items()}
            | ({"Condition": entry["Condition"]} if "Condition" in entry else {})
            for key, entry in self._template[name].items()
            if self._there(entry)
        }

    def outputs(self) -> dict[str, str]:
        """Return the outputs' values, each of which has to be a text."""
        values = {key: entry["Value"] for key, entry in self.section("Outputs").items()}
        for key, value in values.items():
            if not isinstance(value, str) or not value:
                raise Wrong(f"output {key} is {value!r}")
        return values

    def check_rules(self) -> None:
        """Raise the first rule's sentence that the parameters break."""
        for rule in self._template.get("Rules", {}).values():
            if "RuleCondition" in rule and not self.value(rule["RuleCondition"]):
                continue
            for assertion in rule["Assertions"]:
                if not self.value(assertion["Assert"]):
                    raise Wrong(assertion["AssertDescription"])

    def _there(self, entry: Mapping[str, Any]) -> bool:
        """Say whether a resource's or output's condition holds."""
        return "Condition" not in entry or self._condition(entry["Condition"])

    def _condition(self, name: str) -> bool:
        """Return whether a condition holds."""
        if name not in self._conditions:
            self._conditions[name] = bool(self.value(self._template["Conditions"][name]))
        return self._conditions[name]

    def _resource(self, name: str) -> None:
        """Refuse a reference to a resource that the stack does not have."""
        entry = self._template["Resources"].get(name)
        if entry is None or not self._there(entry):
            raise Wrong(f"{name} is referred to and is not there")

    def _reference(self, name: Any) -> Any:
        """Return what a Ref stands for."""
        name = self.value(name)
        if name == "AWS::NoValue":
            return _NOTHING
        if name in self._pseudo:
            return self._pseudo[name]
        if name in self._values:
            return self._values[name]
        self._resource(name)
        return f"<{name}>"

    def _attribute(self, parts: Any) -> str:
        """Return what a Fn::GetAtt stands for."""
        name = self.value(parts[0])
        self._resource(name)
        return f"<{name}.{parts[1]}>"

    def _mapped(self, parts: Any) -> Any:
        """Return what a Fn::FindInMap stands for."""
        name, first, second = map(self.value, parts)
        try:
            return self._template["Mappings"][name][first][second]
        except KeyError:
            raise Wrong(f"{name} has no {first}, {second}") from None

    def _substituted(self, argument: Any) -> str:
        """Return the text that a Fn::Sub gives."""
        words, own = argument if isinstance(argument, list) else (argument, {})

        def one(name: str) -> str:
            if name in own:
                return str(self.value(own[name]))
            resource, dot, attribute = name.partition(".")
            return str(self._attribute([resource, attribute]) if dot else self._reference(resource))

        return variables(words, one).replace("${!", "${")


def accepted(name: str, definition: Mapping[str, Any], given: str | None) -> str:
    """Return a parameter's value as text; raise Wrong where it breaks its constraint."""
    value = str(definition["Default"]) if given is None else given
    plural = definition["Type"] == "CommaDelimitedList"
    for item in value.split(",") if plural else [value]:
        if not _fits(definition, item):
            raise Wrong(f"{name} {definition['ConstraintDescription']}")
    return value


def _fits(definition: Mapping[str, Any], item: str) -> bool:
    """Say whether one value keeps to its constraints."""
    if "AllowedValues" in definition:
        return item in map(str, definition["AllowedValues"])
    if definition["Type"] == "Number":
        least = definition.get("MinValue", float("-inf"))
        most = definition.get("MaxValue", float("inf"))
        return bool(least <= float(item) <= most)
    return re.fullmatch(definition["AllowedPattern"], item) is not None


def as_json(template: Mapping[str, Any]) -> str:
    """Return a template as JSON text, for tools that read files."""
    return json.dumps(template, indent=1)
