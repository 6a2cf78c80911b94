# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters, as Ansible finds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.mlops.mlflow_aws.plugins.filter import (
    mlflow_any_host,
    mlflow_experiment_requests,
    mlflow_fleet_table,
    mlflow_host_experiments,
    mlflow_installation_files,
    mlflow_inventory_ports,
    mlflow_pending_schemas,
    mlflow_play_limit,
    mlflow_project_records,
    mlflow_renamed,
    mlflow_run_requests,
    mlflow_server_options,
    mlflow_setting_fault,
    mlflow_verified_servers,
)

PLUGINS = (
    mlflow_any_host,
    mlflow_experiment_requests,
    mlflow_fleet_table,
    mlflow_host_experiments,
    mlflow_inventory_ports,
    mlflow_pending_schemas,
    mlflow_play_limit,
    mlflow_project_records,
    mlflow_renamed,
    mlflow_run_requests,
    mlflow_installation_files,
    mlflow_server_options,
    mlflow_setting_fault,
    mlflow_verified_servers,
)
PRESIGNED_SINCE = ".".join(map(str, (*mlflow_setting_fault.SINCE["presigned_only"], 0)))
FILTERS: dict[str, Any] = {
    name: function
    for plugin in PLUGINS
    for name, function in plugin.FilterModule().filters().items()
}


def server(**changes: Any) -> dict[str, Any]:
    """Return a record of a server that runs and answers."""
    base = {
        "name": "demo",
        "action": "keep",
        "planned": False,
        "state": "running",
        "url": "http://127.0.0.1:5001",
        "healthy": True,
        "version": "1.20.3",
        "configuration": "0123456789abcdef",
        "listed": True,
    }
    return base | changes


def table(*servers: dict[str, Any], runs: Sequence[dict[str, Any]] = ()) -> list[str]:
    """Return the table of one host with these servers and verification runs."""
    host = {"inventory_hostname": "ada", "mlflow_verify_host": {"servers": servers, "runs": runs}}
    lines: list[str] = FILTERS["mlflow_fleet_table"]([host])
    return lines


def test_each_file_gives_the_filter_of_its_name() -> None:
    """As its documentation file is named."""
    names = [plugin.__name__.rpartition(".")[2] for plugin in PLUGINS]
    assert list(FILTERS) == names


def test_project_records_are_those_of_the_reader() -> None:
    """With and without a base port."""
    read = FILTERS["mlflow_project_records"]
    assert [record["port"] for record in read([{"name": "a"}, {"name": "b"}])] == [5001, 5002]
    assert [record["port"] for record in read([{"name": "a"}], 6001)] == [6001]


def test_a_fault_is_ansible_s_error_with_the_sentence_alone() -> None:
    """No cause behind it, whose text Ansible would add."""
    with pytest.raises(AnsibleFilterError) as caught:
        FILTERS["mlflow_project_records"]([{"name": "demo", "prot": 1}])
    assert str(caught.value) == (
        "mlflow_projects[0] 'demo': unknown key 'prot'; did you mean 'port'?"
    )
    assert caught.value.__cause__ is None


def test_server_options_join_projects_and_backend() -> None:
    """Each project gets its own place; one that is to go needs none."""
    records = FILTERS["mlflow_project_records"](
        [
            {"name": "demo", "server": {"workers": 2, "environment": {"A": "1"}}},
            {"name": "old", "state": "absent"},
        ]
    )
    place = {"backend_store_uri": "sqlite:////s/demo.db", "artifacts_destination": "/s/demo"}
    made = FILTERS["mlflow_server_options"](records, {"projects": {"demo": place}}, "0.0.0.0")
    assert made == [
        {
            "name": "demo",
            "state": "present",
            "host": "0.0.0.0",
            "port": 5001,
            "backend_store_uri": "sqlite:////s/demo.db",
            "artifacts_destination": "/s/demo",
            "workers": 2,
            "allowed_hosts": [],
            "environment": {"A": "1"},
            "metrics": False,
            "jobs": False,
            "assistant": False,
            "trace_archival": None,
            "max_upload_size": "",
            "presigned_only": False,
        },
        {
            "name": "old",
            "state": "absent",
            "host": "0.0.0.0",
            "port": 5002,
            "backend_store_uri": "",
            "artifacts_destination": "",
            "workers": 1,
            "allowed_hosts": [],
            "environment": {},
            "metrics": False,
            "jobs": False,
            "assistant": False,
            "trace_archival": None,
            "max_upload_size": "",
            "presigned_only": False,
        },
    ]


