# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mlflow_project_key at an emulated Parameter Store: made once, read never, the same for all."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import (
    ACCOUNT,
    REGION,
    Ministack,
    ministack,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Modules

pytestmark = pytest.mark.timeout(300)

KMS_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/01234567-89ab-cdef-0123-456789abcdef"


def names(*projects: str) -> list[dict[str, str]]:
    """Return the option of these projects."""
    return [{"name": name, "parameter": f"/mlflow/team/{name}/key"} for name in projects]


@dataclass(frozen=True)
class Store:
    """An AWS that enforces IAM, with an operator who may do what docs/aws.md says."""

    aws: Ministack
    modules: Modules
    keys: tuple[str, str]

    def call(self, *projects: str, **how: Any) -> dict[str, Any]:
        """Run the module as the operator."""
        return self.modules.call("mlflow_project_key", self.options(*projects), **self.how(how))

    def options(self, *projects: str) -> dict[str, Any]:
        """Return the module's options."""
        return {"projects": names(*projects), "kms_key": KMS_KEY, **self.aws.options()}

    def how(self, more: dict[str, Any]) -> dict[str, Any]:
        """Return how to run it."""
        return {**self.aws.environment(*self.keys), "verbosity": 4, "diff": True, **more}

    def values(self) -> dict[str, str]:
        """Return all keys by name, as root."""
        ssm = self.aws.client("ssm")
        found = {}
        pages = ssm.get_paginator("describe_parameters").paginate()
        for item in [item for page in pages for item in page["Parameters"]]:
            assert (item["Type"], item["KeyId"]) == ("SecureString", KMS_KEY)
            answer = ssm.get_parameter(Name=item["Name"], WithDecryption=True)
            found[item["Name"]] = answer["Parameter"]["Value"]
        return found


@pytest.fixture
def store(
    modules: Modules,
    free_ports: Callable[[int], list[int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Store]:
    """Return a store without keys; its operator may not read a value."""
    with ministack(free_ports(1)[0], tmp_path_factory.mktemp("aws"), auth=True) as aws:
        allowed = ("ssm:DescribeParameters", "ssm:PutParameter", "kms:Encrypt")
        yield Store(aws, modules, aws.user("operator", *allowed))


def test_keys_are_made_once(store: Store) -> None:
    """A rerun changes nothing, a new project gets its own, and none is shown at any verbosity."""
    foretold = store.call("demo", "churn", check=True)
    assert foretold["changed"]
    assert store.values() == {}
    made = store.call("demo", "churn")
    assert made["created"] == foretold["created"] == ["demo", "churn"]
    assert made["diff"] == foretold["diff"]
    first = store.values()
    assert set(first) == {"/mlflow/team/demo/key", "/mlflow/team/churn/key"}
    assert {len(base64.b64decode(value)) for value in first.values()} == {32}
    assert len(set(first.values())) == 2
    assert not store.call("demo", "churn")["changed"]
    assert store.call("demo", "churn", "third")["created"] == ["third"]
    assert store.values().items() >= first.items()
    for value in first.values():
        assert value not in json.dumps(made)
        assert value not in store.aws.log.read_text(errors="replace")


def test_two_operators_at_once(store: Store) -> None:
    """Both succeed, and each key was made by one of them."""
    projects = [f"p{number}" for number in range(60)]
    both = [
        store.modules.start("mlflow_project_key", store.options(*projects), **store.how({}))
        for _number in range(2)
    ]
    created = [store.modules.finish(process)["created"] for process in both]
    assert sorted(created[0] + created[1]) == sorted(projects)
    assert len(store.values()) == 60


def test_before_there_is_a_stack(store: Store) -> None:
    """Check mode says what would be made; a real run names the playbook that makes the stacks."""
    options = {**store.options(), "projects": [{"name": "demo", "parameter": ""}], "kms_key": ""}
    done = store.modules.call("mlflow_project_key", options, **store.how({"check": True}))
    assert (done["changed"], done["created"]) == (True, ["demo"])
    assert "run the projects playbook" in store.modules.refuse(
        "mlflow_project_key", options, **store.how({})
    )


def test_what_is_not_encrypted_is_refused(store: Store) -> None:
    """Before any other key is made."""
    ssm = store.aws.client("ssm")
    ssm.put_parameter(Name="/mlflow/team/demo/key", Value="plain", Type="String")
    options = store.options("another", "demo")
    sentence = store.modules.refuse("mlflow_project_key", options, **store.how({}))
    assert "The parameter /mlflow/team/demo/key is a String" in sentence
    assert len(ssm.describe_parameters()["Parameters"]) == 1


def test_an_operator_without_the_right(store: Store) -> None:
    """The sentence names the action."""
    keys = store.aws.user("other", "ssm:DescribeParameters")
    how = {**store.aws.environment(*keys)}
    sentence = store.modules.refuse("mlflow_project_key", store.options("demo"), **how)
    assert "AWS denied ssm:PutParameter" in sentence
    assert "demo" in sentence
