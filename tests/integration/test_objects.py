# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Experiments and registered models through modules, on real servers."""

from __future__ import annotations

import base64
import json
import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import (
    probe,
    project_experiments,
)
from ansible_collections.mlops.mlflow_aws.tests.parts import mysql_server
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Host, ask, by_name
from ansible_collections.mlops.mlflow_aws.tests.parts.tracking_gate import Answer, Gate, gate
from ansible_collections.mlops.mlflow_aws.tests.support import clean_environment, run

# The first test may have to install MLflow.
pytestmark = pytest.mark.timeout(600)

API = "/api/2.0/mlflow"
NAMES = ["plain", "a/b:c", "Ünï 模型 🚀", 'it\'s "quoted" `so`', "100% _like_", "x" * 500, " room "]
MODELS = ["plain", "Ünï 模型 🚀", 'it\'s "quoted" `so`', "100% _like_"]
CREATE = f"POST {API}/experiments/create"
SEARCH = f"POST {API}/experiments/search"


@pytest.fixture(scope="module")
def served(new_host: Callable[..., Host]) -> Iterator[Host]:
    """Return a host with two servers."""
    host = new_host("demo", "churn")
    host.converge(host.server("demo"), host.server("churn"))
    yield host
    host.close()


@pytest.fixture(scope="module")
def url(served: Host) -> str:
    """Return the address of one of them."""
    return address(served, "demo")


@pytest.fixture
def before(url: str) -> Iterator[Gate]:
    """Run a gate before that server."""
    with gate(url) as running:
        yield running


def address(host: Host, name: str) -> str:
    """Return the address of a project's server."""
    return f"http://127.0.0.1:{host.server(name)['port']}"


def call(url: str, path: str, body: object) -> dict[str, Any]:
    """Call MLflow's API, which must succeed."""
    status, text = ask(url, f"{API}/{path}", body)
    assert status == 200, text
    answer: dict[str, Any] = json.loads(text)
    return answer


def found(url: str, name: str) -> dict[str, Any]:
    """Return an experiment as the server itself describes it."""
    search = {"max_results": 1000, "view_type": "ALL"}
    experiments = call(url, "experiments/search", search)["experiments"]
    [experiment] = [item for item in experiments if item["name"] == name]
    experiment["tags"] = {tag["key"]: tag["value"] for tag in experiment.get("tags", [])}
    return dict(experiment)