@pytest.mark.parametrize(
    ("version", "backend", "rest"),
    [
        (PRESIGNED_SINCE, "aws", None),
        ("4.0.1", "aws", None),
        ("2.22.5", "aws", "needs MLflow 3.18 or newer, and this one is 2.22.5; remove it."),
        (PRESIGNED_SINCE, "local", "needs the backend aws; remove it."),
    ],
)
def test_settings_need_an_mlflow_that_has_them(
    version: str, backend: str, rest: str | None
) -> None:
    """The sentence names the project and the key."""
    records = FILTERS["mlflow_project_records"](
        [{"name": "demo"}, {"name": "churn", "server": {"presigned_only": True}}]
    )
    found = FILTERS["mlflow_setting_fault"](records, version, backend)
    where = "mlflow_projects 'churn': server: key 'presigned_only' "
    assert found == (where + rest if rest else "")
    assert FILTERS["mlflow_setting_fault"](records[:1], "2.22.5", "local") == ""
    jobs = FILTERS["mlflow_project_records"]([{"name": "demo", "server": {"jobs": True}}])
    told = FILTERS["mlflow_setting_fault"](jobs, "2.22.5", "local")
    assert told.startswith("mlflow_projects 'demo': server: key 'jobs' needs MLflow 3.17 or newer")


def test_servers_listen_on_loopback_unless_told() -> None:
    """The filter's own default."""
    records = FILTERS["mlflow_project_records"]([{"name": "demo", "state": "absent"}])
    assert FILTERS["mlflow_server_options"](records, {"projects": {}})[0]["host"] == "127.0.0.1"


@pytest.mark.parametrize(
    "host", ["[::1]", "fe80::1%eth0", "127.0.0.1:5001", "http://a", "", "10.0.0", None]
)
def test_an_address_that_nobody_can_listen_on_is_refused(host: Any) -> None:
    """Before anything is touched, with the variable's name."""
    records = FILTERS["mlflow_project_records"]([{"name": "demo"}])
    with pytest.raises(AnsibleFilterError) as caught:
        FILTERS["mlflow_server_options"](records, {"projects": {}}, host)
    sentence = f"No server can listen on {host!r}; set mlflow_server_host to an IP address "
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("record", "asked"),
    [
        (server(), True),
        (server(action="start", state="absent"), True),
        (server(action="restart"), True),
        (server(action="keep", state="stopped"), False),
        (server(action="stop", state="stopped"), False),
        (server(action="remove", state="absent"), False),
        (server(action="stop", planned=True), False),
        (server(action="remove", planned=True), False),
    ],
)
def test_a_run_is_asked_of_servers_that_run_or_will(record: dict[str, Any], asked: bool) -> None:
    """In check mode a server that would be started counts."""
    wanted = [{"name": "demo", "url": record["url"], "key": record["configuration"]}]
    assert FILTERS["mlflow_run_requests"]([record]) == (wanted if asked else [])


def test_a_run_that_is_always_logged_has_no_key() -> None:
    """Then none that was logged before is found."""
    assert FILTERS["mlflow_run_requests"]([server()], True)[0]["key"] == ""


def test_the_table() -> None:
    """One line for each server, in columns, with what a person needs."""
    servers = [
        server(),
        server(name="fraud-detection", url="http://127.0.0.1:5002", healthy=False, version=""),
        server(name="old", state="stopped", healthy=False, version="", listed=False),
        server(name="gone", state="absent", healthy=False, version="", url=""),
    ]
    assert table(*servers, runs=[{"name": "demo", "run_id": "abc123"}]) == [
        "PROJECT          URL                    HEALTH                             MLFLOW  RUN",
        "demo             http://127.0.0.1:5001  ok                                 1.20.3  abc123",
        "fraud-detection  http://127.0.0.1:5002  not answering                      -       -",
        "old              -                      stopped, not listed for this host  -       -",
        "gone             -                      absent                             -       -",
    ]


@pytest.mark.parametrize(
    ("changes", "health"),
    [
        ({"action": "stop", "planned": True, "healthy": False}, "would stop"),
        ({"action": "restart", "planned": True, "healthy": False}, "would restart"),
        ({"action": "start", "planned": True, "healthy": False, "state": "stopped"}, "would start"),
        (
            {"action": "remove", "planned": True, "healthy": False, "listed": False},
            "would remove, not listed for this host",
        ),
        ({"action": "restart", "healthy": False}, "not answering"),
        ({"healthy": False, "refused": True}, "refuses to serve"),
        ({"action": "stop", "healthy": False, "state": "stopped"}, "stopped"),
    ],
)
def test_check_mode_shows_what_would_be_done(changes: dict[str, Any], health: str) -> None:
    """Not an outage, as nobody asked a server that would be changed."""
    [_header, row] = table(server(**changes))
    assert f"  {health}  " in row


