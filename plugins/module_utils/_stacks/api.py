# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the calls to CloudFormation, one a method."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import answers
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.events import event_record
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import Stack, stack_of

_EVENT_PAGES = 50
_DENIED = ("AccessDenied", "AccessDeniedException")


class OvertakenError(Exception):
    """Somebody else changed the stack between our reading it and a call."""


class DeniedError(MlflowError):
    """The credentials may not read a stack, or not all of them."""


class StackApi:
    """The stacks of one account and region; every method raises MlflowError with one sentence.

    A stack is named by its name, or by its id where a deleted one may be meant.
    """

    def __init__(self, params: t.Mapping[str, t.Any]) -> None:
        """Connect; params are the options of _aws.ARGUMENTS."""
        self._params = params
        self._cloudformation = _aws.client(params, "cloudformation")
        self.region = str(self._cloudformation.meta.region_name)

    def account(self) -> str:
        """Return the ID of the account that the credentials belong to."""
        return self.caller()[0]

    def caller(self) -> tuple[str, str]:
        """Return the account that the credentials belong to, and the ARN of their identity."""
        client = _aws.client(self._params, "sts")
        with _aws.explained("look up the AWS account of these credentials", client):
            answer = client.get_caller_identity()
        return str(answer["Account"]), str(answer["Arn"])

    def describe(self, stack: str) -> Stack | None:
        """Return a stack, or None where there is none."""
        with self._denied(), self._explained("read", stack):
            try:
                answer = self._cloudformation.describe_stacks(StackName=stack)
            except self._cloudformation.exceptions.ClientError as error:
                if _aws.error_code(error) == "ValidationError" and "does not exist" in str(error):
                    return None
                raise
        return stack_of(answer["Stacks"][0])

    def stacks(self) -> list[Stack]:
        """Return all stacks of the account and region; raises DeniedError too."""
        doing = "list the CloudFormation stacks"
        with self._denied(), _aws.explained(doing, self._cloudformation):
            pages = self._cloudformation.get_paginator("describe_stacks").paginate()
            return [stack_of(entry) for page in pages for entry in page["Stacks"]]

    def template(self, stack: str) -> t.Any:
        """Return a stack's template as it was sent, as text or, from JSON, as content."""
        with self._explained("read the template of", stack):
            answer = self._cloudformation.get_template(StackName=stack, TemplateStage="Original")
        return answer["TemplateBody"]

    def events(self, stack_id: str, seen: str = "") -> list[dict[str, t.Any]]:
        """Return the records of a stack's events after the one whose id was seen, oldest first.

        Raises OvertakenError if the stack is gone: an empty one that another operator replaced.
        """
        found: list[dict[str, t.Any]] = []
        more: dict[str, str] = {}
        with self._explained("read the events of", stack_id), self._overtaken():
            for _page in range(_EVENT_PAGES):
                answer = self._cloudformation.describe_stack_events(StackName=stack_id, **more)
                for event in answer["StackEvents"]:
                    if event["EventId"] == seen:
                        return found[::-1]
                    found.append(event_record(event))
                if not answer.get("NextToken"):
                    break
                more = {"NextToken": answer["NextToken"]}
        return found[::-1]

    def last_event(self, stack_id: str) -> str:
        """Return the id of a stack's newest event; somebody else may have deleted the stack."""
        with self._explained("read the events of", stack_id), self._overtaken():
            answer = self._cloudformation.describe_stack_events(StackName=stack_id)
        return str(answer["StackEvents"][0]["EventId"]) if answer["StackEvents"] else ""

    def failed_validation(self, **of: str) -> str:
        """Return what an early validation objects to, as part of a sentence; empty if unknown.

        of is the StackName or the ChangeSetName. boto3 before 1.41 does not know the call.
        """
        describe = getattr(self._cloudformation, "describe_events", None)
        if describe is None:
            return ""
        with self._explained("read what AWS objects to in", *of.values()):
            answer = describe(Filters={"FailedEvents": True}, **of)
        for event in answer.get("OperationEvents", []):
            reason = answers.tidy(event.get("ValidationStatusReason"))
            if event.get("EventType") == "VALIDATION_ERROR" and reason:
                resource = event.get("LogicalResourceId", "the template")
                return f"{resource} ({event.get('ResourceType', '')}): {reason}"
        return ""

    def retained(self, stack_id: str) -> list[dict[str, str]]:
        """Return the resources that a rollback left in the account."""
        return [
            {key: entry[key] for key in ("logical_id", "physical_id", "type")}
            for entry in self.resources(stack_id)
            if entry["status"] == "DELETE_SKIPPED"
        ]

    def resources(self, stack_id: str) -> list[dict[str, str]]:
        """Return the resources of a stack, with their status."""
        with self._explained("read the resources of", stack_id):
            pages = self._cloudformation.get_paginator("list_stack_resources")
            return [
                {
                    "logical_id": entry["LogicalResourceId"],
                    "physical_id": entry.get("PhysicalResourceId", ""),
                    "type": entry["ResourceType"],
                    "status": entry["ResourceStatus"],
                }
                for page in pages.paginate(StackName=stack_id)
                for entry in page["StackResourceSummaries"]
            ]

    def change_sets(self, stack: str) -> list[str]:
        """Return the names of the change sets that wait for a stack."""
        with self._explained("read the change sets of", stack):
            answer = self._cloudformation.list_change_sets(StackName=stack)
        return [entry["ChangeSetName"] for entry in answer["Summaries"]]

    def change_set_tags(self, stack: str) -> list[dict[str, str]]:
        """Return the tags that each change set that waits for a stack will give it."""
        with self._explained("read the change sets of", stack):
            answer = self._cloudformation.list_change_sets(StackName=stack)
            found = [
                self._cloudformation.describe_change_set(ChangeSetName=entry["ChangeSetId"])
                for entry in answer["Summaries"]
            ]
        return [{tag["Key"]: tag["Value"] for tag in entry.get("Tags", [])} for entry in found]

    def create_change_set(self, stack: str, **request: t.Any) -> tuple[str, str]:
        """Ask for a change set; return its id and the stack's."""
        with self._explained("create a change set for", stack), self._overtaken():
            answer = self._cloudformation.create_change_set(StackName=stack, **request)
        return answer["Id"], answer["StackId"]

    def change_set(self, change_set: str) -> dict[str, t.Any]:
        """Return a change set with all of its changes."""
        with self._explained("read", change_set), self._overtaken():
            answer = dict(self._cloudformation.describe_change_set(ChangeSetName=change_set))
            changes = list(answer.get("Changes", []))
            while answer.get("NextToken"):
                answer = self._cloudformation.describe_change_set(
                    ChangeSetName=change_set, NextToken=answer["NextToken"]
                )
                changes += answer.get("Changes", [])
        return {**answer, "Changes": changes}

    def execute(self, change_set: str, create: bool) -> None:
        """Carry a change set out; a first create that fails leaves nothing behind."""
        more = {"RetainExceptOnCreate": True} if create else {}
        with self._explained("execute", change_set), self._overtaken():
            self._cloudformation.execute_change_set(ChangeSetName=change_set, **more)

    def delete_change_set(self, change_set: str) -> None:
        """Delete a change set; one that is gone is no error."""
        gone = self._cloudformation.exceptions.ChangeSetNotFoundException
        with self._explained("delete", change_set), contextlib.suppress(gone):
            self._cloudformation.delete_change_set(ChangeSetName=change_set)

    def delete(self, stack_id: str) -> None:
        """Begin to delete a stack."""
        with self._explained("delete", stack_id), self._overtaken():
            self._cloudformation.delete_stack(StackName=stack_id)

    def protect(self, stack: str, wanted: bool) -> None:
        """Turn termination protection on or off."""
        with self._explained("set the termination protection of", stack):
            self._cloudformation.update_termination_protection(
                StackName=stack, EnableTerminationProtection=wanted
            )

    def _explained(self, doing: str, what: str) -> t.ContextManager[None]:
        """Turn errors of AWS into one sentence that names the stack or change set, shortly."""
        kind = "change set" if ":changeSet/" in what else "stack"
        name = what.split("/")[1] if what.startswith("arn:") else what
        return _aws.explained(f"{doing} {kind} '{name}'", self._cloudformation)

    @contextlib.contextmanager
    def _denied(self) -> t.Iterator[None]:
        """Raise DeniedError, with the same sentence, if AWS refuses a call for want of a right."""
        try:
            yield
        except MlflowError as error:
            cause = error.__context__
            if isinstance(cause, self._cloudformation.exceptions.ClientError) and (
                _aws.error_code(cause) in _DENIED
            ):
                raise DeniedError(str(error)) from None
            raise

    @contextlib.contextmanager
    def _overtaken(self) -> t.Iterator[None]:
        """Raise OvertakenError if AWS refuses only because somebody else was faster."""
        try:
            yield
        except self._cloudformation.exceptions.ClientError as error:
            if answers.is_overtaken(_aws.error_code(error), _aws.error_text(error)):
                raise OvertakenError(_aws.error_text(error)) from None
            raise
