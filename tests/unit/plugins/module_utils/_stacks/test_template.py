# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CloudFormation templates are read as far as a plan needs them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import (
    evaluation,
    parameters,
    template,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.parameters import Parameter

BODY = """
Description: Größe
Resources:
  Queue: {Type: AWS::SQS::Queue}
"""
DEFINITIONS: dict[str, Any] = {
    "Size": {"Type": "Number", "Default": 4, "MinValue": 1, "MaxValue": 8},
    "Mode": {"Type": "String", "Default": "slow", "AllowedValues": ["slow", "fast"]},
    "Flag": {"Type": "String", "Default": False},
    "Names": {"Type": "CommaDelimitedList", "Default": "", "AllowedPattern": "[a-z]*"},
    "Subnets": {"Type": "String", "Default": "", "AllowedPattern": "|s-1(,s-2)?"},
    "Short": {"Type": "String", "Default": "ab", "MaxLength": 3},
    "Hidden": {"Type": "String", "Default": "abc", "NoEcho": True, "MinLength": 3},
    "Told": {
        "Type": "String",
        "Default": "a",
        "AllowedPattern": "^[a-z]$",
        "ConstraintDescription": "must be a letter.",
    },
    "Needed": {"Type": "String"},
}


def resolve(previous: dict[str, str] | None = None, **given: Any) -> dict[str, Parameter]:
    """Resolve the parameters above."""
    return parameters.resolve_parameters(DEFINITIONS, {"Needed": "n", **given}, previous)


def test_values_and_where_they_come_from() -> None:
    """Given, else previous, else the default; each as the text that CloudFormation takes."""
    values = resolve({"Mode": "fast", "Size": "2"}, Size=3, Flag=True, Names=["a", "b"])
    assert values["Size"] == Parameter("3", "given")
    assert values["Mode"] == Parameter("fast", "previous")
    assert values["Flag"] == Parameter("true", "given")
    assert values["Names"] == Parameter("a,b", "given")
    assert values["Short"] == Parameter("ab", "default")
    assert resolve()["Flag"] == Parameter("false", "default")
    assert resolve({"Mode": "fast"}, Mode=None)["Mode"] == Parameter("fast", "previous")
    assert resolve(Subnets=["s-1", "s-2"])["Subnets"].value == "s-1,s-2"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"Siz": 1}, "The template has no parameter 'Siz'; did you mean 'Size'?"),
        ({"Zzzzz": 1}, "The template has no parameter 'Zzzzz'; its parameters are Size, Mode"),
        ({"Size": 9}, "Parameter 'Size' is '9' and must be 8 or less."),
        ({"Size": 0}, "Parameter 'Size' is '0' and must be 1 or more."),
        ({"Size": "big"}, "Parameter 'Size' is 'big' and must be a number."),
        ({"Size": [1, 2]}, "Parameter 'Size' is a list and takes one number; write a number."),
        ({"Mode": "odd"}, "Parameter 'Mode' is 'odd' and must be one of 'slow', 'fast'."),
        ({"Mode": {"a": 1}}, "Parameter 'Mode' is a dictionary; write a string or a list."),
        ({"Names": ["a", "B"]}, "Parameter 'Names' is 'B' and must match [a-z]*."),
        (
            {"Names": ["a,b"]},
            "Parameter 'Names' has an item with a comma; list both parts separately.",
        ),
        ({"Short": "abcd"}, "Parameter 'Short' is 'abcd' and must have a length of 3 or less."),
        ({"Hidden": "ab"}, "Parameter 'Hidden' is '****' and must have a length of 3 or more."),
        ({"Told": "1"}, "Parameter 'Told' is '1' and must match ^[a-z]$; it must be a letter."),
        (
            {"Flag": "x" * 4097},
            "Parameter 'Flag' is 4097 bytes long, and the limit is 4096; shorten it.",
        ),
        ({"Needed": None}, "Parameter 'Needed' of the template has no default; set it."),
    ],
)
def test_refusals(given: dict[str, Any], expected: str) -> None:
    """Before CloudFormation is asked, in its own terms."""
    with pytest.raises(MlflowError) as caught:
        resolve(**given)
    assert str(caught.value).startswith(expected)