def change(host: Host, module: str, options: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a module after check mode foretold the same; the next run must change nothing."""
    key = "models" if "model" in module else "experiments"
    foretold = host.modules.call(module, options, check=True, diff=True)
    assert host.modules.call(module, options, check=True)["changed"] is foretold["changed"]
    done = host.modules.call(module, options, diff=True)
    assert (done["changed"], done["diff"]) == (foretold["changed"], foretold["diff"])
    assert [item["action"] for item in done[key]] == [item["action"] for item in foretold[key]]
    again = host.modules.call(module, options, diff=True)
    assert (again["changed"], again["diff"]) == (False, [])
    assert {item["action"] for item in again[key]} == {"keep"}
    records: list[dict[str, Any]] = done[key]
    return records


def test_experiments_of_all_names_are_created_once(served: Host, url: str) -> None:
    """With what is listed; then one that changes and one that is deleted take only what differs."""
    entries = [{"name": name, "description": f"Of {name}", "tags": {"n": 1}} for name in NAMES]
    options: dict[str, Any] = {"tracking_uri": f"{url}/", "experiments": entries}
    records = change(served, "mlflow_experiment", options)
    assert [record["action"] for record in records] == ["create"] * len(NAMES)
    for name, record in zip(NAMES, records, strict=True):
        there = found(url, name)
        assert there["experiment_id"] == record["experiment_id"]
        assert there["tags"] == {"mlflow.note.content": f"Of {name}", "n": "1"} == record["tags"]

    # A tag of somebody else's is kept.
    body = {"experiment_id": records[1]["experiment_id"], "key": "own", "value": "x"}
    call(url, "experiments/set-experiment-tag", body)
    entries[1] |= {"tags": {"n": "2"}, "description": ""}
    entries[2] |= {"state": "absent"}
    actions = [record["action"] for record in change(served, "mlflow_experiment", options)]
    assert actions == ["keep", "update", "delete", *["keep"] * (len(NAMES) - 3)]
    assert found(url, NAMES[1])["tags"] == {"mlflow.note.content": "", "n": "2", "own": "x"}
    assert found(url, NAMES[2])["lifecycle_stage"] == "deleted"

    # And removed where that is asked for, but none of MLflow's.
    [record] = change(
        served,
        "mlflow_experiment",
        {"tracking_uri": url, "experiments": [{"name": NAMES[1]}], "purge_tags": True},
    )
    assert found(url, NAMES[1])["tags"] == {"mlflow.note.content": ""} == record["tags"]

    # One that was deleted comes back as it was.
    del entries[2]["state"]
    entries[2]["tags"] = {"n": "3"}
    options["experiments"] = [entries[2]]
    [record] = change(served, "mlflow_experiment", options)
    assert (record["action"], record["state"]) == ("restore", "present")
    assert record["experiment_id"] == records[2]["experiment_id"]
    assert found(url, NAMES[2])["tags"]["n"] == "3"


def test_artifacts_stay_where_they_are(served: Host, url: str) -> None:
    """A location is for a new experiment only."""
    entry = {"name": "located", "artifact_location": "s3://bucket/here/"}
    options = {"tracking_uri": url, "experiments": [entry]}
    [record] = change(served, "mlflow_experiment", options)
    assert found(url, "located")["artifact_location"] == record["artifact_location"]
    entry["artifact_location"] = "s3://bucket/there"
    options["experiments"] = [{"name": "not-touched"}, entry]
    assert served.modules.refuse("mlflow_experiment", options) == (
        "Experiment 'located' keeps its artifacts in s3://bucket/here, which cannot be changed to "
        "s3://bucket/there; remove artifact_location, or choose another name."
    )
    search = {"max_results": 1000, "view_type": "ALL"}
    names = [item["name"] for item in call(url, "experiments/search", search)["experiments"]]
    assert "not-touched" not in names


def test_models_and_their_aliases(served: Host, url: str) -> None:
    """Versions come from clients; aliases name them."""
    entries: list[dict[str, Any]] = [
        {"name": name, "description": f"Of {name}", "tags": {"n": 1}} for name in MODELS
    ]
    options = {"tracking_uri": url, "models": entries}
    records = change(served, "mlflow_registered_model", options)
    assert [record["action"] for record in records] == ["create"] * len(MODELS)
    model = MODELS[1]
    for _number in range(2):
        call(url, "model-versions/create", {"name": model, "source": "s3://bucket/model"})
    entries[1] |= {"aliases": {"champion": 1, "old": "1"}, "tags": {"n": "2"}, "description": ""}
    options["models"] = entries[1:2]
    [record] = change(served, "mlflow_registered_model", options)
    assert record["aliases"] == {"champion": "1", "old": "1"}
    entries[1] |= {"aliases": {"champion": 2}}
    [record] = change(served, "mlflow_registered_model", options)
    assert record["aliases"] == {"champion": "2", "old": "1"}
    entries[1] |= {"tags": {}}
    [record] = change(
        served,
        "mlflow_registered_model",
        options | {"purge_tags": True, "purge_aliases": True},
    )
    assert (record["aliases"], record["tags"]) == ({"champion": "2"}, {})

    # What is done before a request that is refused is told as done.
    entries[1] |= {"description": "New", "aliases": {"champion": 7}}
    result = served.modules.finish(served.modules.start("mlflow_registered_model", options))
    assert (result["failed"], result["changed"], result["models"]) == (True, True, [])
    assert result["msg"].startswith(
        f"{url} refused to set the alias 'champion' to version 7 of the registered model '{model}' (HTTP 404: "
    )

    entries[1] |= {"state": "absent", "confirm": MODELS[0]}
    assert served.modules.refuse("mlflow_registered_model", options).endswith(
        f"to confirm it, set 'confirm: {model}'."
    )
    entries[1] |= {"confirm": model}
    [record] = change(served, "mlflow_registered_model", options)
    assert (record["action"], record["state"]) == ("delete", "absent")


def test_many_objects_take_one_search(served: Host, before: Gate) -> None:
    """And one request for each that is created."""
    entries = [{"name": f"many-{number}", "tags": {"a": "1"}} for number in range(40)]
    options = {"tracking_uri": before.url, "experiments": entries}
    served.modules.call("mlflow_experiment", options)
    assert before.requests == [SEARCH] + [CREATE] * 40
    before.requests.clear()
    assert served.modules.call("mlflow_experiment", options)["changed"] is False
    assert before.requests == [SEARCH]


def test_the_check_of_a_host_takes_one_search(served: Host, url: str, before: Gate) -> None:
    """And none for a project without experiments."""
    listed = [{"name": "checked", "description": None, "tags": {"a": "1"}}]
    with probe.conversation_at(before.url, 30) as talk:
        assert project_experiments.lacking(talk, ()) == ""
        assert before.requests == []
        reason = "its experiment 'checked' is not as listed"
        assert project_experiments.lacking(talk, listed) == reason
        server = {"name": "demo", "url": url, "experiments": listed}
        served.modules.call("mlflow_project_experiments", {"servers": [server]})
        before.requests.clear()
        assert project_experiments.lacking(talk, listed) == ""
        assert before.requests == [SEARCH]
        listed[0]["tags"] = {"a": "2"}
        assert project_experiments.lacking(talk, listed) == reason


def test_two_runs_at_once(served: Host, url: str, before: Gate) -> None:
    """What another one has created, restored or deleted in between is read again."""
    entry: dict[str, Any] = {"name": "raced", "tags": {"a": "1"}}
    options = {"tracking_uri": before.url, "experiments": [entry]}

    def others(verb: str, body: dict[str, Any]) -> None:
        """Let the first request with this verb find that somebody else was faster."""
        done: list[str] = []

        def first(path: str) -> Answer | None:
            if path.endswith(f"/{verb}") and not done:
                done.append(path)
                call(url, f"experiments/{verb}", body)
            return None

        before.before = first

    others("create", {"name": "raced", "tags": [{"key": "b", "value": "2"}]})
    result = served.modules.call("mlflow_experiment", options)
    assert result["experiments"][0]["action"] == "update"
    assert found(url, "raced")["tags"] == {"a": "1", "b": "2"}
    identity = {"experiment_id": found(url, "raced")["experiment_id"]}

    entry["state"] = "absent"
    others("delete", identity)
    result = served.modules.call("mlflow_experiment", options)
    assert (result["changed"], result["experiments"][0]["state"]) == (False, "deleted")

    entry["state"] = "present"
    others("restore", identity)
    result = served.modules.call("mlflow_experiment", options)
    assert (result["changed"], result["experiments"][0]["state"]) == (False, "present")

    # And without a gate, both at the same time.
    many = [{"name": f"both-{number}"} for number in range(30)]
    options = {"tracking_uri": url, "experiments": many}
    running = [served.modules.start("mlflow_experiment", options) for _number in range(2)]
    results = [served.modules.finish(process) for process in running]
    assert [result.get("failed") for result in results] == [None, None], results
    ids = [[item["experiment_id"] for item in result["experiments"]] for result in results]
    assert ids[0] == ids[1]


def basic(user: str, password: str) -> str:
    """Return the header of a login."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.mark.parametrize(
    ("login", "options", "variables"),
    [
        (basic("ada", "s3cr3t-word"), {"username": "ada", "password": "s3cr3t-word"}, {}),
        ("Bearer s3cr3t-word", {"token": "s3cr3t-word"}, {}),
        ("Bearer s3cr3t-word", {}, {"MLFLOW_TRACKING_TOKEN": "s3cr3t-word"}),
        # As for MLflow's clients, a user goes before a token.
        (
            basic("ada", "s3cr3t-word"),
            {"token": "an0ther-word"},
            {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "s3cr3t-word"},
        ),
    ],
)
def test_a_server_that_requires_a_login(
    served: Host, before: Gate, login: str, options: dict[str, Any], variables: dict[str, str]
) -> None:
    """By the options, or by the variables of MLflow's clients; no word of it is shown."""
    before.login = login
    entries = {"experiments": [{"name": "plain"}]}
    uri = {"MLFLOW_TRACKING_URI": before.url}
    result = served.modules.call("mlflow_experiment", {**options, **entries}, **variables, **uri)
    assert "s3cr3t-word" not in json.dumps(result)
    assert served.modules.refuse("mlflow_experiment", entries, **uri) == (
        f"{before.url} refused to search for experiments (HTTP 401: You are not authenticated); set "
        "username and password, or token, to credentials that may do this."
    )


