# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stack needs, what is refused, and what AWS's answers become."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import (
    answers,
    checks,
    diff,
    foresight,
    loss,
    model,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import changes as change_sets
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import events as stack_events
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import info as stack_info
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import plan as plans
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import (
    projects as stack_projects,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks import stack as stacks

BODY = """
Parameters:
  Size: {Type: Number, Default: 4}
  DeletionProtection: {Type: String, Default: "false"}
Resources:
  Key: {Type: AWS::KMS::Key}
  Queue: {Type: AWS::SQS::Queue, Properties: {Delay: 1}}
"""
ARN = "arn:aws:cloudformation:eu-central-1:123456789012:stack/mlflow/1"


def wanted(**changes: Any) -> model.StackSpec:
    """Return a stack as wanted."""
    base: dict[str, Any] = {
        "name": "mlflow",
        "owner": "mlflow",
        "body": BODY,
        "given": {},
        "tags": {},
        "protection": None,
        "replace": [],
    }
    return model.StackSpec(**{**base, **changes})


def found(**changes: Any) -> stacks.Stack:
    """Return a stack as it is: made of BODY, and ours."""
    base: dict[str, Any] = {
        "name": "mlflow",
        "stack_id": ARN,
        "status": "CREATE_COMPLETE",
        "reason": "",
        "parameters": {"Size": "4", "DeletionProtection": "false"},
        "tags": {"mlflow_aws": "mlflow"},
        "outputs": {},
        "protected": False,
        "template": BODY,
    }
    return stacks.Stack(**{**base, **changes})


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("CREATE_COMPLETE", stacks.SETTLED),
        ("UPDATE_COMPLETE", stacks.SETTLED),
        ("UPDATE_ROLLBACK_COMPLETE", stacks.SETTLED),
        ("IMPORT_COMPLETE", stacks.SETTLED),
        ("REVIEW_IN_PROGRESS", stacks.SHELL),
        ("CREATE_IN_PROGRESS", stacks.BUSY),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", stacks.BUSY),
        ("DELETE_IN_PROGRESS", stacks.BUSY),
        ("ROLLBACK_COMPLETE", stacks.ROLLED_BACK),
        ("ROLLBACK_FAILED", stacks.ROLLED_BACK),
        ("DELETE_FAILED", stacks.BROKEN),
        ("UPDATE_ROLLBACK_FAILED", stacks.BROKEN),
        ("CREATE_FAILED", stacks.BROKEN),
        ("DELETE_COMPLETE", stacks.ABSENT),
    ],
)
def test_phases(status: str, phase: str) -> None:
    """Every status of CloudFormation has its place."""
    assert stacks.phase(found(status=status)) == phase


def test_absent_phase() -> None:
    """None is one, too."""
    assert stacks.phase(None) == stacks.ABSENT


@pytest.mark.parametrize(
    ("want", "is_", "action", "changed"),
    [
        ({}, {}, model.KEEP, []),
        ({"body": f"# Hello\n{BODY}"}, {}, model.KEEP, []),
        ({"given": {"Size": 4}}, {}, model.KEEP, []),
        ({"given": {"Size": 5}}, {}, model.UPDATE, ["Size"]),
        (
            {"given": {"Size": None}},
            {"parameters": {"Size": "9"}},
            model.UPDATE,
            ["DeletionProtection"],
        ),
        ({"body": BODY.replace("Delay: 1", "Delay: 2")}, {}, model.UPDATE, []),
        ({"tags": {"team": "ml"}}, {}, model.UPDATE, []),
        ({}, {"tags": {"mlflow_aws": "mlflow", "old": "1"}}, model.UPDATE, []),
        ({}, {"tags": {"mlflow_aws": "mlflow", "aws:x": "1"}}, model.KEEP, []),
        ({"protection": True}, {}, model.UPDATE, ["DeletionProtection"]),
    ],
)
def test_plan_of_a_stack_that_is_there(
    want: dict[str, Any], is_: dict[str, Any], action: str, changed: list[str]
) -> None:
    """Only what is asked for and differs is an update."""
    plan = plans.plan(wanted(**want), found(**is_))
    assert plan.action == action
    assert list(plan.changed_parameters) == changed