def test_what_is_known_later() -> None:
    """Only where that is said of the parameter, and only for a look."""
    values = parameters.resolve_parameters(DEFINITIONS, {"Needed": None}, None, foresee=True)
    assert values["Needed"] == Parameter("", "unknown")
    with pytest.raises(MlflowError, match="'Needed' of the template has no default"):
        parameters.resolve_parameters(DEFINITIONS, {}, None, foresee=True)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (BODY, True),
        (f"# A comment\n{BODY}", True),
        (BODY.replace("Größe", "Gr??e"), True),
        (BODY.replace("Größe", "Other"), True),
        (f"{BODY}Metadata: {{a: 1}}\n", True),
        ({"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}, True),
        (json.dumps({"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}), True),
        (BODY.replace("Queue:", "Other:"), False),
        (f"{BODY}Outputs: {{A: {{Value: a}}}}\n", False),
        (BODY.replace("AWS::SQS::Queue", "AWS::SNS::Topic"), False),
    ],
)
def test_same(other: Any, expected: bool) -> None:
    """What it does counts, not how it is written or told back."""
    assert template.same_template(other, BODY) is expected
    assert template.same_template(BODY, other) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("Resources: {A: !Ref B}", "The template is not YAML in long form"),
        ("a: [", "The template is not YAML in long form"),
        ("just text", "The template has no section 'Resources'"),
        ("Resources: []", "The template has no section 'Resources'"),
        ("", "The template has no section 'Resources'"),
    ],
)
def test_what_is_no_template(body: str, expected: str) -> None:
    """One sentence."""
    with pytest.raises(MlflowError) as caught:
        template.parse_template(body)
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


CONTENT: dict[str, Any] = {
    "Conditions": {
        "Big": {"Fn::Equals": [{"Ref": "Size"}, "8"]},
        "Fast": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Mode"}, "slow"]}]},
        "Both": {"Fn::And": [{"Condition": "Big"}, {"Condition": "Fast"}]},
        "Either": {"Fn::Or": [{"Condition": "Big"}, {"Condition": "Fast"}]},
        "First": {"Fn::Equals": [{"Fn::Select": [0, {"Ref": "Names"}]}, "a"]},
        "Odd": {"Fn::FindInMap": ["A", "B", "C"]},
        "Region": {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]},
    },
    "Resources": {
        "Always": {"Type": "T"},
        **{
            name: {"Type": "T", "Condition": name}
            for name in ("Big", "Fast", "Both", "Either", "First", "Odd", "Region")
        },
        "Fn::ForEach::Names": [
            "N",
            {"Ref": "Names"},
            {
                "Of${N}": {"Type": "T", "Properties": {"Name": {"Fn::Sub": "x-${N}"}}},
                "Also&{N}": {"Type": "T", "Condition": "Big"},
            },
        ],
    },
}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"Size": "4", "Mode": "slow", "Names": ""}, set()),
        ({"Size": "8", "Mode": "slow", "Names": ""}, {"Big", "Either"}),
        ({"Size": "8", "Mode": "fast", "Names": ""}, {"Big", "Fast", "Both", "Either"}),
        ({"Size": "4", "Mode": "slow", "Names": "a,b"}, {"First", "Ofa", "Ofb"}),
        (
            {"Size": "8", "Mode": "slow", "Names": "a, c-d"},
            {"Big", "Either", "First", "Ofa", "Ofc-d", "Alsoa", "Alsocd"},
        ),
    ],
)
def test_resources(values: dict[str, str], expected: set[str]) -> None:
    """Loops are unrolled, conditions decide, and what cannot be known counts as there."""
    assert (
        set(evaluation.template_resources(CONTENT, values))
        == {"Always", "Odd", "Region"} | expected
    )


def test_a_loop_fills_in_its_item() -> None:
    """In what it makes, too."""
    made = evaluation.template_resources(CONTENT, {"Names": "a", "Size": "4", "Mode": "slow"})
    assert made["Ofa"]["Properties"] == {"Name": {"Fn::Sub": "x-a"}}


RULES: dict[str, Any] = {
    "Rules": {
        "Needs": {
            "RuleCondition": {"Fn::Equals": [{"Ref": "Mode"}, "fast"]},
            "Assertions": [
                {
                    "Assert": {"Fn::Contains": [["4", "8"], {"Ref": "Size"}]},
                    "AssertDescription": "Fast needs a size of 4 or 8.",
                }
            ],
        },
        "Unknown": {"Assertions": [{"Assert": {"Fn::EachMemberIn": [["a"], ["b"]]}}]},
    }
}


@pytest.mark.parametrize(
    ("size", "mode", "passes"),
    [("4", "fast", True), ("2", "slow", True), ("2", "fast", False)],
)
def test_rules(size: str, mode: str, passes: bool) -> None:
    """A rule that is broken is told in its own words; what cannot be known passes."""
    values = {"Size": size, "Mode": mode}
    if passes:
        evaluation.require_rules(RULES, values)
        return
    with pytest.raises(
        MlflowError, match=r"^The parameters break .*: Fast needs a size of 4 or 8\.$"
    ):
        evaluation.require_rules(RULES, values)


def test_equal_values() -> None:
    """A list is the same however it is spaced; what AWS hides is never known to be the same."""
    listed, text = {"Type": "CommaDelimitedList"}, {"Type": "String"}
    assert parameters.equal_value(listed, "a, b", "a,b")
    assert not parameters.equal_value(text, "a, b", "a,b")
    assert not parameters.equal_value(text, "****", "****")


def test_capabilities() -> None:
    """What a template makes of identities, and what it has expanded, is acknowledged."""
    assert template.capabilities({"Resources": {}}) == []
    role = {"Resources": {"R": {"Type": "AWS::IAM::Role"}}}
    assert template.capabilities(role) == ["CAPABILITY_NAMED_IAM"]
    both = [*template.capabilities(role), "CAPABILITY_AUTO_EXPAND"]
    assert template.capabilities({**role, "Transform": "AWS::LanguageExtensions"}) == both


@pytest.mark.parametrize(
    ("previous", "value", "source"),
    [
        (None, "fast", parameters.GIVEN),
        ({}, "slow", parameters.DEFAULT),
        ({"Mode": "slow"}, "slow", parameters.PREVIOUS),
        ({"Mode": "fast"}, "fast", parameters.PREVIOUS),
    ],
)
def test_a_value_for_a_new_stack(previous: dict[str, str] | None, value: str, source: str) -> None:
    """One that is there keeps its own, or gets the template's default."""
    definitions = {"Mode": DEFINITIONS["Mode"]}
    found = parameters.resolve_parameters(definitions, {"Mode": {"create": "fast"}}, previous)
    assert found == {"Mode": Parameter(value, source)}
    with pytest.raises(MlflowError, match="is a dictionary"):
        parameters.resolve_parameters(definitions, {"Mode": {"other": "fast"}}, previous)
