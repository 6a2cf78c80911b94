# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done about experiments and registered models, by what is there and what is listed."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._objects import (
    api,
    client,
    experiments,
    models,
    plans,
)

THERE = experiments.Experiment("a", "7", False, "s3://b/7", {"team": "x", "mlflow.kind": "k"})
GONE = THERE._replace(deleted=True)
SOME_SEARCH = api.Request("POST", "x/search", {}, "search")
MODEL = models.Model("m", "Old", {"team": "x", "mlflow.kind": "k"}, {"champion": "1", "old": "2"})


def wanted(**keys: Any) -> experiments.Wanted:
    """Return the experiment of an entry."""
    [entry] = experiments.wanted([{"name": "a", **keys}], "experiments")
    return entry


def model(**keys: Any) -> models.Wanted:
    """Return the model of an entry."""
    entry: dict[str, Any] = {
        "name": "m",
        "state": "present",
        "confirm": None,
        "description": None,
        "tags": {},
        "aliases": {},
    }
    [found] = models.wanted([entry | keys])
    return found


def verbs(plan: plans.Plan) -> list[str]:
    """Return what a plan's requests do."""
    return [request.path.rpartition("/")[2] for request in plan.requests]


@pytest.mark.parametrize(
    ("entry", "found", "purge", "action", "requests"),
    [
        ({}, None, False, "create", ["create"]),
        ({}, THERE, False, "keep", []),
        ({"tags": {"team": "x"}}, THERE, True, "keep", []),
        ({"tags": {"team": "y"}}, THERE, False, "update", ["set-experiment-tag"]),
        ({"tags": {"new": 1}}, THERE, False, "update", ["set-experiment-tag"]),
        ({}, THERE, True, "update", ["delete-experiment-tag"]),
        ({"description": ""}, THERE, False, "update", ["set-experiment-tag"]),
        ({}, GONE, False, "restore", ["restore"]),
        ({"tags": {"team": "y"}}, GONE, False, "restore", ["restore", "set-experiment-tag"]),
        ({"artifact_location": "s3://b/7/"}, THERE, False, "keep", []),
        ({"state": "absent"}, THERE, False, "delete", ["delete"]),
        ({"state": "absent", "tags": {"n": "1"}}, GONE, False, "keep", []),
        ({"state": "absent"}, None, False, "keep", []),
    ],
)
def test_plans_of_experiments(
    entry: dict[str, Any],
    found: experiments.Experiment | None,
    purge: bool,
    action: str,
    requests: list[str],
) -> None:
    """Only what differs is sent; a plan without requests is not a change."""
    plan = experiments.plan(wanted(**entry), found, purge)
    assert (plan.action, verbs(plan)) == (action, requests)
    assert (plan.before == plan.after) is (action == "keep")
    assert plan.id == (found.id if found else "")


def test_the_record_is_what_the_plan_leads_to() -> None:
    """Tags that are kept, set and removed."""
    plan = experiments.plan(wanted(description="D", tags={"n": 1}), GONE, purge=True)
    assert experiments.record(plan) == {
        "name": "a",
        "action": "restore",
        "experiment_id": "7",
        "state": "present",
        "artifact_location": "s3://b/7",
        "tags": {"mlflow.kind": "k", "mlflow.note.content": "D", "n": "1"},
    }


@pytest.mark.parametrize(
    ("entry", "found", "purge", "action", "requests"),
    [
        ({}, None, (), "create", ["create"]),
        ({}, MODEL, (), "keep", []),
        ({"description": "Old", "aliases": {"old": 2}}, MODEL, (), "keep", []),
        ({"description": "New"}, MODEL, (), "update", ["update"]),
        ({"tags": {"team": "y"}}, MODEL, (), "update", ["set-tag"]),
        ({"aliases": {"champion": "02"}}, MODEL, (), "update", ["alias"]),
        ({}, MODEL, (True, False), "update", ["delete-tag"]),
        ({"aliases": {"champion": 1}}, MODEL, (False, True), "update", ["alias"]),
        ({"state": "absent", "confirm": "m"}, MODEL, (), "delete", ["delete"]),
        ({"state": "absent", "confirm": "m"}, None, (), "keep", []),
    ],
)
def test_plans_of_models(
    entry: dict[str, Any],
    found: models.Model | None,
    purge: tuple[bool, ...],
    action: str,
    requests: list[str],
) -> None:
    """The same for models."""
    plan = models.plan(model(**entry), found, models.Purge(*purge))
    assert (plan.action, verbs(plan)) == (action, requests)
    assert (plan.before == plan.after) is (action == "keep")


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (
            {"name": "y" * 501},
            f"experiments: the name '{'y' * 40}...' has 501 characters; MLflow allows 500.",
        ),
        (
            {"tags": {"live": True}},
            "experiments: experiment 'a': the value of tag 'live' is not text; write it in quotes.",
        ),
        (
            {"tags": {1: "x"}},
            "experiments: experiment 'a': tag 1 has no name; write its key in quotes.",
        ),
        (
            {"description": "D", "tags": {"mlflow.note.content": "E"}},
            (
                "experiments: experiment 'a' has a description and the tag mlflow.note.content, which is the same; "
                "remove one of them."
            ),
        ),
        (
            {"artifact_location": "here/it"},
            (
                "experiments: experiment 'a': artifact_location 'here/it' depends on the server's directory; write a "
                "URI or an absolute path."
            ),
        ),
    ],
)
def test_experiments_that_are_refused(entry: dict[str, Any], sentence: str) -> None:
    """Before a server is asked."""
    with pytest.raises(MlflowError) as caught:
        wanted(**entry)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("name", ["", "a"])
