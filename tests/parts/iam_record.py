# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ministack that writes down what it asks IAM: run by its own Python, with the file to write.

    .venvs/ministack/bin/python tests/parts/iam_record.py FILE

Two calls are asked about for what they name, as AWS does it, where the emulator by itself would ask
about no resource at all: a change set by its ARN, which is its stack's, and repositories by a list.

One line of JSON for each question: who calls, the action, the resource, and the keys of the
request that a policy's conditions may name. Questions that were already asked are left out.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from typing import Any


class Record:
    """Writes each question once."""

    def __init__(self, path: str) -> None:
        """Take the file."""
        self._path = path
        self._seen: set[str] = set()

    def __call__(self, **question: Any) -> None:
        """Write a question, unless it is there."""
        line = json.dumps(question, sort_keys=True, default=str)
        if line not in self._seen:
            self._seen.add(line)
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(f"{line}\n")


def recorded(evaluator: Any, record: Record) -> Callable[..., Any]:
    """Return the emulator's `enforce` with a record of what it is asked."""
    enforce: Callable[..., Any] = evaluator.enforce
    tagging = importlib.import_module("ministack.services.tagging")
    responses = importlib.import_module("ministack.core.responses")

    def asked(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        answer = enforce(access_key_id, iam_action, service, region, resource_arn, service_context)
        principal = evaluator.resolve_principal(access_key_id or "", responses.get_account_id())
        context = {name: value for name, value in (service_context or {}).items() if value}
        for name, value in (tagging.resource_tags(resource_arn) or {}).items():
            context[f"aws:ResourceTag/{name}"] = value
        record(
            who=str(getattr(principal, "arn", "")).rpartition(":")[2],
            action=iam_action,
            resource=resource_arn,
            context=context,
            allowed=answer is None,
        )
        return answer

    return asked


def named_by(actions: Any) -> Callable[..., str]:
    """Return the emulator's `extract_resource_arn`, which also finds what the two calls name."""
    extract: Callable[..., str] = actions.extract_resource_arn
    formation = importlib.import_module("ministack.services.cloudformation")

    def found(service: str, *of: Any) -> str:
        resource = extract(service, *of)
        body, query, region, account = of[-4:]
        if resource != "*":
            return resource
        if service == "ecr" and b"repositoryNames" in body:
            name = json.loads(body)["repositoryNames"][0]
            return f"arn:aws:ecr:{region}:{account}:repository/{name}"
        if service == "cloudformation" and "ChangeSetName" in query:
            named = query["ChangeSetName"]
            change_set = formation._change_sets.get(named[0] if isinstance(named, list) else named)
            if change_set:
                stack = change_set["StackName"]
                return f"arn:aws:cloudformation:{region}:{account}:stack/{stack}/*"
        return resource

    return found


def main() -> None:
    """Run ministack."""
    actions = importlib.import_module("ministack.core.iam_actions")
    actions.__dict__["extract_resource_arn"] = named_by(actions)
    evaluator = importlib.import_module("ministack.core.iam_evaluator")
    application = importlib.import_module("ministack.app")
    evaluator.__dict__["enforce"] = recorded(evaluator, Record(sys.argv.pop(1)))
    application.main()


if __name__ == "__main__":
    main()
