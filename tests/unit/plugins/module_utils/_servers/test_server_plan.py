# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a host's servers: what is done for each state wanted and found, and why."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import (
    KEEP,
    REMOVE,
    STOP,
    FoundServer,
    Step,
    WantedServer,
    difference,
    plan,
    redacted,
    wanted_server,
)

RUNTIME = "1.20.3-0123456789ab"
SECRET = "s3cr3t-value"
STATES = ("present", "stopped", "absent")


def options(**changes: Any) -> dict[str, Any]:
    """Return a server's module options."""
    base: dict[str, Any] = {
        "name": "demo",
        "state": "present",
        "host": "127.0.0.1",
        "port": 5001,
        "workers": 1,
        "backend_store_uri": "sqlite:////s/projects/demo/mlflow.db",
        "artifacts_destination": "/s/projects/demo/artifacts",
        "allowed_hosts": [],
        "environment": {},
    }
    return base | changes


def wanted(cap: str = "present", runtime: str = RUNTIME, **changes: Any) -> WantedServer:
    """Return one server as wanted."""
    return wanted_server(options(**changes), cap, runtime)


def found(like: WantedServer, **changes: Any) -> FoundServer:
    """Return the server as running with this configuration, but for the changes."""
    base: dict[str, Any] = {
        "name": like.name,
        "running": True,
        "known": True,
        "configuration": like.configuration,
        "pid": 4711,
        "settings": redacted(like.settings),
    }
    return FoundServer(**(base | changes))


def only_step(server: WantedServer, *servers: FoundServer) -> Step:
    """Return the single step of a plan."""
    steps = plan([server], {item.name: item for item in servers}, KEEP)
    assert len(steps) == 1
    return steps[0]


RUNNING = {"running": True, "known": True}
OTHER = {"running": True, "known": True, "configuration": "0000000000000000"}
STOPPED = {"running": False, "known": True}
# A process that Supervisor runs although its folder is gone.
FOLDERLESS = {"running": True, "known": False}

ACTIONS: list[tuple[str, dict[str, Any] | None, str]] = [
    ("present", None, "start"),
    ("present", STOPPED, "start"),
    ("present", RUNNING, "keep"),
    ("present", OTHER, "restart"),
    ("stopped", None, "keep"),
    ("stopped", STOPPED, "keep"),
    ("stopped", RUNNING, "stop"),
    ("stopped", OTHER, "stop"),
    ("absent", None, "keep"),
    ("absent", STOPPED, "remove"),
    ("absent", RUNNING, "remove"),
    ("absent", OTHER, "remove"),
    ("absent", FOLDERLESS, "remove"),
]


@pytest.mark.parametrize(("state", "changes", "action"), ACTIONS)
def test_action(state: str, changes: dict[str, Any] | None, action: str) -> None:
    """Every wanted state meets every found one."""
    server = wanted(state=state)
    there = [] if changes is None else [found(server, **changes)]
    step = only_step(server, *there)
    assert step.action == action
    assert step.changed is (action != "keep")
    runs = action in ("start", "restart") or (state == "present" and action == "keep")
    assert step.runs is runs


@pytest.mark.parametrize(("own", "cap"), list(itertools.product(STATES, STATES)))
def test_the_module_state_caps_each_server(own: str, cap: str) -> None:
    """Present lets each have its own state; stopped starts none; absent removes all."""
    rank = ["absent", "stopped", "present"]
    assert wanted(cap, state=own).state == rank[min(rank.index(own), rank.index(cap))]


def test_steps_come_in_the_order_of_the_list() -> None:
    """The records of the module follow the inventory."""
    names = ["churn", "a", "demo"]
    steps = plan([wanted(name=name) for name in names], {}, STOP)
    assert [step.name for step in steps] == names


UNLISTED: list[tuple[str, list[tuple[str, str]]]] = [
    (KEEP, []),
    (STOP, [("aged", STOP), ("old", STOP)]),
    (REMOVE, [("aged", REMOVE), ("gone", REMOVE), ("left", REMOVE), ("old", REMOVE)]),
]