def test_the_table_says_which_data_are_kept() -> None:
    """On hosts and on AWS, each name once; nothing where all is listed."""
    found = {"servers": [server()], "runs": []}
    old = {"name": "old", "place": "/s/projects/old"}
    aws = {"kept": [{"name": "gone", "place": "schema mlflow_gone, s3://b/projects/gone"}]}
    hosts: list[dict[str, Any]] = [
        {"inventory_hostname": "ada", "mlflow_verify_host": found | {"kept": [old]}},
        {
            "inventory_hostname": "bob",
            "mlflow_server_check": found | {"up_to_date": True, "kept": [old]},
        },
        {"inventory_hostname": "cy", "mlflow_fleet_failure": "no answer"},
    ]
    fleet = FILTERS["mlflow_fleet_table"]
    assert fleet(hosts)[-2:] == [
        "Not in the list, data kept: old (ada, bob: /s/projects/old)",
        "cy failed: no answer",
    ]
    hosts = [host | {"mlflow_backend_record": aws} for host in hosts[:1]]
    assert fleet(hosts)[-1] == (
        "Not in the list, data kept: old (ada: /s/projects/old), "
        "gone (AWS: schema mlflow_gone, s3://b/projects/gone)"
    )
    ada = {"inventory_hostname": "ada", "mlflow_verify_host": found | {"kept": []}}
    assert len(fleet([ada | {"mlflow_backend_record": {"kind": "local"}}])) == 2