@pytest.mark.parametrize(
    "stack", [None, found(status="ROLLBACK_COMPLETE"), found(status="REVIEW_IN_PROGRESS")]
)
def test_plan_of_a_first_create(stack: stacks.Stack | None) -> None:
    """Protection comes later, so that a rollback can delete what it made."""
    plan = plans.plan(wanted(protection=True), stack)
    assert plan.action == model.CREATE
    assert plan.values == {"Size": "4", "DeletionProtection": "false"}
    assert plan.protect is True
    assert plan.tags == {"mlflow_aws": "mlflow"}
    after = diff.difference(wanted(protection=True), stack, plan, [])["after"]
    assert after["termination_protection"] is True
    assert after["parameters"]["DeletionProtection"] == "true"
    assert plans.plan(wanted(), stack).protect is None
    assert plans.plan(wanted(protection=False), stack).protect is None


@pytest.mark.parametrize(
    ("protection", "protected", "protect"),
    [
        (None, True, None),
        (None, False, None),
        (True, True, None),
        (True, False, True),
        (False, True, False),
        (False, False, None),
    ],
)
def test_termination_protection(
    protection: bool | None, protected: bool, protect: bool | None
) -> None:
    """It changes only where it is asked for and differs."""
    plan = plans.plan(wanted(protection=protection), found(protected=protected))
    assert plan.protect is protect


def test_protection_is_asked_for_once() -> None:
    """Not in two ways that disagree."""
    agreed = wanted(protection=True, given={"DeletionProtection": True})
    assert plans.plan(agreed, found()).values["DeletionProtection"] == "true"
    with pytest.raises(MlflowError, match="'DeletionProtection' is false and protection is true"):
        plans.plan(wanted(protection=True, given={"DeletionProtection": "false"}), found())


def test_a_template_is_reused_unless_it_is_transformed() -> None:
    """CloudFormation would keep what it made of the old parameters."""
    assert plans.plan(wanted(given={"Size": 5}), found()).reuse_template
    body = f"Transform: AWS::LanguageExtensions\n{BODY}"
    plan = plans.plan(wanted(body=body, given={"Size": 5}), found(template=body))
    assert not plan.reuse_template


@pytest.mark.parametrize(
    "name", ["demo", "a-b", "a" * 40, "churn-of-our-dear-customers-of-2026", "a-1-b-2"]
)
def test_project_items(name: str) -> None:
    """A name survives; where its database user is another, that stands beside it."""
    item = stack_projects.project_item(name)
    assert item.isalnum()
    assert stack_projects.project_name(item) == name
    assert stack_projects.project_item("a-b") == "aXb"
    assert stack_projects.project_item("a" * 40).startswith(f"{'a' * 40}Y{'a' * 12}XX")


def test_foreseen_outputs() -> None:
    """What the filters that come after need to know of a project that is not there yet."""
    outputs = stack_projects.foreseen_outputs(["a-b"])
    assert list(outputs) == ["ProjectaXb"]
    assert json.loads(outputs["ProjectaXb"])["name"] == "a-b"
    assert set(stack_projects.projects_of(outputs)) == {"a-b"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (BODY, []),
        (BODY.replace("Delay: 1", "Delay: 2"), [("Modify", "Queue", "unknown", ["Delay"])]),
        (BODY.replace("AWS::SQS::Queue", "AWS::SNS::Topic"), [("Modify", "Queue", "yes", [])]),
        (f"{BODY}  More: {{Type: T}}\n", [("Add", "More", "no", [])]),
        (BODY.replace("Key:", "Other:"), [("Remove", "Key", "no", []), ("Add", "Other", "no", [])]),
    ],
)
def test_foreseen_changes(body: str, expected: list[tuple[Any, ...]]) -> None:
    """From the templates alone."""
    plan = plans.plan(wanted(body=body), found())
    made = foresight.foreseen_changes(wanted(body=body), found(), plan)
    told = [
        (change["action"], change["logical_id"], change["replacement"], change["properties"])
        for change in made
    ]
    assert told == expected