@pytest.mark.parametrize(("unlisted", "steps"), UNLISTED)
def test_unlisted_servers(unlisted: str, steps: list[tuple[str, str]]) -> None:
    """Those that run stop if asked; removing takes what is down, too, and a volume that was left alone."""
    servers = {
        name: found(wanted(name=name), running=running)
        for name, running in (("old", True), ("gone", False), ("demo", True), ("aged", True))
    }
    servers["left"] = FoundServer("left", known=True)
    planned = plan([wanted()], servers, unlisted)
    assert [(step.name, step.action) for step in planned] == [("demo", KEEP), *steps]
    assert [step.name for step in planned if step.wanted] == ["demo"]
    shown = difference(planned)
    states = {name: after["state"] for name, after in shown["after"].items()}
    assert states == {
        name: "absent" if unlisted == REMOVE else "stopped" for name, _action in steps
    }


def test_a_plan_that_was_carried_out_leaves_nothing_to_do() -> None:
    """For every pair of wanted and found: what the first plan makes, the second keeps."""
    for state, changes, _action in ACTIONS:
        server = wanted(state=state)
        there = [] if changes is None else [found(server, **changes)]
        step = only_step(server, *there)
        after = {
            "keep": there,
            "start": [found(server)],
            "restart": [found(server)],
            "stop": [found(server, running=False, pid=0)],
            "remove": [],
        }[step.action]
        assert not only_step(server, *after).changed


IDENTITY = {"secret": "arn:secret", "user": "mlflow_rt_demo", "ca": "-----BEGIN CERTIFICATE-----"}
AWS = {"region": "eu-central-1", "endpoint_url": "", "role_arn": None, "profile": None}


def test_identities_reach_the_server_where_they_are_given() -> None:
    """What is left out stays out; a server without any is what it was before they existed."""
    plain = wanted()
    assert not {"database", "aws"} & set(plain.settings)
    assert wanted(database=None, aws=None) == plain
    server = wanted(database=IDENTITY, aws=AWS)
    assert server.settings["database"] == IDENTITY
    assert server.settings["aws"] == {"region": "eu-central-1", "endpoint_url": ""}


def test_the_difference_holds_no_certificate() -> None:
    """It is long, so another one shows as another hash of it."""
    step = only_step(wanted(database=IDENTITY), found(wanted(database={**IDENTITY, "ca": "old"})))
    shown = difference([step])
    assert "BEGIN" not in json.dumps(shown)
    before, after = (shown[key]["demo"]["database"] for key in ("before", "after"))
    assert before["ca"].startswith("sha256:")
    assert before["ca"] != after["ca"]
    assert {**before, "ca": ""} == {**after, "ca": ""} == {**IDENTITY, "ca": ""}


def test_the_difference_redacts_once() -> None:
    """What was found is redacted already, so what stays the same shows the same."""
    environment = {"B": "first", "A": "second"}
    was = wanted(database=IDENTITY, environment=environment)
    will = wanted(database=IDENTITY, environment=environment, workers=2)
    shown = difference([only_step(will, found(was))])
    before, after = (shown[key]["demo"] for key in ("before", "after"))
    differing = {key for key in before if before[key] != after[key]}
    assert differing == {"workers", "configuration"}
    assert before["environment"] == ["A", "B"]


@pytest.mark.parametrize(
    "change",
    [
        {"database": IDENTITY},
        {"aws": AWS},
        {"host": "0.0.0.0"},
        {"port": 5002},
        {"workers": 2},
        {"backend_store_uri": "sqlite:////s/other.db"},
        {"artifacts_destination": "/s/other"},
        {"allowed_hosts": ["mlflow.example.com"]},
        {"environment": {"A": "1"}},
        {"metrics": True},
        {"jobs": True},
        {"trace_archival": {"retention": "30d"}},
        {"max_upload_size": "1g"},
        {"presigned_only": True},
        {"assistant": True},
    ],
)
def test_each_setting_makes_another_configuration(change: dict[str, Any]) -> None:
    """And the same setting makes the same one again."""
    assert wanted(**change).configuration != wanted().configuration
    assert wanted(**change).configuration == wanted(**change).configuration


