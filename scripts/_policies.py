"""Write the policies of cloudformation/policies.yml into policies/, as JSON with placeholders.

The template is evaluated as its tests do it. Runs in the environment of requirements/test.txt;
scripts/policies prepares it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ansible_collections.mlops.mlflow_aws.tests.unit.cloudformation._deployed import (
    Stack,
    load,
)

FOLDER = Path(__file__).resolve().parent.parent / "policies"
PSEUDO = MappingProxyType(
    {
        "AWS::AccountId": "ACCOUNT",
        "AWS::Partition": "PARTITION",
        "AWS::Region": "REGION",
        "AWS::URLSuffix": "URL_SUFFIX",
    }
)
VALUES = MappingProxyType({"StackName": "STACK", "ImageRepository": "REPOSITORY"})


def policies(
    pseudo: Mapping[str, str] = PSEUDO, values: Mapping[str, str] = VALUES
) -> dict[str, dict[str, Any]]:
    """Return the documents of all policies by the names of their resources, filled in with values."""
    template = load("policies")
    defaults = {name: str(entry["Default"]) for name, entry in template["Parameters"].items()}
    stack = Stack(template, {**defaults, **values}, pseudo)
    made = {name: entry["Properties"] for name, entry in stack.section("Resources").items()}
    text = json.dumps({name: entry["PolicyDocument"] for name, entry in made.items()})
    for name, entry in made.items():
        arn = f"arn:{pseudo['AWS::Partition']}:iam::{pseudo['AWS::AccountId']}:policy"
        text = text.replace(f"<{name}>", f"{arn}{entry['Path']}{entry['ManagedPolicyName']}")
    found: dict[str, dict[str, Any]] = json.loads(text)
    return found


def files() -> dict[Path, str]:
    """Return the files of the folder with their content."""
    return {
        FOLDER / f"{re.sub('(?<!^)(?=[A-Z])', '-', name).lower()}.json": json.dumps(
            document, indent=2
        )
        + "\n"
        for name, document in policies().items()
    }


def main() -> int:
    """Write the files, or with --check say which are out of date."""
    stale = {
        path: content
        for path, content in files().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != content
    }
    extra = set(FOLDER.glob("*.json")) - set(files())
    if "--check" in sys.argv[1:]:
        for path in sorted({*stale, *extra}):
            print(f"policies/{path.name} is out of date; run scripts/policies.", file=sys.stderr)
        return 1 if stale or extra else 0
    for path in extra:
        path.unlink()
    for path, content in stale.items():
        path.write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