def test_a_certificate_of_one_s_own(served: Host, url: str, tmp_path: Path) -> None:
    """It is verified by the file that is given, by the option or MLflow's variable, or not at all."""
    made = mysql_server.make_certificates("127.0.0.1")
    authority, other = tmp_path / "ca.pem", tmp_path / "other.pem"
    authority.write_text(made.ca)
    other.write_text(mysql_server.make_certificates("127.0.0.1").ca)
    for name, text in (("server.pem", made.server), ("key.pem", made.key)):
        (tmp_path / name).write_text(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "key.pem")
    with gate(url, context) as running:
        options = {"tracking_uri": running.url, "experiments": [{"name": "plain"}]}
        call = served.modules.call
        call("mlflow_experiment", options | {"ca_path": str(authority)})
        call("mlflow_experiment", options, MLFLOW_TRACKING_SERVER_CERT_PATH=str(authority))
        call("mlflow_experiment", options | {"validate_certs": False})
        asked = list(running.requests)
        for wrong in ({}, {"ca_path": str(other)}):
            sentence = served.modules.refuse("mlflow_experiment", options | wrong)
            assert sentence.startswith(f"{running.url} is not reachable ("), sentence
            assert sentence.endswith("this host can reach it."), sentence
        missing = tmp_path / "none.pem"
        assert served.modules.refuse("mlflow_experiment", options | {"ca_path": str(missing)}) == (
            f"ca_path names {missing}, which is not a file on this host; correct the path."
        )
        assert running.requests == asked == [SEARCH] * 3


