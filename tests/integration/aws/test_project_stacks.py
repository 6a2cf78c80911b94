# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Projects over several stacks on a real ministack, with stacks that take two projects each."""

from __future__ import annotations

import functools
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.api import StackApi
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.series import Room
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.series_manager import (
    converge_series,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.series_model import (
    SeriesSpec,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import Stack
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.template_bucket import (
    TemplateBucket,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import (
    ACCOUNT,
    REGION,
    Ministack,
    ministack,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Modules

pytestmark = pytest.mark.timeout(300)

TEMPLATE = """
Transform: AWS::LanguageExtensions
Parameters:
  Projects: {Type: CommaDelimitedList}
  Size: {Type: Number}
Resources:
  Fn::ForEach::Projects:
    - P
    - Ref: Projects
    - Secret${P}: {Type: AWS::SecretsManager::Secret, Properties: {Description: {Ref: P}}}
Outputs:
  Fn::ForEach::Outputs:
    - P
    - Ref: Projects
    - Project${P}:
        Value:
          Fn::Sub:
            - '{"name": "${Name}", "runtime_secret": "${Secret}"}'
            - Name: {"Fn::Join": ["-", {"Fn::Split": ["X", {Ref: P}]}]}
              Secret: {Ref: {"Fn::Sub": "Secret${P}"}}
"""
# A bucket for each project besides, which cannot be made where another account has its name.
BUCKET = "      Bucket${P}: {Type: AWS::S3::Bucket, Properties: {BucketName: {Ref: P}}}"
BUCKETS = TEMPLATE.replace("\nOutputs:\n", f"\n{BUCKET}\nOutputs:\n")


@pytest.fixture(scope="module")
def aws(
    free_ports: Callable[[int], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ministack]:
    """Return a ministack that enforces IAM; root may do everything."""
    with ministack(free_ports(1)[0], tmp_path_factory.mktemp("aws"), auth=True) as server:
        place = {"LocationConstraint": REGION}
        other = server.client("s3", "111111111111", "test")
        other.create_bucket(Bucket="taken", CreateBucketConfiguration=place)
        yield server


class CountingApi(StackApi):
    """The API, which counts what reads stacks."""

    def __init__(self, params: dict[str, Any]) -> None:
        """Begin with nothing counted."""
        super().__init__(params)
        self.calls: Counter[str] = Counter()

    def describe(self, stack: str) -> Stack | None:
        """Count the reads of one stack."""
        self.calls["describe"] += 1
        return super().describe(stack)

    def stacks(self) -> list[Stack]:
        """Count the listings."""
        self.calls["list"] += 1
        return super().stacks()

    def template(self, stack: str) -> Any:
        """Count the templates."""
        self.calls["template"] += 1
        return super().template(stack)


class Series:
    """The stacks of one series: two projects to a stack."""

    def __init__(self, aws: Ministack, modules: Modules, name: str) -> None:
        """Keep them."""
        self.aws = aws
        self.modules = modules
        self.name = name
        self.params: dict[str, Any] = {"profile": "", **aws.options()}
        self.how: dict[str, Any] = {"python": sys.executable, **aws.environment()}
        self.cloudformation = aws.client("cloudformation")
        self.room = Room(projects=2)

    def run(
        self,
        present: Sequence[str] = (),
        absent: Sequence[str] = (),
        *,
        check: bool = False,
        body: str = TEMPLATE,
        api: StackApi | None = None,
        size: int | None = 1,
    ) -> dict[str, Any]:
        """Bring the stacks to these projects; return the result."""
        wanted = SeriesSpec(
            self.name, "team", body, {"Size": size}, present, absent, {}, True, check, self.room
        )
        bucket = functools.partial(TemplateBucket, self.params, "", ACCOUNT)
        result = converge_series(
            api or StackApi(self.params),
            functools.lru_cache(maxsize=1)(bucket),
            wanted,
            timeout=100,
            check_mode=check,
            progress=lambda _line: None,
        )
        return result.as_dict(check)

    def change(self, present: Sequence[str] = (), absent: Sequence[str] = (), **how: Any) -> Any:
        """Change them after check mode has foretold the same, and run once more without a change."""
        before = self.described()
        foretold = self.run(present, absent, check=True, **how)
        assert self.described() == before
        done = self.run(present, absent, **how)
        assert done["changed"] == foretold["changed"]
        assert said(done) == said(foretold)
        assert set(done["projects"]) == set(foretold["projects"])
        assert len(done["diff"]) == len(foretold["diff"])
        again = self.run(present, absent, **how)
        assert not again["changed"]
        assert again["diff"] == []
        assert again["projects"] == done["projects"]
        return done

    def described(self) -> dict[str, tuple[str, str, list[str]]]:
        """Return id, status and change sets of each of the stacks that there are."""
        found = {}
        for stack in self.cloudformation.describe_stacks()["Stacks"]:
            name = stack["StackName"]
            if name.startswith(self.name):
                answer = self.cloudformation.list_change_sets(StackName=name)
                sets = [entry["ChangeSetName"] for entry in answer["Summaries"]]
                found[name] = (stack["StackId"], stack["StackStatus"], sets)
        return found

    def names(self, *numbers: int) -> set[str]:
        """Return the names of stacks."""
        return {self.name if number == 1 else f"{self.name}-{number}" for number in numbers}

    def info(self, **how: Any) -> dict[str, Any]:
        """Read them as the playbook servers does."""
        options = {"names": [], "projects_stack": self.name, "owner": "team", **self.aws.options()}
        return self.modules.call("mlflow_stack_info", options, **{**self.how, **how})


@pytest.fixture
def series(
    modules: Modules,
    aws: Ministack,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Series:
    """Return stacks of this test's own that are not there yet."""
    for name, text in aws.environment().items():
        monkeypatch.setenv(name, text)
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    return Series(aws, modules, name[:50])


def said(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return what a result says is done to which resource of which stack."""
    return [
        (change["stack"], change["action"], change["logical_id"]) for change in result["changes"]
    ]


def secrets(result: dict[str, Any]) -> dict[str, str]:
    """Return the secret of each project."""
    return {name: told["runtime_secret"] for name, told in result["projects"].items()}


def test_projects_over_several_stacks(series: Series) -> None:
    """They fill in order, nothing moves, and a stack whose last project is absent goes."""
    made = series.change(["a-b", "c", "d", "e", "f"])
    assert list(made["stacks"]) == [series.name, f"{series.name}-2", f"{series.name}-3"]
    assert made["stacks"][f"{series.name}-2"]["projects"] == ["d", "e"]
    assert [stack["changed"] for stack in made["stacks"].values()] == [True] * 3
    assert series.info()["projects_outputs"] == made["outputs"]
    before = secrets(made)
    assert all(before.values())

    # One stack is touched where one project is added to it; what left the list stays.
    grown = series.change(["g", "f", "e"])
    assert said(grown) == [(f"{series.name}-3", "Add", "Secretg")]
    assert [stack["changed"] for stack in grown["stacks"].values()] == [False, False, True]
    assert secrets(grown) == {**before, "g": secrets(grown)["g"]}

    # The middle one goes, and comes back for the next that does not fit into the others.
    gone = series.change([], ["d", "e"])
    assert said(gone) == [
        (f"{series.name}-2", "Remove", "Secretd"),
        (f"{series.name}-2", "Remove", "Secrete"),
    ]
    assert gone["stacks"][f"{series.name}-2"]["status"] == "ABSENT"
    assert set(series.described()) == series.names(1, 3)
    back = series.change(["h"], ["c"])
    assert said(back) == [(series.name, "Remove", "Secretc"), (series.name, "Add", "Secreth")]
    again = series.change(["d"])
    assert again["stacks"][f"{series.name}-2"]["projects"] == ["d"]
    kept = {name: secret for name, secret in secrets(again).items() if name in ("a-b", "f")}
    assert kept == {name: before[name] for name in ("a-b", "f")}

    # All of them, protected as they are.
    last = series.change([], ["a-b", "d", "f", "g", "h"])
    assert last["projects"] == {}
    assert series.described() == {}
    assert series.info()["projects_outputs"] == {}


def test_one_listing_for_all_stacks(series: Series) -> None:
    """A run without changes reads no stack by itself, and each template once."""
    series.run(["a", "b", "c", "d", "e"])
    api = CountingApi(series.params)
    assert not series.run(["a", "b", "c", "d", "e"], api=api)["changed"]
    assert api.calls == {"list": 1, "template": 3}


def test_an_existing_stack_goes_on(series: Series) -> None:
    """One that a release made that knew no second stack, of a template in its request."""
    series.cloudformation.create_stack(
        StackName=series.name,
        TemplateBody=TEMPLATE,
        Capabilities=["CAPABILITY_AUTO_EXPAND"],
        Parameters=[
            {"ParameterKey": "Projects", "ParameterValue": "aXb,c,d"},
            {"ParameterKey": "Size", "ParameterValue": "1"},
        ],
        Tags=[{"Key": "mlflow_aws", "Value": "team"}],
        EnableTerminationProtection=True,
    )
    before = series.described()
    assert not series.run(["a-b", "d"])["changed"]
    assert series.described() == before
    grown = series.change(["a-b", "d", "e"])
    assert said(grown) == [(f"{series.name}-2", "Add", "Secrete")]
    assert series.described()[series.name] == before[series.name]


def test_the_module(series: Series) -> None:
    """In a first check mode run, with what another stack gives unknown; then as the role calls it."""
    options = {
        "name": series.name,
        "owner": "team",
        "template_body": TEMPLATE,
        "parameters": {"Size": None},
        "present": ["a-b", "c"],
        **series.aws.options(),
    }
    name = "mlflow_project_stacks"
    foretold = series.modules.call(name, options, check=True, diff=True, **series.how)
    assert foretold["projects"]["a-b"] == {
        "name": "a-b",
        "runtime_secret": "",
        "migrator_secret": "",
        "login": "",
        "role": "",
        "policy": "",
        "key": "",
    }
    assert series.described() == {}
    assert "has no default" in series.modules.refuse(name, options, **series.how)
    options["parameters"] = {"Size": 1}
    made = series.modules.call(name, options, diff=True, **series.how)
    assert set(made["projects"]) == {"a-b", "c"}
    assert {event["stack"] for event in made["events"]} == {series.name}
    assert (made["account"], made["region"]) == (ACCOUNT, REGION)
    assert not series.modules.call(name, options, **series.how)["changed"]
    sentence = series.modules.refuse(
        name, {**options, "template_body": "Resources: {A: {Type: T}}"}, **series.how
    )
    assert sentence == (
        "The template has no parameter 'Projects'; use the module mlflow_stack for it."
    )
    assert "is not a valid stack name" in series.modules.refuse(
        name, {**options, "name": "1"}, **series.how
    )


def test_a_failure_in_one_stack_leaves_the_others_done(series: Series) -> None:
    """One sentence names the stack, the others are completed, and the next run continues."""
    with pytest.raises(MlflowError) as caught:
        series.run(["m1", "m2", "taken", "m3", "m4"], body=BUCKETS)
    name = f"{series.name}-2"
    assert re.fullmatch(
        rf"Stack '{name}' could not be created \(Buckettaken .* already exists.*\), and AWS rolled it back; "
        "fix the cause and rerun, which first deletes the empty stack.",
        str(caught.value),
    )
    assert caught.value.details["changed"]
    assert list(caught.value.details["failures"]) == [name]
    assert {name: status for name, (_id, status, _sets) in series.described().items()} == {
        series.name: "CREATE_COMPLETE",
        name: "ROLLBACK_COMPLETE",
        f"{series.name}-3": "CREATE_COMPLETE",
    }
    # What the failed one was to hold is planned anew, the rest stays where it is.
    healed = series.run(["m1", "m2", "free", "m3", "m4"], body=BUCKETS)
    assert {name: stack["projects"] for name, stack in healed["stacks"].items()} == {
        series.name: ["m1", "m2"],
        name: ["free", "m3"],
        f"{series.name}-3": ["m4"],
    }
    before = series.described()
    assert not series.run(["m1", "m2", "free", "m3", "m4"], body=BUCKETS)["changed"]
    # Buckets are not deleted with the last project, unlike secrets.
    with pytest.raises(
        MlflowError, match=r"would remove Bucketm4 \(AWS::S3::Bucket\), and its data"
    ):
        series.run([], ["m4"], body=BUCKETS)
    assert series.described() == before


def test_an_empty_stack_that_cannot_be_deleted_is_deleted_later(series: Series) -> None:
    """Where the operator may not do it; its protection is off by then, and nothing else is lost."""
    series.run(["a", "b", "c"])
    keys = series.aws.user("keeper", "*", deny=("cloudformation:DeleteStack",))
    options = {
        "name": series.name,
        "owner": "team",
        "template_body": TEMPLATE,
        "parameters": {"Size": 1},
        "absent": ["a", "b", "c"],
        **series.aws.options(),
    }
    how = {**series.how, **series.aws.environment(*keys)}
    sentence = series.modules.refuse("mlflow_project_stacks", options, **how)
    assert re.match(
        rf"Cannot delete stack '{series.name}': AWS denied cloudformation:Del", sentence
    )
    assert set(series.described()) == series.names(1, 2)
    assert said(series.change([], ["a", "b", "c"])) == [
        (series.name, "Remove", "Secreta"),
        (series.name, "Remove", "Secretb"),
        (f"{series.name}-2", "Remove", "Secretc"),
    ]
    assert series.described() == {}


def test_a_foreign_stack_is_refused_before_any_is_touched(series: Series) -> None:
    """One that has the name of the next stack, and no tag of this deployment."""
    series.cloudformation.create_stack(
        StackName=f"{series.name}-2",
        TemplateBody="Resources: {Queue: {Type: AWS::SQS::Queue}}",
    )
    series.change(["a", "b"])
    before = series.described()
    for check in (True, False):
        with pytest.raises(MlflowError, match=rf"^Stack '{series.name}-2' exists but is not manag"):
            series.run(["c", "d"], ["a"], check=check)
    assert series.described() == before
    assert set(series.run(["a"])["projects"]) == {"a", "b"}


class LateApi(StackApi):
    """Another operator is faster, just before the first change set of ours is made."""

    def __init__(self, params: dict[str, Any], other: Callable[[], object]) -> None:
        """Take what the other one does."""
        super().__init__(params)
        self._other: Callable[[], object] | None = other

    def create_change_set(self, stack: str, **request: Any) -> tuple[str, str]:
        """Let the other one do it first, once."""
        if self._other:
            other, self._other = self._other, None
            other()
        return super().create_change_set(stack, **request)


def test_what_a_faster_operator_added_stays(series: Series) -> None:
    """A change set that was planned before would have removed it."""
    series.run(["a"])
    late = LateApi(series.params, lambda: series.run(["theirs"]))
    done = series.run(["ours"], api=late)
    assert {name: stack["projects"] for name, stack in done["stacks"].items()} == {
        series.name: ["a", "theirs"],
        f"{series.name}-2": ["ours"],
    }
    assert not series.run(["a", "ours", "theirs"])["changed"]


def test_who_may_not_list_all_stacks_reads_them_by_name(series: Series) -> None:
    """A colleague with rights on these stacks alone; on the first one, if there is only one."""
    series.run(["a", "b", "c"])
    stack = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{series.name}"
    keys = series.aws.user("narrow", "cloudformation:DescribeStacks", resource=f"{stack}*/*")
    read = series.info(**series.aws.environment(*keys))
    assert list(read["projects_stacks"]) == [series.name, f"{series.name}-2"]
    assert set(read["projects_outputs"]) == {"Projecta", "Projectb", "Projectc"}
    keys = series.aws.user("narrower", "cloudformation:DescribeStacks", resource=f"{stack}/*")
    read = series.info(**series.aws.environment(*keys))
    assert list(read["projects_stacks"]) == [series.name]
    # Who plans has to know all of them.
    options = {"name": series.name, "template_body": TEMPLATE, **series.aws.options()}
    how = {**series.how, **series.aws.environment(*keys)}
    sentence = series.modules.refuse("mlflow_project_stacks", options, **how)
    assert sentence.startswith("Cannot list the CloudFormation stacks: AWS denied cloudformation:D")


def test_two_operators_at_once(series: Series) -> None:
    """Each adds a project; both are there, whoever was first."""
    options = {
        "name": series.name,
        "owner": "team",
        "template_body": TEMPLATE,
        "parameters": {"Size": 1},
        **series.aws.options(),
    }
    both = [
        series.modules.start("mlflow_project_stacks", {**options, "present": [name]}, **series.how)
        for name in ("mine", "yours")
    ]
    results = [series.modules.finish(process) for process in both]
    for result in results:
        assert not result.get("failed"), result
    assert set(series.run(["mine", "yours"])["projects"]) == {"mine", "yours"}