def test_names_are_given_once(name: str) -> None:
    """No name, and one twice."""
    entries = [{"name": "a"}, {"name": name}]
    with pytest.raises(MlflowError, match=r"an entry with an empty name|two entries named 'a'"):
        experiments.wanted(entries, "experiments")


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"state": "absent"}, "to confirm it, set 'confirm: m'."),
        ({"state": "absent", "confirm": "M"}, "to confirm it, set 'confirm: m'."),
        ({"aliases": {"a": "x"}}, "alias 'a' has the version 'x'; write the number of a version."),
        ({"aliases": {"a": 0}}, "alias 'a' has the version 0; write the number of a version."),
        (
            {"aliases": {"a": True}},
            "alias 'a' has the version True; write the number of a version.",
        ),
        ({"aliases": {"a": "²"}}, "alias 'a' has the version '²'; write the number of a version."),
    ],
)
def test_models_that_are_refused(entry: dict[str, Any], sentence: str) -> None:
    """Before a server is asked."""
    with pytest.raises(MlflowError) as caught:
        model(**entry)
    assert str(caught.value).startswith("models: model 'm': ")
    assert str(caught.value).endswith(sentence)


def test_a_new_model_has_no_version_for_an_alias() -> None:
    """Which is known before it is created."""
    with pytest.raises(MlflowError, match="does not exist, so its alias 'a' cannot have version 1"):
        models.plan(model(aliases={"a": 1}), None)


def search(pages: list[list[str]], asked: list[api.Request]) -> api.Ask:
    """Return a server with pages of experiments."""

    def ask(request: api.Request) -> dict[str, Any]:
        asked.append(request)
        number = int(request.body.get("page_token", 0))
        found = [{"name": name, "experiment_id": name} for name in pages[number]]
        more = {"next_page_token": str(number + 1)} if number + 1 < len(pages) else {}
        return {"experiments": found, **more}

    return ask


@pytest.mark.parametrize(
    ("names", "pages"), [({"a"}, 1), ({"a", "c"}, 2), ({"a", "z"}, 3), ({"e"}, 3)]
)
def test_pages_are_read_until_all_are_found(names: set[str], pages: int) -> None:
    """And no further."""
    asked: list[api.Request] = []
    found = experiments.read(search([["a", "b"], ["c", "d"], ["e"]], asked), names)
    assert (set(found), len(asked)) == (names - {"z"}, pages)


def test_a_search_that_repeats_itself_ends() -> None:
    """A token that leads to itself is the last one."""
    answers = api.pages(lambda _request: {"x": [{}], "next_page_token": "t"}, SOME_SEARCH, "x")
    assert list(answers) == [[{}], [{}]]


@pytest.mark.parametrize(
    ("status", "text", "sentence"),
    [
        (200, b"[]", "S does not answer as an MLflow server does ([]); check tracking_uri."),
        (
            200,
            b"",
            "S does not answer as an MLflow server does (an empty answer); check tracking_uri.",
        ),
        (308, b"", "S redirects to another address (HTTP 308); write that one as tracking_uri."),
        (
            404,
            b"{}",
            (
                "S cannot search, as it does not know /api/2.0/mlflow/x/search (HTTP 404); check tracking_uri and "
                "the server's version."
            ),
        ),
        (
            400,
            b'{"error_code": "BAD", "message": "Too long.\\nSee more."}',
            "S refused to search (HTTP 400: Too long); correct the entry and rerun.",
        ),
        (
            403,
            b"Permission denied",
            (
                "S refused to search (HTTP 403: Permission denied); set username and password, or token, to "
                "credentials that may do this."
            ),
        ),
        (
            500,
            b'{"error_code": "INTERNAL_ERROR", "message": "' + b"x" * 999 + b'"}',
            f"S refused to search (HTTP 500: {'x' * 300}...); look at the server's log, then rerun.",
        ),
    ],
)
def test_answers_that_are_no_results(status: int, text: bytes, sentence: str) -> None:
    """One sentence with what MLflow said, cut short."""
    with pytest.raises(api.ApiError) as caught:
        api.answer(status, text, "S", SOME_SEARCH)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        (None, []),
        ("http://host:5000", []),
        ("http://ada@host", []),
        ("http://ada:s3%2Fcr3t@host/x", ["s3%2Fcr3t", "s3/cr3t"]),
        ("nonsense://ada:p@ss@host", ["p@ss", "p@ss"]),
    ],
)
def test_passwords_in_addresses_are_secrets(uri: str | None, found: list[str]) -> None:
    """Also where the address is refused."""
    assert client.secrets({"tracking_uri": uri}) == found