def test_a_login_in_the_address(served: Host, before: Gate) -> None:
    """It works as with MLflow's clients, and the password is not shown."""
    before.login = basic("ada", "s3cr3t/word")
    uri = before.url.replace("//", "//ada:s3cr3t%2Fword@")
    options = {"tracking_uri": uri, "experiments": [{"name": "plain"}]}
    result = json.dumps(served.modules.call("mlflow_experiment", options))
    before.login = "another one"
    sentence = served.modules.refuse("mlflow_experiment", options)
    assert sentence.startswith(f"{before.url} refused to search for experiments (HTTP 401: ")
    for shown in (result, sentence):
        assert "s3cr3t" not in shown


def test_a_proxy_of_the_environment(served: Host, url: str, before: Gate) -> None:
    """Is used unless it must not, and named where it is the cause."""
    options: dict[str, Any] = {"tracking_uri": url, "experiments": [{"name": "plain"}]}
    served.modules.call("mlflow_experiment", options, http_proxy=before.url)
    assert before.requests == [SEARCH]
    dead = {"http_proxy": "http://127.0.0.1:9"}
    assert served.modules.refuse("mlflow_experiment", options, **dead) == (
        f"{url} is not reachable through the proxy of http_proxy (Connection refused); check that the "
        "MLflow server runs and that this host can reach it."
    )
    served.modules.call("mlflow_experiment", options, no_proxy="127.0.0.1", **dead)
    served.modules.call("mlflow_experiment", options | {"use_proxy": False}, **dead)
    # A host's own servers are never asked through one.
    listed = [{"name": "demo", "url": url, "experiments": [{"name": "plain"}]}]
    served.modules.call("mlflow_project_experiments", {"servers": listed}, **dead)