def test_a_stack_that_goes() -> None:
    """All of its resources, and nothing after it; one that holds no resource by now is named."""
    goes = model.REMOVAL
    made = foresight.foreseen_changes(wanted(), found(), goes)
    assert [(entry["action"], entry["logical_id"]) for entry in made] == [
        ("Remove", "Key"),
        ("Remove", "Queue"),
    ]
    assert change_sets.removed(made) == {"Key", "Queue"}
    told = diff.difference(wanted(), found(), goes, made)
    assert told["before"]["stack"] == "mlflow"
    assert told["before"]["resources"] == {"Key": "AWS::KMS::Key", "Queue": "AWS::SQS::Queue"}
    assert told["after"] == {"stack": "", "parameters": {}, "tags": {}, "resources": {}}
    broken = found(status="DELETE_FAILED")
    assert diff.difference(wanted(), broken, goes, [])["before"]["stack"] == "mlflow"


def change(
    name: str, kind: str, action: str = "Modify", replacement: str = "False", *details: Any
) -> Any:
    """Return a change as DescribeChangeSet tells it."""
    entry: dict[str, Any] = {"Action": action, "LogicalResourceId": name, "ResourceType": kind}
    if action == "Modify":
        entry |= {"Replacement": replacement, "Details": list(details), "PhysicalResourceId": "x"}
    return {"Type": "Resource", "ResourceChange": entry}


def detail(name: str, recreation: str, evaluation: str = "Static", cause: str = "") -> Any:
    """Return a reason for a change as DescribeChangeSet tells it."""
    source = "ResourceAttribute" if cause else "DirectModification"
    target = {"Attribute": "Properties", "Name": name, "RequiresRecreation": recreation}
    return {
        "Target": target,
        "Evaluation": evaluation,
        "ChangeSource": source,
        **({"CausingEntity": cause} if cause else {}),
    }


CLUSTER, BUCKET, KEY = "AWS::RDS::DBCluster", "AWS::S3::Bucket", "AWS::KMS::Key"
OPEN_NAME = detail("BucketName", "Conditionally")
OPEN_RULES = detail("LifecycleConfiguration", "Conditionally")
OF_KEY = detail("KmsKeyId", "Always", "Dynamic", "Key.Arn")