def test_an_old_name_of_a_variable_is_warned_of(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the new one and the release that drops the old; what is not set says nothing."""
    # ansible-test turns these warnings off.
    monkeypatch.setenv("ANSIBLE_DEPRECATION_WARNINGS", "true")
    renamed = FILTERS["mlflow_renamed"]
    assert (renamed("", "old", "new"), renamed(None, "old", "new")) == ("", None)
    assert capfd.readouterr().err == ""
    assert renamed("a.txt", "old", "new") == "a.txt"
    told = " ".join(capfd.readouterr().err.split())
    assert "The variable old was renamed; set new instead." in told
    assert "version 1.0.0" in told


def test_what_hosts_remember_of_the_inventory_holds_no_setting() -> None:
    """Names, ports and states alone, as a server's variables may be secret."""
    records = FILTERS["mlflow_project_records"](
        [
            {"name": "demo", "port": 6001, "server": {"environment": {"TOKEN": "t0k3n"}}},
            {"name": "b"},
        ]
    )
    assert FILTERS["mlflow_inventory_ports"](records, "aws") == {
        "backend": "aws",
        "projects": [
            {"name": "demo", "port": 6001, "port_fixed": True, "state": "present"},
            {"name": "b", "port": 5002, "port_fixed": False, "state": "present"},
        ],
    }


def test_a_table_of_nothing_is_its_header() -> None:
    """Neither servers nor runs."""
    assert table() == ["PROJECT  URL  HEALTH  MLFLOW  RUN"]


def test_the_table_of_all_hosts() -> None:
    """Each host has its servers, or the reason why nothing is known of them."""
    hosts = [
        {
            "inventory_hostname": "ada",
            "mlflow_verify_host": {
                "servers": [server()],
                "runs": [{"name": "demo", "run_id": "abc123"}],
            },
        },
        {"inventory_hostname": "bob", "mlflow_fleet_failure": "Reach this host: no answer"},
        {"inventory_hostname": "cy"},
    ]
    assert FILTERS["mlflow_fleet_table"](hosts) == [
        "HOST  PROJECT  URL                    HEALTH             MLFLOW  RUN",
        "ada   demo     http://127.0.0.1:5001  ok                 1.20.3  abc123",
        "bob   -        -                      failed, see below  -       -",
        "cy    -        -                      not checked        -       -",
        "bob failed: Reach this host: no answer",
    ]


def test_a_host_that_was_skipped_shows_what_was_found() -> None:
    """Only if it was up to date; what was done to it later counts more."""
    seen = {
        "up_to_date": True,
        "servers": [server()],
        "runs": [{"name": "demo", "run_id": "abc123"}],
    }
    ada = {"inventory_hostname": "ada", "mlflow_server_check": seen}
    [_header, row] = FILTERS["mlflow_fleet_table"]([ada])
    assert row.split() == ["demo", "http://127.0.0.1:5001", "ok", "1.20.3", "abc123"]
    done = {"servers": [server()], "runs": [{"name": "demo", "run_id": "def456"}]}
    [_header, row] = FILTERS["mlflow_fleet_table"]([ada | {"mlflow_verify_host": done}])
    assert row.endswith("def456")
    for check in ({"up_to_date": False, "servers": []}, {"unreachable": True}):
        [_header, row] = FILTERS["mlflow_fleet_table"]([ada | {"mlflow_server_check": check}])
        assert "not checked" in row


@pytest.mark.parametrize(
    ("percentage", "limit"),
    [(100, 100), (100.0, 100), ("100", 100), (99.5, 0), ("0", 0), ("no", 100)],
)
def test_a_play_with_a_limit_ends_at_the_first_failure(percentage: Any, limit: int) -> None:
    """What is no number is refused where it is used."""
    assert FILTERS["mlflow_play_limit"](percentage) == limit


def test_a_runtime_is_known_by_its_files() -> None:
    """By few characters, which another file changes."""
    digest = FILTERS["mlflow_installation_files"]
    files = {"mlflow_entry.py": "code"}
    assert digest(["mlflow==1.20.3"], files) == digest(["mlflow==1.20.3"], dict(files))
    assert (
        len({digest(["a"], files), digest(["b"], files), digest(["a"], {"mlflow_entry.py": ""})})
        == 3
    )
    assert len(digest(["a" * 100_000], files)) < 20


def test_the_local_backend_of_a_host_that_was_not_asked() -> None:
    """Its servers name the state folder, as that host will know it."""
    records = FILTERS["mlflow_project_records"]([{"name": "demo"}])
    [found] = FILTERS["mlflow_server_options"](records, {})
    assert found["backend_store_uri"] == "sqlite:///{state_dir}/projects/demo/mlflow.db"
    assert found["artifacts_destination"] == "{state_dir}/projects/demo/artifacts"


def test_the_table_of_one_host_does_not_repeat_its_name() -> None:
    """A colleague with one laptop sees projects."""
    found = {"servers": [server()], "runs": []}
    [header, row] = FILTERS["mlflow_fleet_table"](
        [{"inventory_hostname": "ada", "mlflow_verify_host": found}]
    )
    assert header.startswith("PROJECT")
    assert row.startswith("demo")


def test_a_host_serves_the_projects_that_it_names() -> None:
    """All without a list, none with an empty one."""
    records = FILTERS["mlflow_project_records"]([{"name": "demo"}, {"name": "churn"}])
    options = FILTERS["mlflow_server_options"]

    def served(*names: str) -> list[str]:
        found = options(records, {"projects": {}}, "127.0.0.1", "", list(names))
        return [server["name"] for server in found]

    assert [server["name"] for server in options(records, {"projects": {}})] == ["demo", "churn"]
    assert served("churn") == ["churn"]
    assert served() == []


@pytest.mark.parametrize(
    ("projects", "sentence"),
    [
        (["churm"], "mlflow_server_projects names 'churm', .*; did you mean 'churn'"),
        (["zz"], "mlflow_server_projects names 'zz', .*; list it there too, or remove it here"),
        ("churn", "mlflow_server_projects is the string 'churn'; write a list"),
    ],
)
def test_a_host_cannot_serve_what_is_not_in_the_list(projects: object, sentence: str) -> None:
    """A misspelt name would stop the server that was meant."""
    options = FILTERS["mlflow_server_options"]
    with pytest.raises(AnsibleFilterError, match=sentence):
        options(
            FILTERS["mlflow_project_records"]([{"name": "churn"}]),
            {"projects": {}},
            "127.0.0.1",
            "",
            projects,
        )


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ([], False),
        ([{}], False),
        ([{}, {"runtime": "docker"}], True),
        ([{"runtime": "docker", "state": "absent"}, {"state": "present"}], False),
    ],
)
def test_any_host_has_all_values(hosts: list[dict[str, str]], expected: bool) -> None:
    """One host must have all of them, set or by default."""
    wanted = {"runtime": "docker", "state": "present"}
    defaults = {"runtime": "process", "state": "present"}
    assert FILTERS["mlflow_any_host"](hosts, wanted, defaults) is expected


UNREACHABLE = "HTTP 503: the database is not reachable: Can't connect to MySQL server on 'db'"
READ_THE_LOG = "look at the server's log, then run the verify playbook."