def test_what_is_no_mlflow_server(served: Host, before: Gate) -> None:
    """One sentence each."""
    options: dict[str, Any] = {"experiments": [{"name": "plain"}], "timeout": 5}

    def sentence(uri: str, answer: Answer | None = None) -> str:
        before.before = lambda _path: answer
        return served.modules.refuse("mlflow_experiment", {**options, "tracking_uri": uri})

    url = before.url
    assert sentence("http://127.0.0.1:1") == (
        "http://127.0.0.1:1 is not reachable (Connection refused); check that the MLflow server runs and "
        "that this host can reach it."
    )
    assert sentence("sqlite:///mlflow.db") == (
        "tracking_uri 'sqlite:///mlflow.db' is not the address of an MLflow server; write one such as "
        "https://mlflow.example.com."
    )
    assert "is not the address" in sentence("http://127.0.0.1:port")
    assert served.modules.refuse("mlflow_experiment", options).startswith("tracking_uri is not set")
    assert sentence(url, (200, b"<html>\nSign in")) == (
        f"{url} does not answer as an MLflow server does (<html>); check tracking_uri."
    )
    assert sentence(url, (302, b"")) == (
        f"{url} redirects to another address (HTTP 302); write that one as tracking_uri."
    )
    assert sentence(f"{url}/deep", (404, b"not found")) == (
        f"{url}/deep cannot search for experiments, as it does not know {API}/experiments/search (HTTP 404); "
        "check tracking_uri and the server's version."
    )
    before.requests.clear()
    assert sentence(url, (503, b"later\nor never")) == (
        f"{url} refused to search for experiments (HTTP 503: later); look at the server's log, then rerun."
    )
    # A search does no harm, so it was tried again.
    assert before.requests == [SEARCH] * 3


def test_what_mlflow_refuses(served: Host, url: str) -> None:
    """Its message in one sentence; what comes before it in the list is done."""
    entries = [{"name": "first"}, {"name": "long", "tags": {"a": "v" * 20001}}, {"name": "last"}]
    options = {"tracking_uri": url, "experiments": entries}
    result = served.modules.finish(served.modules.start("mlflow_experiment", options))
    assert (result["failed"], result["changed"]) == (True, True)
    assert result["msg"] == (
        f"{url} refused to create the experiment 'long' (HTTP 400: 'value' exceeds the maximum length of "
        "20000 characters); correct the entry and rerun."
    )
    assert [(item["name"], item["action"]) for item in result["experiments"]] == [
        ("first", "create")
    ]


