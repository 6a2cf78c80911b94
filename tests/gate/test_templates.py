# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cfn-lint, checkov and parliament over the CloudFormation templates, in an environment of their own."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import changes
from ansible_collections.mlops.mlflow_aws.tests.support import (
    Done,
    clean_environment,
    new_environment,
    run,
)
from ansible_collections.mlops.mlflow_aws.tests.unit.cloudformation._deployed import (
    ACCOUNT,
    as_json,
    deploy,
    expand,
    load,
    text,
    walk,
)
from ansible_collections.mlops.mlflow_aws.tests.unit.cloudformation._linked import VARIANTS, linked

MINUTES = 60
NEEDED = Path(__file__).resolve().parents[1] / "integration" / "aws" / "needed_permissions.json"

pytestmark = pytest.mark.timeout(15 * MINUTES)


SCHEMAS = """
import json, sys
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER as schemas
found = {}
for kind in sys.argv[1:]:
    schema = schemas.get_resource_schema("us-east-1", kind).schema
    paths = [*schema.get("createOnlyProperties", [])]
    paths += schema.get("conditionalCreateOnlyProperties", [])
    found[kind] = sorted({path.split("/")[2] for path in paths})
print(json.dumps(found))
"""

# The read-only properties of types.
READ_ONLY = """
import json, sys
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER as schemas
found = {}
for kind in sys.argv[1:]:
    paths = schemas.get_resource_schema("us-east-1", kind).schema.get("readOnlyProperties", [])
    found[kind] = [path.removeprefix("/properties/") for path in paths]
print(json.dumps(found))
"""


# What the creation, the change and the deletion of each type call, as AWS's schema has it; "list" is of Cloud Control.
PERMISSIONS = """
import json, sys
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER as schemas
found = {}
for kind in sys.argv[1:]:
    handlers = schemas.get_resource_schema("us-east-1", kind).schema["handlers"]
    found[kind] = sorted({
        one for name, handler in handlers.items() if name != "list" for one in handler["permissions"]
    })
print(json.dumps(found))
"""

PARLIAMENT = """
import json, sys
from parliament import analyze_policy_string
found = {}
for name, document in json.load(open(sys.argv[1])).items():
    findings = analyze_policy_string(json.dumps(document)).findings
    found[name] = sorted({f"{one.issue} {one.detail}" for one in findings})
print(json.dumps(found))
"""
# What parliament does not know, or takes for one statement what two do together; by the beginning of what it says.
MISTAKEN = {
    "UNKNOWN_CONDITION_FOR_ACTION Unknown condition kms:ResourceAliases": "AWS documents it for every action on keys",
    "UNKNOWN_CONDITION_FOR_ACTION Unknown condition ssm:SessionDocumentAccessCheck": "AWS documents it for sessions",
    "UNKNOWN_ACTION Unknown action cloudformation:DescribeEvents": "it is newer than parliament's list",
    "UNKNOWN_ACTION Unknown action s3:GetBucketAbac": "it is newer than parliament's list",
    "INVALID_ARN Account expected": "CloudFormation's own transforms belong to the account aws",
    "RESOURCE_MISMATCH [{'action': 'ssm:GetParameters'": "the parameters of AWS belong to no account",
    "RESOURCE_MISMATCH [{'action': 'ssmmessages:OpenDataChannel'": "AWS's samples limit it to one's own sessions",
    "RESOURCE_MISMATCH [{'action': 'kms:CreateAlias'": "key and alias stand in two statements",
    "RESOURCE_STAR ['rds:DescribeGlobalClusters']": "it reads, and there is none",
    "RESOURCE_STAR ['kms:TagResource']": "a key that is being created has no ARN yet, and the tag is asked for",
}