@pytest.mark.parametrize(
    ("entries", "lost"),
    [
        ([change("Cluster", CLUSTER, "Add"), change("Key", KEY, "Add")], ""),
        ([change("Cluster", CLUSTER, "Modify", "False", detail("Port", "Never"))], ""),
        (
            [change("Cluster", CLUSTER, "Modify", "True", detail("DatabaseName", "Always"))],
            "would replace Cluster (AWS::RDS::DBCluster) because of DatabaseName",
        ),
        (
            [change("Bucket", BUCKET, "Modify", "Conditional", OPEN_NAME)],
            "may replace Bucket (AWS::S3::Bucket) because of BucketName",
        ),
        # What AWS changes in place, where a change set leaves it open.
        ([change("Bucket", BUCKET, "Modify", "Conditional", OPEN_RULES)], ""),
        (
            [change("Key", KEY, "Modify", "Conditional", detail("KeyPolicy", "Conditionally"))],
            "",
        ),
        (
            [change("Cluster", CLUSTER, "Modify", "Conditional", detail("Port", "Conditionally"))],
            "",
        ),
        (
            [change("Bucket", BUCKET, "Modify", "Conditional", OPEN_RULES, OPEN_NAME)],
            "may replace Bucket (AWS::S3::Bucket) because of BucketName, LifecycleConfiguration",
        ),
        # AWS is believed where it is sure, and where it does not say which property it is.
        (
            [change("Bucket", BUCKET, "Modify", "True", detail("NewProperty", "Always"))],
            "would replace Bucket (AWS::S3::Bucket) because of NewProperty",
        ),
        (
            [change("Bucket", BUCKET, "Modify", "Conditional", detail("", "Conditionally"))],
            "may replace Bucket (AWS::S3::Bucket) because of Properties",
        ),
        (
            [
                change(
                    "Cluster", CLUSTER, "Modify", "Conditional", detail("Engine", "Conditionally")
                )
            ],
            "may replace Cluster (AWS::RDS::DBCluster) because of Engine",
        ),
        (
            [change("Bucket", BUCKET, "Modify", "Conditional")],
            "may replace Bucket (AWS::S3::Bucket)",
        ),
        ([change("Key", KEY, "Remove")], "would remove Key (AWS::KMS::Key)"),
        # The cluster refers to a key whose policy changes, but which stays.
        (
            [
                change("Cluster", CLUSTER, "Modify", "Conditional", OF_KEY),
                change("Key", KEY, "Modify", "False", detail("KeyPolicy", "Never")),
            ],
            "",
        ),
        # The key refers to something that may go, so it may be replaced, and with it the cluster.
        (
            [
                change("Cluster", CLUSTER, "Modify", "Conditional", OF_KEY),
                change(
                    "Key",
                    KEY,
                    "Modify",
                    "Conditional",
                    detail("X", "Always", "Dynamic", "Topic.Arn"),
                ),
                change("Topic", "AWS::SNS::Topic", "Modify", "True", detail("TopicName", "Always")),
            ],
            (
                "may replace Cluster (AWS::RDS::DBCluster) because of KmsKeyId and may replace Key "
                "(AWS::KMS::Key) because of X"
            ),
        ),
        # The same where what they refer to stays.
        (
            [
                change("Cluster", CLUSTER, "Modify", "Conditional", OF_KEY),
                change(
                    "Key",
                    KEY,
                    "Modify",
                    "Conditional",
                    detail("X", "Always", "Dynamic", "Topic.Arn"),
                ),
                change("Topic", "AWS::SNS::Topic", "Modify", "False", detail("Tags", "Never")),
            ],
            "",
        ),
        # Nothing else holds what cannot be made again.
        ([change("Queue", "AWS::SQS::Queue", "Modify", "True", detail("Name", "Always"))], ""),
        ([change("Role", "AWS::IAM::Role", "Remove")], ""),
    ],
)
def test_loss_is_refused(entries: list[Any], lost: str) -> None:
    """A replaced or removed cluster, bucket or key, unless it is allowed by name."""
    made = change_sets.change_records(entries)
    if not lost:
        loss.refuse_loss("mlflow", made, [])
        return
    with pytest.raises(MlflowError) as caught:
        loss.refuse_loss("mlflow", made, [])
    assert str(caught.value).startswith(
        f"Changing stack 'mlflow' {lost}, and its data would be lost"
    )
    assert caught.value.details["changes"] == made
    loss.refuse_loss("mlflow", made, [entry["logical_id"] for entry in made])


def test_changes_are_told_by_name() -> None:
    """In an order that does not depend on AWS."""
    made = change_sets.change_records(
        [change("B", "T", "Add"), change("A", "T", "Modify", "True", detail("P", "Always"))]
    )
    assert made[0] == {
        "action": "Modify",
        "logical_id": "A",
        "physical_id": "x",
        "type": "T",
        "replacement": "yes",
        "properties": ["P"],
    }
    assert made[1]["logical_id"] == "B"


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        (found(tags={}), "it has no tag mlflow_aws"),
        (found(tags={"mlflow_aws": "other"}), "its tag mlflow_aws is 'other'"),
    ],
)
def test_foreign_stacks(stack: stacks.Stack, expected: str) -> None:
    """Whose tag is missing or another's."""
    with pytest.raises(
        MlflowError, match=f"exists but is not managed here .{expected}.; choose another name"
    ):
        checks.require_ours(stack, "mlflow")
    checks.require_ours(found(), "mlflow")


def test_foreign_change_sets() -> None:
    """A stack that others announced is theirs."""
    checks.require_our_shell("mlflow", ["mlflow-aws-0123"])
    checks.require_our_shell("mlflow", [])
    with pytest.raises(MlflowError, match=r"somebody else's change set \(theirs\)"):
        checks.require_our_shell("mlflow", ["mlflow-aws-0123", "theirs"])


def event(
    name: str, status: str, reason: str = "", kind: str = "AWS::SQS::Queue", **more: Any
) -> Any:
    """Return an event as DescribeStackEvents tells it, as our record."""
    return stack_events.event_record(
        {
            "EventId": f"{name}-{status}",
            "Timestamp": datetime.datetime(2026, 11, 24, 12, 3, 11, tzinfo=datetime.UTC),
            "LogicalResourceId": name,
            "ResourceType": kind,
            "ResourceStatus": status,
            "ResourceStatusReason": reason,
            **more,
        }
    )