def test_schemas_that_are_not_current_are_pending() -> None:
    """In the order of the list; one of which nothing was read is pending, too."""
    mlflow = {
        "version": "1.20.3",
        "head": "two",
        "revisions": ["one", "two"],
        "tables": {"one": 3, "two": 4},
    }
    found = [
        {"name": "current", "tables": 4, "revision": "two"},
        {"name": "empty", "tables": 0, "revision": ""},
        {"name": "behind", "tables": 3, "revision": "one"},
        {"name": "half", "tables": 2, "revision": "two"},
        {"name": "newer", "tables": 5, "revision": "three"},
    ]
    names = ["unread", "newer", "half", "behind", "current", "empty"]
    schemas = [{"name": name} for name in names]
    pending = FILTERS["mlflow_pending_schemas"](schemas, found, mlflow)
    assert pending == ["unread", "newer", "half", "behind", "empty"]


def verdict(*arguments: Any) -> tuple[dict[str, Any], str]:
    """Return the records of a verdict by name, and what it says."""
    found = FILTERS["mlflow_verified_servers"](*arguments)
    return {record["name"]: record for record in found["servers"]}, found["problem"]


@pytest.mark.parametrize(
    ("state", "action", "down"),
    [
        ("running", "keep", False),
        ("stopped", "keep", True),
        ("absent", "keep", True),
        # What check mode says.
        ("absent", "start", False),
        ("running", "restart", False),
    ],
)
def test_a_server_that_is_expected_must_run(state: str, action: str, down: bool) -> None:
    """One that nobody expects may be stopped."""
    record = server(state=state, action=action, healthy=state == "running")
    assert verdict([record]) == ({"demo": record}, "")
    records, problem = verdict([record], ["demo"])
    said = "Project 'demo': the server is not running; run the servers playbook."
    assert problem == (said if down else "")
    assert records["demo"].get("verified", True) is not down


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"healthy": False, "reason": "HTTP 503: gone"}, "HTTP 503: gone"),
        ({"healthy": False}, "the server does not answer"),
        # What is to be changed was not asked.
        ({"healthy": False, "planned": True, "action": "restart"}, ""),
    ],
)
def test_in_check_mode_the_record_says_how_a_server_is(
    changes: dict[str, Any], reason: str
) -> None:
    """No run is logged then, and none may be there; one that is found is better than a first look."""
    said = f"Project 'demo': {reason}; {READ_THE_LOG}" if reason else ""
    assert verdict([server(**changes)], ["demo"], {"runs": []})[1] == said
    runs = [{"name": "demo", "run_id": "abc123"}]
    assert verdict([server(**changes)], ["demo"], {"runs": runs})[1] == ""


def test_a_server_that_is_not_there_has_a_row() -> None:
    """The table shows it as absent, beside those that are well."""
    found = FILTERS["mlflow_verified_servers"]([server()], ["demo", "churn"])
    assert found["problem"] == (
        "Project 'churn': this host has no server for it; run the servers playbook."
    )
    assert table(*found["servers"])[1:] == [
        "demo     http://127.0.0.1:5001  ok      1.20.3  -",
        "churn    -                      absent  -       -",
    ]


def test_a_reason_is_said_once_with_all_its_projects() -> None:
    """What has another reason, or another remedy, is a part of its own."""
    names = ["a", "b", "c", "d", "e"]
    servers = [server(name=name) for name in names[:4]] + [server(name="e", state="stopped")]
    failures = [{"name": name, "reason": UNREACHABLE} for name in names[:3]]
    failures.append({"name": "d", "reason": "timed out"})
    assert verdict(servers, names, {"failures": failures})[1] == (
        f"Projects 'a', 'b' and 'c': {UNREACHABLE}; Project 'd': timed out; {READ_THE_LOG} "
        "Project 'e': the server is not running; run the servers playbook."
    )
    records, problem = verdict(servers[:2], names[:2], {"failures": failures[:1]})
    assert problem == f"Project 'a': {UNREACHABLE}; {READ_THE_LOG}"
    assert [records["a"]["reason"], records["b"]] == [UNREACHABLE, servers[1]]