class Tools:
    """Runs the tools in one folder, as a new user."""

    def __init__(self, tools: Path, folder: Path) -> None:
        """Keep where the tools are, and the folder for the files that they look at."""
        self._tools = tools
        self.folder = folder
        self._env = clean_environment(folder, tools)
        # Without a region of its own cfn-lint looks at the usual one.
        self._env["AWS_DEFAULT_REGION"] = "eu-central-1"

    def cfn_lint(self, template: Path, *, check: bool = True) -> Done:
        """Lint a template, informational findings included."""
        return self._run("cfn-lint", "--include-checks", "I", "--", template, check=check)

    def findings(self, templates: Mapping[str, Mapping[str, Any]]) -> dict[str, set[str]]:
        """Return what cfn-lint finds in templates, by their names: rule, resource and property."""
        paths = {str(self.folder / f"{name}.linted.json"): name for name in templates}
        for path, name in paths.items():
            Path(path).write_text(as_json(templates[name]))
        # Where the parameters are filled in, a zone or a partition is meant to be there.
        ignored = ("--ignore-checks", "W3010", "--format", "json")
        done = self._run("cfn-lint", *ignored, "--", *paths, check=False)
        found: dict[str, set[str]] = {name: set() for name in templates}
        for finding in json.loads(done.output):
            place = [str(part) for part in finding["Location"]["Path"][1:]]
            found[paths[finding["Filename"]]].add(
                " ".join([finding["Rule"]["Id"], *[part for part in place if part != "Properties"]])
            )
        return found

    def python(self, code: str, *arguments: str) -> Done:
        """Run Python code with what the tools consist of."""
        return self._run("python", "-c", code, *arguments, check=True)

    def checkov(self, template: Path) -> dict[str, Any]:
        """Return what checkov finds in a template, by passed, failed and skipped checks."""
        options = ("--framework", "cloudformation", "--skip-download", "--output", "json")
        done = self._run("checkov", *options, "--file", template, check=False)
        report: dict[str, Any] = json.loads(done.output[done.output.index("{") :])
        assert report["summary"]["parsing_errors"] == 0
        results: dict[str, Any] = report["results"]
        return results

    def _run(self, tool: str, *arguments: str | Path, check: bool) -> Done:
        """Run a tool and return how it ended."""
        command = [self._tools / tool, *arguments]
        return run(command, cwd=self.folder, env=self._env, timeout=4 * MINUTES, check=check)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    """Return the tools of requirements/templates.txt."""
    return Tools(new_environment("templates"), tmp_path_factory.mktemp("templates"))


def written_out(folder: Path, name: str) -> Path:
    """Write a template for checkov, which knows no loops, with those of two projects unrolled."""
    template = load(name)
    lists = {"Projects": ["demo", "churnXmodel"]} if "Transform" in template else {}
    path = folder / f"{name}.json"
    path.write_text(as_json(expand(template, lists)))
    return path


def reasons(template: Path) -> dict[tuple[str, str], str]:
    """Return the skips that a template asks for: by resource and check, the reason."""
    found = {}
    for name, resource in json.loads(template.read_text())["Resources"].items():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            found[f"{resource['Type']}.{name}", skip["id"]] = skip["comment"]
    return found


@pytest.mark.parametrize("name", ["backend", "budget", "hosts", "policies", "projects"])
def test_cfn_lint_finds_nothing(tools: Tools, checkout: Path, name: str) -> None:
    """No error, no warning, no advice."""
    done = tools.cfn_lint(checkout / "cloudformation" / f"{name}.yml")
    assert done.output.strip() == ""


def test_cfn_lint_looks_into_loops(tools: Tools) -> None:
    """A reference to nothing inside Fn::ForEach is found: the transform is applied."""
    path = tools.folder / "broken.yml"
    path.write_text(text("projects").replace("MigratorSecret${P}:", "OtherSecret${P}:", 1))
    done = tools.cfn_lint(path, check=False)
    assert done.code != 0
    assert "MigratorSecret" in done.output


def test_what_templates_become_fits_the_schemas(tools: Tools) -> None:
    """Every property that is there under some parameters, with its value, as AWS's schemas want it.

    cfn-lint sees neither what the branches of a Fn::If become, nor both sides of a condition.
    """
    templates = {name: linked(base, **given) for name, (base, given) in VARIANTS.items()}
    assert tools.findings(templates) == {name: set() for name in VARIANTS}


