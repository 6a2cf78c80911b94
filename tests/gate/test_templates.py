# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cfn-lint and checkov over the CloudFormation templates, in an environment of their own."""

from __future__ import annotations

import json
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
    as_json,
    expand,
    load,
    text,
)

MINUTES = 60

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


@pytest.mark.parametrize("name", ["backend", "budget", "hosts", "projects"])
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


def test_what_replaces_a_resource_is_known_as_aws_tells_it(tools: Tools) -> None:
    """The properties of what holds data by which AWS builds another one, from their schemas."""
    done = tools.python(SCHEMAS, *changes.REPLACING)
    found = {kind: tuple(names) for kind, names in json.loads(done.output).items()}
    assert found == changes.REPLACING


# It has no check for budgets, and says nothing at all of a template without checks.
@pytest.mark.parametrize("name", ["backend", "hosts", "projects"])
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