STACK = "AWS::CloudFormation::Stack"


def test_the_first_failure_is_told() -> None:
    """Not what AWS cancelled because of it, nor the stack's own summary."""
    events = [
        event("mlflow", "CREATE_IN_PROGRESS", "User Initiated", STACK),
        event("A", "CREATE_FAILED", "Resource creation cancelled"),
        event(
            "B",
            "CREATE_FAILED",
            'Resource handler returned message: "No room. " (RequestToken: 1-2)',
        ),
        event("C", "CREATE_FAILED", "Late"),
        event("mlflow", "CREATE_FAILED", "The following resource(s) failed to create: [B].", STACK),
    ]
    failure = stack_events.first_failure(events)
    assert failure is not None
    assert stack_events.describe_failure(failure) == "B (AWS::SQS::Queue) CREATE_FAILED: No room"
    assert stack_events.first_failure(events[:1]) is None
    only = stack_events.first_failure([event("mlflow", "CREATE_FAILED", "No such output", STACK)])
    assert only is not None
    assert stack_events.describe_failure(only) == "No such output"


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (None, ""),
        ("Plain.", "Plain"),
        (
            (
                'Resource handler returned message: "Role x exists (Service: Iam, Status Code: 409, Request ID: '
                '1-2)" (RequestToken: 3, HandlerErrorCode: AlreadyExists)'
            ),
            "Role x exists",
        ),
        ("Taken (Service: Amazon S3; Status Code: 409; Request ID: A; Proxy: null)", "Taken"),
        ("Two\n lines", "Two lines"),
    ],
)
def test_reasons_are_tidied(reason: str | None, expected: str) -> None:
    """On one line, without ids that help nobody."""
    assert answers.tidy(reason) == expected


def test_a_denied_resource_is_named() -> None:
    """As for a call."""
    reason = (
        'Resource handler returned message: "User: arn:aws:iam::1:user/a is not authorized to perform: '
        'kms:CreateKey because no identity-based policy allows it" (RequestToken: 1, HandlerErrorCode: X)'
    )
    told = stack_events.describe_failure(event("Key", "CREATE_FAILED", reason, KEY))
    assert told == (
        "Key (AWS::KMS::Key) CREATE_FAILED: AWS denied kms:CreateKey to arn:aws:iam::1:user/a (no identity-based "
        "policy)"
    )


def test_the_end_and_the_place_of_an_operation() -> None:
    """Told by the stack's own events."""
    own = {"kind": STACK, "PhysicalResourceId": ARN}
    begun = [event("mlflow", "UPDATE_IN_PROGRESS", **own), event("A", "UPDATE_IN_PROGRESS")]
    assert stack_events.end_status(begun, ARN) == ""
    assert stack_events.current_resource(begun) == ", at A (AWS::SQS::Queue UPDATE_IN_PROGRESS)"
    failed = [*begun, event("A", "UPDATE_FAILED", "No"), event("mlflow", "UPDATE_FAILED", **own)]
    assert stack_events.end_status(failed, ARN) == ""
    back = [*failed, event("mlflow", "UPDATE_ROLLBACK_COMPLETE", **own)]
    assert stack_events.end_status(back, ARN) == "UPDATE_ROLLBACK_COMPLETE"
    assert stack_events.end_status(back, "another") == ""
    assert stack_events.current_resource(back) == ""
    assert stack_events.event_line(failed[2]) == "12:03:11 UPDATE_FAILED AWS::SQS::Queue A: No"


def test_a_broken_stack_is_refused_with_its_cause() -> None:
    """And with what ends it."""
    events = [event("Cluster", "UPDATE_FAILED", "Stuck", CLUSTER)]
    with pytest.raises(MlflowError) as caught:
        checks.require_usable(found(status="UPDATE_ROLLBACK_FAILED"), events)
    assert str(caught.value) == (
        "Stack 'mlflow' is in status UPDATE_ROLLBACK_FAILED (Cluster (AWS::RDS::DBCluster) UPDATE_FAILED: Stuck) "
        "and cannot be changed; fix that resource and run 'aws cloudformation continue-update-rollback'."
    )
    checks.require_usable(found(), [])


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        ("ChangeSetNotFound", "", True),
        ("InvalidChangeSetStatus", "", True),
        (
            "ValidationError",
            "Stack:arn is in UPDATE_IN_PROGRESS state and can not be updated",
            True,
        ),
        ("ValidationError", "Stack [x] already exists and cannot be created again", True),
        ("ValidationError", "Parameter X does not exist in the template", False),
        ("AccessDenied", "Stack is in UPDATE_IN_PROGRESS", False),
    ],
)
def test_overtaken(code: str, text: str, expected: bool) -> None:
    """Somebody else was faster, which is no error."""
    assert answers.is_overtaken(code, text) is expected