def test_the_variants_make_everything() -> None:
    """No resource, and no property of one, is left out of all of them."""
    made: dict[str, set[str]] = {}
    for base, given in VARIANTS.values():
        made.setdefault(base, set()).update(names_in(linked(base, **given)["Resources"]))
    for base, names in made.items():
        resources = expand(load(base), {"Projects": ["demo", "churnXmodel"]})["Resources"]
        assert names_in(resources) <= names


def names_in(resources: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Return the names of all properties at all depths, each with its type, without functions."""
    found = set()
    for entry in resources.values():
        own = [
            value[1] for key, value in walk(entry) if key == "Fn::Sub" and isinstance(value, list)
        ]
        names = {key for key, _value in walk(entry["Properties"])}.difference(*own)
        found |= {
            f"{entry['Type']} {name}" for name in names if not name.startswith(("Fn::", "Ref"))
        }
    return found


def test_no_property_is_read_only(tools: Tools) -> None:
    """What only AWS sets is not set, at no depth; cfn-lint's own rule does not find it."""
    kinds: dict[str, set[str]] = {}
    for base, given in VARIANTS.values():
        for resource in linked(base, **given)["Resources"].values():
            kinds.setdefault(resource["Type"], set()).update(paths_in(resource["Properties"]))
    done = tools.python(READ_ONLY, *kinds)
    read_only = json.loads(done.output)
    assert "Arn" in read_only["AWS::KMS::Key"]
    assert {kind: paths & set(read_only[kind]) for kind, paths in kinds.items()} == {
        kind: set() for kind in kinds
    }


def paths_in(node: Any, above: str = "") -> Iterator[str]:
    """Give the path of every property, as schemas write it: with an asterisk for any entry of a list."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield f"{above}{key}"
            yield from paths_in(value, f"{above}{key}/")
    elif isinstance(node, list):
        for entry in node:
            yield from paths_in(entry, f"{above}*/")


def test_the_schemas_know_every_type(tools: Tools) -> None:
    """A property that no type has is found in each resource, so none is passed over."""
    templates = {name: linked(base, **given) for name, (base, given) in VARIANTS.items()}
    for template in templates.values():
        for resource in template["Resources"].values():
            resource["Properties"]["Unheard"] = 1
    assert tools.findings(templates) == {
        name: {f"E3002 {key} Unheard" for key in template["Resources"]}
        for name, template in templates.items()
    }


# What each rule of a schema is about, and a value that breaks it.
BROKEN = {
    "required": ("E3003", "PublicRouteA", None, None),
    "type": ("E3012", "Vpc", "EnableDnsSupport", "perhaps"),
    "enum": ("E3030", "CapacityAlarm", "ComparisonOperator", "Above"),
    "pattern": ("E3031", "ServerRole", "Path", "mlflow"),
    "range": ("E3034", "Key", "PendingWindowInDays", 3),
}


def test_the_schemas_see_a_mistake(tools: Tools) -> None:
    """One of each kind."""
    templates = {}
    for kind, (_rule, resource, name, value) in BROKEN.items():
        templates[kind] = template = linked("backend", **VARIANTS["backend"][1])
        properties = template["Resources"][resource]["Properties"]
        if name:
            properties[name] = value
        else:
            properties.clear()
    found = tools.findings(templates)
    for kind, (rule, resource, *_more) in BROKEN.items():
        assert [one for one in found[kind] if one.startswith(f"{rule} {resource}")], found


def test_the_needed_permissions_are_those_of_the_schemas(tools: Tools) -> None:
    """Remedy where they are not: MLFLOW_AWS_WRITE_PERMISSIONS=1 scripts/test templates."""
    kinds = {
        resource["Type"]
        for base, given in VARIANTS.values()
        for resource in linked(base, **given)["Resources"].values()
    }
    found = json.loads(tools.python(PERMISSIONS, *sorted(kinds)).output)
    if os.environ.get("MLFLOW_AWS_WRITE_PERMISSIONS"):
        NEEDED.write_text(json.dumps(found, indent=1) + "\n")
    assert json.loads(NEEDED.read_text()) == found


def policies_of_all_templates() -> dict[str, Any]:
    """Return every identity policy of the templates, worked out, by where it stands."""
    found = {}
    for variant, (base, given) in VARIANTS.items():
        for name, entry in deploy(base, **given).resources.items():
            properties = entry["Properties"]
            if entry["Type"].startswith("AWS::IAM::"):
                own = [properties] if "PolicyDocument" in properties else []
                for number, one in enumerate([*properties.get("Policies", []), *own]):
                    found[f"{variant} {name} {number}"] = one["PolicyDocument"]
    # Where a reference is that AWS replaces by an ARN.
    text = json.dumps(found).replace("<Key.Arn>", f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/x")
    text = text.replace(":::<ArtifactBucket>", ":::artifacts")
    text = re.sub("<[^>]+>", f"arn:aws:secretsmanager:eu-central-1:{ACCOUNT}:secret:x", text)
    replaced: dict[str, Any] = json.loads(text)
    return replaced


def linted(tools: Tools, documents: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what parliament finds in policies, without its own mistakes."""
    path = tools.folder / "policies.linted.json"
    path.write_text(json.dumps(documents))
    # It warns of what setuptools is going to drop.
    said = tools.python(PARLIAMENT, str(path)).output.splitlines()[-1]
    found: dict[str, list[str]] = json.loads(said)
    return {
        name: [one for one in findings if not one.startswith(tuple(MISTAKEN))]
        for name, findings in found.items()
    }


def test_parliament_finds_nothing(tools: Tools) -> None:
    """In no policy of a template; those in policies/ are made of the template."""
    documents = policies_of_all_templates()
    assert {"policies OperatorCalls 0", "backend ServerRole 0", "hosts SessionPolicy 0"} <= set(
        documents
    )
    assert linted(tools, documents) == {name: [] for name in documents}


def test_parliament_sees_a_mistake(tools: Tools) -> None:
    """An action that does not exist, and one that the resource cannot have."""
    documents = {
        action: {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": f"s3:{action}", "Resource": "arn:aws:s3:::bucket"}
            ],
        }
        for action in ("GetObjects", "GetObject")
    }
    found = {
        name: [one.split()[0] for one in told] for name, told in linted(tools, documents).items()
    }
    assert found == {"GetObjects": ["UNKNOWN_ACTION"], "GetObject": ["RESOURCE_MISMATCH"]}