def test_a_failed_host_keeps_the_rows_of_its_servers() -> None:
    """The reason stands below."""
    found = FILTERS["mlflow_verified_servers"](
        [server(healthy=False), server(name="churn")],
        [],
        # The first look was too short for demo, whose database slept.
        {
            "runs": [{"name": "demo", "run_id": "abc123"}],
            "failures": [{"name": "churn", "reason": "timed out"}],
        },
    )
    ada = {
        "inventory_hostname": "ada",
        "mlflow_verify_host": {
            "servers": found["servers"],
            "runs": [{"name": "demo", "run_id": "abc123"}],
        },
        "mlflow_fleet_failure": f"Check: {found['problem']}",
    }
    assert FILTERS["mlflow_fleet_table"]([ada]) == [
        "PROJECT  URL                    HEALTH  MLFLOW  RUN",
        "demo     http://127.0.0.1:5001  ok      1.20.3  abc123",
        "churn    http://127.0.0.1:5001  failed  1.20.3  -",
        f"ada failed: Check: Project 'churn': timed out; {READ_THE_LOG}",
    ]


def experiments(*states: str, **more: Any) -> list[dict[str, Any]]:
    """Return project records with an experiment each, named a, b and so on."""
    listed = [
        {"name": name, "state": state, "experiments": [f"of {name}"], **more}
        for name, state in zip("abcd", states, strict=False)
    ]
    records: list[dict[str, Any]] = FILTERS["mlflow_project_records"](listed)
    return records


def host_variables(name: str, **variables: Any) -> dict[str, Any]:
    """Return the variables of a host, as hostvars has them."""
    return {"inventory_hostname": name, **variables}


def test_each_host_with_data_of_its_own_creates_its_experiments() -> None:
    """Of projects that it serves and that have some."""
    select = FILTERS["mlflow_host_experiments"]
    records = experiments("present", "stopped", "absent", "present")
    plain = FILTERS["mlflow_project_records"]([{"name": "plain"}])
    named = {
        name: [item["name"] for item in found] for name, found in select(records, "abcd").items()
    }
    assert named == {"a": ["of a"], "d": ["of d"]}
    assert list(select([*records, *plain], ["a", "plain"])) == ["a"]


@pytest.mark.parametrize(
    ("hosts", "creates"),
    [
        ([{}, {}, {}], ["ab", "", ""]),
        ([{"mlflow_server_state": "stopped"}, {}, {}], ["ab", "ab", ""]),
        (
            [{"mlflow_server_projects": ["b"]}, {"mlflow_server_projects": ["a"]}, {}],
            ["b", "a", ""],
        ),
        ([{"mlflow_server_projects": []}, {}, {}], ["", "ab", ""]),
        ([{"mlflow_projects": [{"name": "a"}]}, {}, {}], ["ab", "b", ""]),
        ([{"mlflow_projects": [{"name": "a", "state": "stopped"}]}, {}, {}], ["ab", "ab", ""]),
        ([{"mlflow_projects": [{"name": "a", "state": None}, "typo"]}, {}, {}], ["ab", "b", ""]),
    ],
)
def test_hosts_that_share_data_create_each_experiment_once(
    hosts: list[dict[str, Any]], creates: list[str]
) -> None:
    """Through the first host that serves its project; a stopped one has no server to do it through."""
    select = FILTERS["mlflow_host_experiments"]
    records = experiments("present", "present")
    variables = [host_variables(str(number), **host) for number, host in enumerate(hosts)]
    for number, host in enumerate(hosts):
        served = host.get("mlflow_server_projects", ["a", "b"])
        found = select(records, served, str(number), iter(variables))
        assert "".join(found) == creates[number], number


def test_variables_of_hosts_are_read_no_further_than_necessary() -> None:
    """With many hosts each would take its time."""
    select = FILTERS["mlflow_host_experiments"]
    read: list[int] = []

    def variables() -> Any:
        for number in range(100):
            read.append(number)
            yield host_variables(str(number))

    assert select(experiments("present"), ["a"], "99", variables()) == {}
    assert read == [0]
    assert (
        select(FILTERS["mlflow_project_records"]([{"name": "a"}]), ["a"], "99", variables()) == {}
    )
    assert read == [0]


def test_experiments_are_created_through_servers_that_run() -> None:
    """Or in check mode would."""
    servers = [
        server(),
        server(name="new", action="start", state="stopped", planned=True),
        server(name="off", state="stopped"),
        server(name="other"),
    ]
    listed = {name: [{"name": "x"}] for name in ("demo", "new", "off")}
    found = FILTERS["mlflow_experiment_requests"](servers, listed)
    assert [item["name"] for item in found] == ["demo", "new"]
    assert found[0] == {
        "name": "demo",
        "url": "http://127.0.0.1:5001",
        "experiments": [{"name": "x"}],
    }