def test_unchanged() -> None:
    """AWS calls it a failure."""
    assert answers.is_unchanged("The submitted information didn't contain changes. Submit")
    assert answers.is_unchanged("No updates are to be performed.")
    assert not answers.is_unchanged("Parameter X is missing")


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        (None, "is not deployed in eu-central-1; deploy it first"),
        (found(status="ROLLBACK_COMPLETE"), "is in status ROLLBACK_COMPLETE in eu-central-1"),
        (found(status="CREATE_IN_PROGRESS"), "is in status CREATE_IN_PROGRESS"),
        (found(status="UPDATE_IN_PROGRESS"), ""),
        (found(), ""),
    ],
)
def test_deployed(stack: stacks.Stack | None, expected: str) -> None:
    """A stack that is being updated has outputs; one that is being made has none."""
    if not expected:
        checks.require_deployed("mlflow", stack, "eu-central-1")
        return
    with pytest.raises(MlflowError, match=f"Stack 'mlflow' {expected}"):
        checks.require_deployed("mlflow", stack, "eu-central-1")


@pytest.mark.parametrize("name", ["mlflow", "A-1", "x" * 128])
def test_names(name: str) -> None:
    """Those that CloudFormation takes."""
    checks.require_name(name)


@pytest.mark.parametrize("name", ["", "1a", "a_b", "x" * 129, "a b", "a\n"])
def test_bad_names(name: str) -> None:
    """And those that it does not."""
    with pytest.raises(MlflowError, match="is not a valid stack name"):
        checks.require_name(name)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"MinCapacity": 0, "SecondsUntilAutoPause": 600},
            ["after 600 seconds without a connection"],
        ),
        ({"MinCapacity": 0.5}, []),
        ({"MinCapacity": 0, "ExistingDatabaseEndpoint": "db"}, []),
    ],
)
def test_notes(given: dict[str, Any], expected: list[str]) -> None:
    """What auto-pause needs is said where it is on."""
    body = """
Parameters:
  MinCapacity: {Type: Number, Default: 1}
  SecondsUntilAutoPause: {Type: Number, Default: 300}
  ExistingDatabaseEndpoint: {Type: String, Default: ""}
Resources: {A: {Type: T}}
"""
    told = plans.notes(plans.plan(wanted(body=body, given=given), None))
    assert len(told) == len(expected)
    assert all(text in note for text, note in zip(expected, told, strict=True))


def test_found_and_info() -> None:
    """What DescribeStacks tells, and the record for the module's result."""
    stack = stacks.stack_of(
        {
            "StackName": "mlflow",
            "StackId": ARN,
            "StackStatus": "CREATE_COMPLETE",
            "Parameters": [{"ParameterKey": "Size", "ParameterValue": "4"}],
            "Tags": [{"Key": "mlflow_aws", "Value": "mlflow"}],
            "Outputs": [
                {"OutputKey": "ProjectaXb", "OutputValue": '{"name": "a-b", "role": "r"}'},
                {"OutputKey": "VpcId", "OutputValue": "vpc-1"},
            ],
            "EnableTerminationProtection": True,
        }
    )
    info = stack_info.info(stack)
    assert info["exists"]
    assert stack_projects.projects_of(info["outputs"]) == {"a-b": {"name": "a-b", "role": "r"}}
    assert info["protected"]
    assert info["parameters"] == {"Size": "4"}
    assert stack_info.info(None)["status"] == "ABSENT"


def test_what_is_guarded_is_known() -> None:
    """Of each type that holds data it is known what replaces it."""
    assert set(change_sets.REPLACING) == set(loss.GUARDED_TYPES)
