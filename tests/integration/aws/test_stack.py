# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mlflow_stack and mlflow_stack_info against a real ministack, which keeps CloudFormation's life cycle."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.api import StackApi
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.manager import converge
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.model import StackSpec
from ansible_collections.mlops.mlflow_aws.tests.parts.clock import Clock
from ansible_collections.mlops.mlflow_aws.tests.parts.clock import clock as make_clock
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Problem
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import (
    ACCOUNT,
    REGION,
    Ministack,
    ministack,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.host import OPENER, Modules, await_
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, run

PLAYBOOK = Path(sys.prefix) / "bin" / "ansible-playbook"

pytestmark = pytest.mark.timeout(300)


def template(*more: str, **properties: str) -> str:
    """Return a template with a bucket, a queue and a flag; more are lines for Resources."""
    bucket = "".join(f"      {key}: {text}\n" for key, text in properties.items())
    return (
        """
Parameters:
  Seconds: {Type: Number, Default: 30, MaxValue: 300}
  Names: {Type: CommaDelimitedList, Default: ""}
  DeletionProtection: {Type: String, Default: "false", AllowedValues: ["true", "false"]}
Resources:
  Bucket:
    Type: AWS::S3::Bucket
    Properties:
      Tags: []
"""
        + bucket
        + """
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: {Ref: Seconds}
  Flag:
    Type: AWS::SSM::Parameter
    Properties: {Type: String, Value: {Ref: DeletionProtection}}
"""
        + "\n".join(more)
        + """
Outputs:
  ArtifactBucket:
    Value: {Ref: Bucket}
"""
    )


# A bucket of a name that another account has taken, after others were made.
FAILING = "  Taken: {Type: AWS::S3::Bucket, DependsOn: Flag, Properties: {BucketName: taken}}"
# The stack waits for a signal that nobody sends.
SLOW = """
  Handle: {Type: AWS::CloudFormation::WaitConditionHandle}
  Wait:
    Type: AWS::CloudFormation::WaitCondition
    DependsOn: Flag
    Properties: {Handle: {Ref: Handle}, Timeout: "SECONDS"}
"""


@pytest.fixture(scope="module")
def aws(
    free_ports: Callable[[int], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ministack]:
    """Return a ministack without access control."""
    with ministack(free_ports(1)[0], tmp_path_factory.mktemp("aws")) as server:
        place = {"LocationConstraint": REGION}
        other = server.client("s3", "111111111111", "test")
        other.create_bucket(Bucket="taken", CreateBucketConfiguration=place)
        yield server


@pytest.fixture(scope="module")
def guarded_aws(
    free_ports: Callable[[int], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ministack]:
    """Return a ministack that enforces IAM."""
    with ministack(free_ports(1)[0], tmp_path_factory.mktemp("aws"), auth=True) as server:
        yield server


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[Clock]:
    """Return a clock for modules to go by."""
    with ExitStack() as stack:
        try:
            made = stack.enter_context(make_clock(tmp_path))
        except Problem as problem:
            pytest.fail(str(problem), pytrace=False)
        yield made


class Stack:
    """One stack on a ministack, by our modules and by plain boto3."""

    def __init__(self, modules: Modules, aws: Ministack, name: str) -> None:
        """Keep them; the modules run with the Python that has boto3."""
        self.modules = modules
        self.aws = aws
        self.name = name
        self.how: dict[str, Any] = {"python": sys.executable, **aws.environment()}
        self.cloudformation = aws.client("cloudformation")

    def options(self, body: str, **more: Any) -> dict[str, Any]:
        """Return the options of mlflow_stack."""
        return {"name": self.name, "template_body": body, **self.aws.options(), **more}

    def change(self, body: str, **more: Any) -> dict[str, Any]:
        """Run the module, which must succeed, after check mode foretold the same and left nothing."""
        before = self.traces()
        foretold = self.foretell(body, **more)
        assert self.traces() == before
        done = self.make(body, **more)
        assert done["changed"] == foretold["changed"]
        assert named(done) == named(foretold)
        return done

    def foretell(self, body: str, **more: Any) -> dict[str, Any]:
        """Run the module in check mode."""
        return self.modules.call(
            "mlflow_stack", self.options(body, **more), check=True, diff=True, **self.how
        )

    def make(self, body: str, **more: Any) -> dict[str, Any]:
        """Run the module, which must succeed."""
        return self.modules.call("mlflow_stack", self.options(body, **more), diff=True, **self.how)

    def refuse(self, body: str, check: bool = False, **more: Any) -> str:
        """Run the module, which must fail, and return its one sentence."""
        options = self.options(body, **more)
        return self.modules.refuse("mlflow_stack", options, check=check, **self.how)

    def start(self, body: str, **more: Any) -> Any:
        """Start the module and do not wait."""
        return self.modules.start("mlflow_stack", self.options(body, **more), **self.how)

    def status(self) -> str:
        """Return the stack's status as AWS tells it."""
        return str(self.description().get("StackStatus", ""))

    def description(self) -> dict[str, Any]:
        """Return what AWS tells of the stack."""
        stacks = self.cloudformation.describe_stacks()["Stacks"]
        found = [stack for stack in stacks if stack["StackName"] == self.name]
        return dict(found[0]) if found else {}

    def traces(self) -> object:
        """Return all that a look could leave: stacks, change sets, buckets and objects."""
        description = self.description()
        sets = []
        if description:
            answer = self.cloudformation.list_change_sets(StackName=self.name)
            sets = [entry["ChangeSetName"] for entry in answer["Summaries"]]
        s3 = self.aws.client("s3")
        buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
        keys = {name: s3.list_objects_v2(Bucket=name).get("KeyCount") for name in buckets}
        return description, sets, keys


@pytest.fixture
def stack(modules: Modules, aws: Ministack, request: pytest.FixtureRequest) -> Stack:
    """Return a stack of this test's own that is not there yet."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    return Stack(modules, aws, name[:60])


def named(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a result says is done to which resource."""
    return [(change["action"], change["logical_id"]) for change in result["changes"]]


def test_life_of_a_stack(stack: Stack) -> None:
    """Absent, created and protected, unchanged, updated; check mode tells each before."""
    body = template()
    made = stack.change(body, protection=True, tags={"team": "ml"})
    assert made["changed"]
    assert named(made) == [("Add", "Bucket"), ("Add", "Flag"), ("Add", "Queue")]
    description = stack.description()
    assert description["EnableTerminationProtection"]
    assert {tag["Key"]: tag["Value"] for tag in description["Tags"]} == {
        "team": "ml",
        "mlflow_aws": stack.name,
    }
    assert made["outputs"]["ArtifactBucket"]
    assert made["parameters"]["DeletionProtection"] == {"value": "true", "source": "given"}
    assert made["parameters"]["Seconds"]["value"] == "30"
    assert {event["status"] for event in made["events"]} >= {"CREATE_COMPLETE", "UPDATE_COMPLETE"}

    events = stack.cloudformation.describe_stack_events(StackName=stack.name)["StackEvents"]
    again = stack.change(body, protection=True, tags={"team": "ml"})
    assert not again["changed"]
    assert again["diff"] == {"before": {}, "after": {}}
    assert again["outputs"] == made["outputs"]
    after = stack.cloudformation.describe_stack_events(StackName=stack.name)["StackEvents"]
    assert after == events

    more = {"parameters": {"Seconds": 45, "Names": ["a", "b"]}, "tags": {"team": "ml"}}
    updated = stack.change(body, protection=True, **more)
    assert named(updated) == [("Modify", "Queue")]
    assert updated["changes"][0]["properties"] == ["VisibilityTimeout"]
    assert updated["diff"]["before"]["parameters"] == {"Seconds": "30", "Names": ""}
    assert updated["diff"]["after"]["parameters"] == {"Seconds": "45", "Names": "a,b"}

    # A parameter that is left out keeps its value; a comment in the template changes nothing.
    kept = stack.change("# Read me first\n" + body, protection=True, tags={"team": "ml"})
    assert not kept["changed"]
    assert kept["parameters"]["Seconds"] == {"value": "45", "source": "previous"}

    unprotected = stack.change(body, protection=False, tags={"team": "ml"})
    assert unprotected["changed"]
    assert not stack.description()["EnableTerminationProtection"]
    assert unprotected["parameters"]["DeletionProtection"]["value"] == "false"


def test_a_failed_create_names_its_cause_and_heals(stack: Stack) -> None:
    """The first resource that failed and AWS's reason; the next run deletes the rest and creates."""
    stuck = "  Kept: {Type: AWS::SQS::Queue, DeletionPolicy: Retain}"
    sentence = stack.refuse(template(stuck, FAILING), protection=True)
    assert re.search(
        rf"^Stack '{stack.name}' could not be created \(Taken.* already exists.* AWS rolled it back; fix "
        "the cause and rerun, which first deletes the empty stack\\.$",
        sentence,
    ), sentence
    assert stack.status() == "ROLLBACK_COMPLETE"

    first = stack.description()["StackId"]
    healed = stack.change(template(), protection=True)
    assert healed["healed"]
    assert healed["stack_id"] != first
    assert stack.status() == "UPDATE_COMPLETE"
    assert not stack.change(template(), protection=True)["changed"]


def test_a_failed_update_names_its_cause_and_is_undone(stack: Stack) -> None:
    """The stack is as before, and the next run goes on from there."""
    stack.make(template())
    sentence = stack.refuse(template(FAILING))
    assert f"Stack '{stack.name}' could not be updated (Taken" in sentence
    assert stack.status() == "UPDATE_ROLLBACK_COMPLETE"
    assert not stack.change(template())["changed"]
    assert stack.change(template(), parameters={"Seconds": 31})["changed"]


def test_leftover_of_a_killed_run(stack: Stack) -> None:
    """A stack that a change set only announced is created as if it were not there."""
    stack.cloudformation.create_change_set(
        StackName=stack.name,
        ChangeSetName="mlflow-aws-0123456789ab",
        ChangeSetType="CREATE",
        TemplateBody=template(),
    )
    assert stack.status() == "REVIEW_IN_PROGRESS"
    assert stack.change(template())["changed"]
    assert stack.status() == "CREATE_COMPLETE"


def test_a_killed_run_is_taken_up(stack: Stack) -> None:
    """A run that is killed while AWS works is finished by the next one."""
    slow = template(SLOW.replace("SECONDS", "300"))
    killed = stack.start(slow)
    await_(lambda: stack.status() == "CREATE_IN_PROGRESS", "the stack was not begun", 60)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=30)
    sentence = stack.refuse(slow, timeout=2)
    assert re.search(
        rf"Stack '{stack.name}' is still CREATE_IN_PROGRESS after 2 seconds.* another user or an "
        "earlier run; rerun later",
        sentence,
    ), sentence
    stack.cloudformation.delete_stack(StackName=stack.name)


@pytest.mark.parametrize("change", ["create", "update"])
def test_two_operators_at_once(stack: Stack, change: str) -> None:
    """One changes the stack, the other waits and finds nothing left to do."""
    if change == "update":
        stack.make(template())
    wait = template(SLOW.replace("SECONDS", "300"))
    both = [stack.start(wait, protection=True) for _operator in range(2)]
    await_(lambda: signal_waits(stack), "nothing waits for a signal", 60)
    time.sleep(3)
    send_signal(stack)
    results = [stack.modules.finish(process) for process in both]
    for result in results:
        assert not result.get("failed"), result
    assert stack.description()["EnableTerminationProtection"]
    assert not stack.change(wait, protection=True)["changed"]
    done = f"{change.upper()}_COMPLETE"
    events = stack.cloudformation.describe_stack_events(StackName=stack.name)["StackEvents"]
    ends = [event for event in events if event["LogicalResourceId"] == stack.name]
    made = [event for event in ends if event["ResourceStatus"] == done]
    # The emulator, unlike AWS, prepares a change set while the stack changes; then both do the same.
    assert len(made) in ((1,) if change == "create" else (1, 2))


class LateApi(StackApi):
    """Another operator is faster, just before a change set of ours is made."""

    def __init__(self, stack: Stack, body: str) -> None:
        """Take the stack, and the template that the other one brings it to."""
        super().__init__({"profile": "", **stack.aws.options()})
        self._stack, self._body = stack, body

    def create_change_set(self, stack: str, **request: Any) -> tuple[str, str]:
        """Let the other one do it first."""
        self._stack.make(self._body)
        return super().create_change_set(stack, **request)


def test_what_a_faster_operator_made_is_read(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was left to change, and the outputs are those of now, not of the first look."""
    for name, text in stack.aws.environment().items():
        monkeypatch.setenv(name, text)
    stack.make(template())
    extra = "  Extra: {Type: AWS::SQS::Queue}"
    body = template(extra) + "  Name:\n    Value: {'Fn::GetAtt': [Extra, QueueName]}\n"
    wanted = StackSpec(stack.name, stack.name, body, {}, {}, None, [])
    outcome = converge(
        LateApi(stack, body),
        lambda: pytest.fail("no bucket is needed"),
        wanted,
        timeout=60,
        check_mode=False,
        progress=lambda _line: None,
    )
    assert not outcome.changed
    assert outcome.stack
    assert set(outcome.stack.outputs) == {"ArtifactBucket", "Name"}


class ReplacedApi(StackApi):
    """Another operator asks for the same new stack, just before a change set of ours is carried out."""

    def __init__(self, stack: Stack) -> None:
        """Take the stack."""
        super().__init__({"profile": "", **stack.aws.options()})
        self._stack, self._replaced = stack, False

    def execute(self, change_set: str, create: bool) -> None:
        """Let the other one's request replace the empty stack, which AWS does not do but the emulator does."""
        if not self._replaced:
            self._replaced = True
            self._stack.cloudformation.create_change_set(
                StackName=self._stack.name,
                ChangeSetName="mlflow-aws-theirs",
                ChangeSetType="CREATE",
                TemplateBody=template(),
                Tags=[{"Key": "mlflow_aws", "Value": self._stack.name}],
            )
        super().execute(change_set, create)


def test_an_empty_stack_that_was_replaced_is_read_again(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stack that the run was watching is gone; the one of that name is brought to its state."""
    for name, text in stack.aws.environment().items():
        monkeypatch.setenv(name, text)
    wanted = StackSpec(stack.name, stack.name, template(), {}, {}, None, [])
    outcome = converge(
        ReplacedApi(stack),
        lambda: pytest.fail("no bucket is needed"),
        wanted,
        timeout=60,
        check_mode=False,
        progress=lambda _line: None,
    )
    assert outcome.changed
    assert stack.status() == "CREATE_COMPLETE"


def signal_waits(stack: Stack) -> bool:
    """Say whether the stack's wait condition is being waited for."""
    if not stack.description():
        return False
    events = stack.cloudformation.describe_stack_events(StackName=stack.name)["StackEvents"]
    return any(event["LogicalResourceId"] == "Wait" for event in events)


def send_signal(stack: Stack) -> None:
    """End the wait."""
    found = stack.cloudformation.describe_stack_resource(
        StackName=stack.name, LogicalResourceId="Handle"
    )
    url = found["StackResourceDetail"]["PhysicalResourceId"]
    body = json.dumps({"Status": "SUCCESS", "UniqueId": "1", "Data": "", "Reason": ""}).encode()
    with OPENER.open(Request(url, body, {"Content-Type": ""}, method="PUT"), timeout=30) as answer:
        assert answer.status == 200


def test_waiting_is_bounded_and_says_where_it_is(stack: Stack) -> None:
    """An operation of our own that takes too long."""
    sentence = stack.refuse(template(SLOW.replace("SECONDS", "300")), timeout=3)
    assert sentence.startswith(
        f"Stack '{stack.name}' was not ready within 3 seconds, at Wait (AWS::CloudFormation::WaitCondition "
        "CREATE_IN_PROGRESS); AWS continues with it"
    )
    stack.cloudformation.delete_stack(StackName=stack.name)


def test_progress_is_written_as_it_happens(stack: Stack, tmp_path: Path) -> None:
    """A line for each event, with time, status, type and name."""
    path = tmp_path / "events"
    stack.make(template(), progress_path=str(path))
    lines = path.read_text().splitlines()
    assert any(
        re.fullmatch(
            rf"\[{stack.name}\] \d\d:\d\d:\d\d CREATE_COMPLETE AWS::S3::Bucket Bucket", line
        )
        for line in lines
    ), lines


def test_a_foreign_stack_is_refused(stack: Stack) -> None:
    """One without our tag, one of another deployment, one that others are preparing."""
    stack.cloudformation.create_stack(StackName=stack.name, TemplateBody=template())
    for check in (True, False):
        assert stack.refuse(template(), check=check) == (
            f"Stack '{stack.name}' exists but is not managed here (it has no tag mlflow_aws); choose another name, or "
            f"set its tag mlflow_aws to '{stack.name}' to manage it here."
        )
    ours = Stack(stack.modules, stack.aws, f"{stack.name}-2")
    ours.make(template(), owner="one")
    assert "its tag mlflow_aws is 'one'" in ours.refuse(template(), owner="two")
    prepared = Stack(stack.modules, stack.aws, f"{stack.name}-3")
    prepared.cloudformation.create_change_set(
        StackName=prepared.name,
        ChangeSetName="theirs",
        ChangeSetType="CREATE",
        TemplateBody=template(),
    )
    assert "somebody else's change set (theirs)" in prepared.refuse(template())
    assert prepared.status() == "REVIEW_IN_PROGRESS"


def test_replacing_what_holds_data_is_refused(stack: Stack) -> None:
    """A bucket that would be replaced or removed, unless it is allowed by name."""
    stack.make(template())
    before = stack.traces()
    renamed = template(BucketName="renamed-for-good")
    for check in (True, False):
        sentence = stack.refuse(renamed, check=check)
        # AWS itself would be sure.
        assert sentence == (
            f"Changing stack '{stack.name}' may replace Bucket (AWS::S3::Bucket) because of BucketName, and "
            "its data would be lost; undo that in template or parameters, or save the data and allow it "
            "with replace: [Bucket]."
        )
    removed = renamed.replace("  Bucket:", "  Other:").replace("{Ref: Bucket}", "{Ref: Other}")
    assert "would remove Bucket (AWS::S3::Bucket)" in stack.refuse(removed)
    assert stack.traces() == before
    replaced = stack.change(renamed, replace=["Bucket"])
    assert replaced["changes"][0]["replacement"] == "maybe"
    assert replaced["outputs"]["ArtifactBucket"] == "renamed-for-good"


def test_what_aws_changes_in_place_is_no_loss(stack: Stack) -> None:
    """The emulator says of every property of a bucket that it may replace it; AWS of its name alone."""
    body = (CHECKOUT / "cloudformation" / "backend.yml").read_text()
    given = play_of(stack, [])["vars"]["mlflow_stack_parameters"]
    before = stack.make(body, parameters=given)["outputs"]["ArtifactBucket"]
    for parameters in ({"NoncurrentVersionDays": 7}, {"IntelligentTiering": "true"}):
        done = stack.change(body, parameters=given | parameters)
        (change,) = [item for item in done["changes"] if item["logical_id"] == "ArtifactBucket"]
        assert change["replacement"] == "no"
        assert done["outputs"]["ArtifactBucket"] == before
    sentence = stack.refuse(body, parameters=given | {"ArtifactBucketName": "another-one"})
    assert "replace ArtifactBucket (AWS::S3::Bucket) because of BucketName" in sentence


def test_a_template_with_a_transform_goes_through_a_bucket(stack: Stack) -> None:
    """However short it is: what AWS makes of it may be too long for a request, by the same limit."""
    bucket = f"transformed-{stack.name}"[:60].rstrip("-")
    body = f"Transform: AWS::LanguageExtensions\n{template()}"
    s3 = stack.aws.client("s3")
    assert stack.change(body, template_bucket=bucket)["changed"]
    objects = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [entry["Size"] for entry in objects] == [len(body)]
    # The same template with other parameters is taken from there again.
    assert stack.change(body, template_bucket=bucket, parameters={"Seconds": 31})["changed"]
    assert len(s3.list_objects_v2(Bucket=bucket)["Contents"]) == 1


def test_a_long_template_goes_through_a_bucket(stack: Stack) -> None:
    """Made where it is missing, private, and each template uploaded once."""
    filler = "#" * 60
    body = template() + f"{filler}\n" * 900
    s3 = stack.aws.client("s3")
    made = stack.change(body)
    assert made["changed"]
    bucket = f"mlflow-aws-cloudformation-{ACCOUNT}-{REGION}"
    objects = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [entry["Size"] for entry in objects] == [len(body)]
    closed = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert all(closed.values())
    assert not stack.change(body)["changed"]

    # Not uploaded for a look; parameters alone need no upload.
    stack.change(body, parameters={"Seconds": 33})
    assert len(s3.list_objects_v2(Bucket=bucket)["Contents"]) == 1
    stack.change(body + "\n", parameters={"Seconds": 34})
    longer = template("  More: {Type: AWS::SQS::Queue}") + f"{filler}\n" * 900
    grown = stack.change(longer)
    assert named(grown) == [("Add", "More")]
    assert len(s3.list_objects_v2(Bucket=bucket)["Contents"]) == 2
    sentence = stack.refuse(longer + "#" * 1_000_000)
    assert "bytes long, and the limit is 1000000" in sentence


def test_bad_parameters_are_refused_before_anything_is_asked(stack: Stack) -> None:
    """In check mode on an empty account, too."""
    for check in (True, False):
        sentence = stack.refuse(template(), check=check, parameters={"Second": 3})
        assert sentence == "The template has no parameter 'Second'; did you mean 'Seconds'?"
    assert "must be 300 or less" in stack.refuse(template(), parameters={"Seconds": 301})
    assert "must be a number" in stack.refuse(template(), parameters={"Seconds": "long"})
    sentence = stack.refuse("Resources: {A: {Ref: !Ref B}}")
    assert "not YAML in long form" in sentence
    assert stack.description() == {}


def test_what_only_aws_knows_leaves_no_shell(stack: Stack) -> None:
    """A template that AWS refuses leaves neither a stack nor a change set."""
    sentence = stack.refuse(template("  Odd: {Type: AWS::No::Such}"))
    assert sentence.startswith(f"Cannot create a change set for stack '{stack.name}': AWS answered")
    assert stack.description() == {}


def test_a_new_stack_of_projects_has_no_secrets(stack: Stack) -> None:
    """They come with the step of a move, and go with the next; what is there is left as it is."""
    body = (CHECKOUT / "cloudformation" / "projects.yml").read_text()
    values = {
        "Projects": ["aXb"],
        "BackendStackName": "team",
        "ArtifactBucket": "team-artifacts",
        "KmsKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1",
        "ServerRoleArn": f"arn:aws:iam::{ACCOUNT}:role/server",
        "DatabaseResourceId": "cluster-ABC",
    }

    def make(login: object) -> tuple[set[str], dict[str, Any]]:
        # The emulator's change sets list what a condition leaves out, too.
        made = stack.make(body, parameters={**values, "DatabaseLogin": login})
        answer = stack.cloudformation.list_stack_resources(StackName=stack.name)
        there = {
            entry["LogicalResourceId"]
            for entry in answer["StackResourceSummaries"]
            if entry["ResourceStatus"] != "DELETE_COMPLETE"
        }
        return there, json.loads(made["outputs"]["ProjectaXb"]) | {"changed": made["changed"]}

    foretold = stack.foretell(body, parameters={**values, "DatabaseLogin": {"create": "iam"}})
    assert named(foretold) == [("Add", "PolicyaXb"), ("Add", "RoleaXb")]
    there, project = make({"create": "iam"})
    assert there == {"PolicyaXb", "RoleaXb"}
    assert (project["login"], project["runtime_secret"]) == ("iam", "")
    assert make({"create": "password"})[1]["changed"] is False
    there, project = make("either")
    assert there == {"PolicyaXb", "RoleaXb", "RuntimeSecretaXb", "MigratorSecretaXb"}
    assert "RuntimeSecretaXb" in project["runtime_secret"]
    there, project = make("iam")
    assert there == {"PolicyaXb", "RoleaXb"}
    assert project["migrator_secret"] == ""
    sentence = stack.refuse(
        body, parameters={**values, "DatabaseLogin": "iam", "DatabaseResourceId": ""}
    )
    assert "A login with IAM needs the resource ID of the database" in sentence


def test_info(stack: Stack) -> None:
    """What is there and what is not, and a refusal where it is needed."""
    made = stack.make(template(), protection=True)
    options = {"names": [stack.name, "nobody"], **stack.aws.options()}
    read = stack.modules.call("mlflow_stack_info", options, **stack.how)
    assert read["changed"] is False
    assert (read["account"], read["region"]) == (ACCOUNT, REGION)
    assert read["stacks"]["nobody"] == {
        "exists": False,
        "status": "ABSENT",
        "stack_id": "",
        "outputs": {},
        "parameters": {},
        "tags": {},
        "protected": False,
    }
    found = read["stacks"][stack.name]
    assert found["outputs"] == made["outputs"]
    assert found["parameters"]["Seconds"] == "30"
    assert found["protected"]
    sentence = stack.modules.refuse("mlflow_stack_info", {**options, "required": True}, **stack.how)
    assert sentence.startswith(
        f"Stack 'nobody' is not deployed in region {REGION} of account {ACCOUNT}; deploy it first"
    )


def test_no_credentials(stack: Stack, tmp_path: Path) -> None:
    """None at all, and a profile that does not exist."""
    bare = {"python": sys.executable, "AWS_EC2_METADATA_DISABLED": "true"}
    sentence = stack.modules.refuse("mlflow_stack", stack.options(template()), **bare)
    assert sentence == (
        "Cannot look up the AWS account of these credentials: no AWS credentials were found; set a profile "
        "or AWS_PROFILE, or run on a host that has an instance profile."
    )
    sentence = stack.modules.refuse(
        "mlflow_stack", stack.options(template(), profile="nobody"), **bare
    )
    assert "there is no such AWS profile" in sentence
    config = tmp_path / "config"
    config.write_text("[default]\ncredential_process = /bin/false\n")
    sentence = stack.modules.refuse(
        "mlflow_stack", stack.options(template()), **bare, AWS_CONFIG_FILE=str(config)
    )
    assert "could not be fetched" in sentence


def test_no_region_and_no_endpoint(stack: Stack, free_ports: Callable[[int], list[int]]) -> None:
    """Which part of the connection is wrong."""
    options = stack.options(template())
    del options["region"]
    how = {key: text for key, text in stack.how.items() if key != "AWS_REGION"}
    sentence = stack.modules.refuse("mlflow_stack", options, **how)
    assert sentence.endswith(
        "no AWS region is set; set region, AWS_REGION, or a region in the profile."
    )
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
    sentence = stack.refuse(template(), endpoint_url=nowhere)
    assert f"{nowhere} is not reachable (no connection); check the endpoint" in sentence
    assert "write the endpoint as http" in stack.refuse(template(), endpoint_url="nowhere")
    assert "is not an AWS region" in stack.refuse(template(), region="Frankfurt am Main")


def test_denied_and_unknown_keys(modules: Modules, guarded_aws: Ministack) -> None:
    """The action that is denied and its resource are named, for a call and for a resource."""
    stack = Stack(modules, guarded_aws, "denied")
    stack.how |= guarded_aws.environment("AKIA0000000000000000", "x" * 40)
    sentence = stack.refuse(template())
    assert "AWS does not accept these credentials" in sentence

    stack.how |= guarded_aws.environment(*guarded_aws.user("reader", "sts:*"))
    sentence = stack.refuse(template())
    assert re.search(
        r"^Cannot read stack 'denied': AWS denied cloudformation:DescribeStacks to "
        r"arn:aws:iam::\d+:user/reader \(no identity-based policy\); allow that action, or use another "
        r"profile\.$",
        sentence,
    ), sentence
    keys = guarded_aws.user("maker", "*", deny=("cloudformation:ExecuteChangeSet",))
    stack.how |= guarded_aws.environment(*keys)
    assert "denied cloudformation:ExecuteChangeSet" in stack.refuse(template())


def test_a_wrong_clock_is_told(modules: Modules, guarded_aws: Ministack, clock: Clock) -> None:
    """An hour behind or ahead, by services that call it a wrong signature in XML and in JSON."""
    stack = Stack(modules, guarded_aws, "late")
    stack.how |= guarded_aws.environment(*guarded_aws.user("late", "*")) | clock.environment
    repository = {"name": "late", **guarded_aws.options()}
    for minutes, words in ((-60, "Signature expired"), (60, "Signature not yet current")):
        clock.set(minutes)
        for sentence in (
            stack.refuse(template()),
            modules.refuse("mlflow_ecr_repository", repository, **stack.how),
        ):
            assert f"this machine's clock is wrong ({words}: " in sentence
            assert sentence.endswith("); set it.")
    clock.set(0)
    assert stack.foretell(template())["changed"]


def test_what_was_revoked_is_told(modules: Modules, guarded_aws: Ministack) -> None:
    """A key that was switched off, and a role whose sessions were ended as AWS's console does."""
    iam, stack = guarded_aws.client("iam"), Stack(modules, guarded_aws, "revoked")
    key, secret = guarded_aws.user("leaver", "*")
    stack.how |= guarded_aws.environment(key, secret)
    assert stack.foretell(template())["changed"]
    iam.update_access_key(UserName="leaver", AccessKeyId=key, Status="Inactive")
    sentence = stack.refuse(template())
    assert "AWS does not accept these credentials (InvalidClientTokenId: " in sentence

    trust = policy("Allow", "sts:AssumeRole", Principal={"AWS": ACCOUNT})
    arn = iam.create_role(RoleName="team", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    every = policy("Allow", "*", Resource="*")
    iam.put_role_policy(RoleName="team", PolicyName="team", PolicyDocument=every)
    answer = guarded_aws.client("sts").assume_role(RoleArn=arn, RoleSessionName="ada")
    session = answer["Credentials"]
    stack.how |= guarded_aws.environment(session["AccessKeyId"], session["SecretAccessKey"])
    stack.how["AWS_SESSION_TOKEN"] = session["SessionToken"]
    assert stack.foretell(template())["changed"]
    none = policy("Deny", "*", Resource="*")
    name = "AWSRevokeOlderSessions"
    iam.put_role_policy(RoleName="team", PolicyName=name, PolicyDocument=none)
    assert re.search(
        r": AWS denied .*:assumed-role/team/ada \(explicit deny in an identity-based policy\); log in "
        r"again, for example with 'aws sso login', if its sessions were revoked, or allow ",
        stack.refuse(template()),
    )


def policy(effect: str, action: str, **more: Any) -> str:
    """Return a policy with one statement."""
    statement = {"Effect": effect, "Action": action, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.mark.thorough("The twin is checked, deployed and rerun with this role every time.")
def test_role(stack: Stack, clean_home: dict[str, str], tmp_path: Path) -> None:
    """Entry points in the order of the playbooks; a check mode run first, which changes nothing."""
    play = tmp_path / "play.yml"
    entries = ["preflight", "main", "projects", "read"]
    play.write_text(json.dumps([play_of(stack, entries)]))
    env = clean_home | stack.aws.environment() | {"ANSIBLE_NOCOLOR": "1"}

    def playbook(*arguments: str, check: bool = True) -> str:
        command: list[str | Path] = [PLAYBOOK, "-i", "localhost,", "-c", "local", play, *arguments]
        return run(command, cwd=tmp_path, env=env, timeout=200, check=check).output

    foretold = playbook("--check", "-e", "mlflow_stack_required=false")
    assert stack.description() == {}
    assert re.search(r"changed=2 .*failed=0", foretold), foretold
    made = playbook("-v")
    assert re.search(r"changed=2 .*failed=0", made), made
    assert f"[{stack.name}] " in made, "events are shown as they happen"
    assert f"[{stack.name}-projects] " in made
    assert '"name": "demo"' in made.replace('\\"', '"')
    assert re.search(r"changed=0 .*failed=0", playbook()), "a second run changes nothing"
    play.write_text(json.dumps([play_of(stack, ["read"])]))
    refused = playbook("-e", "mlflow_stack_name=nobody", check=False)
    assert "Stack 'nobody' is not deployed in region" in refused


def play_of(stack: Stack, entries: list[str]) -> dict[str, Any]:
    """Return a play that runs the role's entry points for one project on an existing database."""
    secret = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:master-abcdef"
    return {
        "name": "Try the role",
        "hosts": "all",
        "gather_facts": False,
        "vars": {
            "mlflow_stack_name": stack.name,
            "mlflow_stack_region": REGION,
            "mlflow_stack_endpoint_url": stack.aws.url,
            # The emulator gives a cluster no managed password.
            "mlflow_stack_parameters": {
                "Relay": False,
                "ExistingDatabaseEndpoint": "127.0.0.1",
                "ExistingDatabaseUsername": "root",
                "ExistingDatabaseSecretArn": secret,
            },
            "mlflow_project_records": [{"name": "demo", "state": "present"}],
        },
        "tasks": [
            {
                "name": f"Run {entry}",
                "ansible.builtin.import_role": {
                    "name": "mlops.mlflow_aws.mlflow_stack",
                    "tasks_from": entry,
                },
            }
            for entry in entries
        ]
        + [{"name": "Show", "ansible.builtin.debug": {"var": "mlflow_stack_projects"}}],
    }