def test_what_replaces_a_resource_is_known_as_aws_tells_it(tools: Tools) -> None:
    """The properties of what holds data by which AWS builds another one, from their schemas."""
    done = tools.python(SCHEMAS, *changes.REPLACING)
    found = {kind: tuple(names) for kind, names in json.loads(done.output).items()}
    assert found == changes.REPLACING


# It has no check for budgets, and says nothing at all of a template without checks.
@pytest.mark.parametrize("name", ["backend", "hosts", "policies", "projects"])
def test_checkov_fails_nothing(tools: Tools, name: str) -> None:
    """Every check passes or is skipped by the template itself, with a reason and a need."""
    template = written_out(tools.folder, name)
    results = tools.checkov(template)
    failed = [f"{check['check_id']} {check['resource']}" for check in results["failed_checks"]]
    assert failed == []
    assert results["passed_checks"]
    asked = reasons(template)
    skipped = {
        (check["resource"], check["check_id"]): check["check_result"]["suppress_comment"]
        for check in results["skipped_checks"]
    }
    assert skipped == asked
    assert all(len(reason) > 20 for reason in asked.values())


def test_checkov_sees_a_mistake(tools: Tools) -> None:
    """A bucket that the public may read, and a policy without bounds, are found."""
    template = json.loads(written_out(tools.folder, "backend").read_text())
    bucket = template["Resources"]["ArtifactBucket"]["Properties"]
    del bucket["PublicAccessBlockConfiguration"]
    path = tools.folder / "open.json"
    path.write_text(json.dumps(template))
    failed = {check["check_id"] for check in tools.checkov(path)["failed_checks"]}
    assert {"CKV_AWS_53", "CKV_AWS_54", "CKV_AWS_55", "CKV_AWS_56"} <= failed