def test_hosts_and_origins_reach_the_server() -> None:
    """Both follow from one list; a key that says nothing is left out, so that nothing restarts."""
    settings = wanted(allowed_hosts=["MLflow.Example.com"]).settings
    assert settings["allowed_hosts"][:2] == ["mlflow.example.com", "mlflow.example.com:*"]
    assert settings["allowed_origins"][:2] == [
        "http://mlflow.example.com",
        "http://mlflow.example.com:*",
    ]
    off = wanted(
        metrics=False, jobs=False, trace_archival=None, max_upload_size="", presigned_only=False
    )
    assert not {"allowed_origins", "metrics", "jobs", "trace_archival"} & set(off.settings)
    assert off.configuration == wanted().configuration


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"max_upload_size": "2 GB"},
            "max_upload_size is '2 GB'; write a size such as 500m or 2g.",
        ),
        ({"allowed_hosts": ["http://x"]}, "allowed_hosts holds 'http://x'; write a host name "),
        ({"host": "[::1]"}, "No server can listen on '[::1]'; set mlflow_server_host to "),
    ],
)
def test_a_name_that_cannot_be_is_refused(change: dict[str, Any], sentence: str) -> None:
    """Also where the module is used without the list of projects."""
    with pytest.raises(MlflowError) as caught:
        wanted(**change)
    assert str(caught.value).startswith(sentence)


def test_what_does_not_reach_the_server_changes_no_configuration() -> None:
    """State, cap and the order of variables do not restart a server; another MLflow does.

    Nor does a number that stands for its text.
    """
    numbers, texts = wanted(environment={"A": 1}), wanted(environment={"A": "1"})
    assert numbers.settings == texts.settings
    assert len({wanted(cap, state=own).configuration for own in STATES for cap in STATES}) == 1
    forth = wanted(environment={"A": "1", "B": "2"})
    back = wanted(environment={"B": "2", "A": "1"})
    assert forth.configuration == back.configuration
    assert forth.configuration != wanted(environment={"A": "2", "B": "1"}).configuration
    assert wanted(runtime="1.20.2-0123456789ab").configuration != wanted().configuration


def test_the_configuration_fits_a_file_name() -> None:
    """Sixteen hexadecimal digits, as the settings file's name and its reader want."""
    digest = wanted().configuration
    assert len(digest) == 16
    assert set(digest) <= set("0123456789abcdef")


def test_the_difference_shows_only_what_changes() -> None:
    """Before and after by server; a kept one does not appear."""
    kept, fresh = wanted(name="kept"), wanted(name="fresh", port=5002)
    moved, old = wanted(name="moved", port=5003), wanted(name="moved", port=6003)
    gone = wanted(name="gone", state="absent")
    servers = {item.name: item for item in (found(kept), found(old), found(gone, running=False))}
    shown = difference(plan([kept, fresh, moved, gone], servers, STOP))
    assert set(shown["before"]) == set(shown["after"]) == {"fresh", "moved", "gone"}
    assert shown["before"]["fresh"] == {"state": "absent"}
    assert shown["after"]["fresh"]["port"] == 5002
    assert (shown["before"]["moved"]["port"], shown["after"]["moved"]["port"]) == (6003, 5003)
    assert shown["before"]["moved"]["state"] == shown["after"]["moved"]["state"] == "running"
    assert shown["before"]["gone"]["state"] == "stopped"
    assert shown["after"]["gone"] == {"state": "absent"}


def test_the_difference_of_a_stop_is_the_state_alone() -> None:
    """ListedProject or not, settings are the same before and after."""
    listed, unlisted = wanted(state="stopped"), wanted(name="old")
    servers = {"demo": found(listed), "old": found(unlisted)}
    shown = difference(plan([listed], servers, STOP))
    for name in ("demo", "old"):
        before, after = shown["before"][name], shown["after"][name]
        assert (before.pop("state"), after.pop("state")) == ("running", "stopped")
        assert before == after


def test_the_difference_never_holds_an_environment_value() -> None:
    """Names of variables show, and another value shows as another configuration."""
    for state, changes, _action in ACTIONS:
        server = wanted(state=state, environment={"TOKEN": SECRET})
        there = [] if changes is None else [found(server, **changes)]
        for unlisted in (True, False):
            steps = plan([] if unlisted else [server], {item.name: item for item in there}, STOP)
            shown = json.dumps(difference(steps))
            assert SECRET not in shown
            assert "TOKEN" in shown or not any(step.changed and step.runs for step in steps)
    was, will = (wanted(environment={"TOKEN": value}) for value in ("first-token", "other-token"))
    shown = json.dumps(difference([only_step(will, found(was))]))
    assert was.configuration in shown
    assert will.configuration in shown
    assert "first-token" not in shown
    assert "other-token" not in shown