def test_experiments_of_projects(served: Host, url: str) -> None:
    """One call for all servers; one that is not there stops no other, and is no fault in check mode."""
    experiments = [{"name": "a"}, {"name": "b/ü", "description": "B", "tags": {"team": "x"}}]
    servers = [
        {"name": name, "url": address(served, name), "experiments": experiments}
        for name in ("demo", "churn")
    ]
    options = {"servers": servers}
    records = change(served, "mlflow_project_experiments", options)
    assert [(item["project"], item["name"], item["action"]) for item in records] == [
        (project, name, "create") for project in ("demo", "churn") for name in ("a", "b/ü")
    ]
    assert found(address(served, "churn"), "b/ü")["tags"]["team"] == "x"

    # A list that no longer has one keeps it; one that was deleted comes back.
    call(url, "experiments/delete", {"experiment_id": found(url, "a")["experiment_id"]})
    servers[0]["experiments"] = [*experiments, {"name": "c", "tags": {"a": "v" * 20001}}]
    servers[1]["experiments"] = [{"name": "d"}]
    servers.append({"name": "off", "url": "http://127.0.0.1:1", "experiments": [{"name": "e"}]})
    foretold = served.modules.call("mlflow_project_experiments", options, check=True)
    assert [item["action"] for item in foretold["experiments"]] == [
        "restore",
        "keep",
        *["create"] * 3,
    ]
    result = served.modules.finish(served.modules.start("mlflow_project_experiments", options))
    assert (result["failed"], result["changed"]) == (True, True)
    assert [(item["name"], item["action"]) for item in result["experiments"]] == [
        ("a", "restore"),
        ("b/ü", "keep"),
        ("d", "create"),
    ]
    assert result["msg"] == (
        "Project 'demo': the server refused to create the experiment 'c' (HTTP 400: 'value' exceeds the "
        "maximum length of 20000 characters); correct the entry and rerun; Project 'off': the server did "
        "not answer when asked to search for experiments ([Errno 111] Connection refused); look at its log."
    )
    assert [item["name"] for item in result["failures"]] == ["demo", "off"]
    assert by_name(served.converge(served.server("churn")))["churn"]["healthy"] is True


@pytest.mark.parametrize(
    ("options", "created"),
    [
        ((), {"ada": "b", "bob": "a", "cy": ""}),
        (("-e", "serial_hosts=1"), {"ada": "b", "bob": "a", "cy": ""}),
        (("--limit", "bob,cy"), {"bob": "a b", "cy": ""}),
        (("-e", "mlflow_backend=local"), {"ada": "b", "bob": "a b", "cy": "a b"}),
    ],
)
def test_hosts_that_share_data_share_the_work(
    tmp_path: Path, options: tuple[str, ...], created: dict[str, str]
) -> None:
    """On AWS the first host of the run that serves a project creates its experiments, in any batch."""
    projects = [{"name": name, "experiments": ["x"]} for name in ("a", "b")] + [{"name": "c"}]
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "mlflow_backend": "aws",
        "mlflow_projects": projects,
    }
    hosts: dict[str, Any] = {"ada": {"mlflow_server_projects": ["b"]}, "bob": {}, "cy": {}}
    roles = [
        {"name": f"mlops.mlflow_aws.mlflow_{name}", "tasks_from": tasks, "public": True}
        for name, tasks in (("project", "main"), ("server", "reach"))
    ]
    play = {
        "hosts": "mlflow_servers",
        "gather_facts": False,
        "serial": "{{ serial_hosts | default('100%') }}",
        "vars": {"mlflow_server_project_records": "{{ mlflow_project_records }}"},
        "tasks": [
            *({"ansible.builtin.import_role": role} for role in roles),
            {
                "ansible.builtin.copy": {
                    "content": "{{ mlflow_server_experiments.keys() | join(' ') }}",
                    "dest": str(tmp_path / "{{ inventory_hostname }}"),
                    "mode": "0600",
                }
            },
        ],
    }
    inventory = {"mlflow_servers": {"hosts": hosts, "vars": variables}}
    (tmp_path / "i.yml").write_text(yaml.safe_dump(inventory))
    (tmp_path / "p.yml").write_text(yaml.safe_dump([play]))
    tools = Path(sys.executable).parent
    command = [str(tools / "ansible-playbook"), "p.yml", "-i", "i.yml", *options]
    run(command, cwd=tmp_path, env=clean_environment(tmp_path, tools), timeout=120)
    found = {name: (tmp_path / name).read_text() for name in hosts if (tmp_path / name).exists()}
    assert found == created
