# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reader of mlflow_projects: defaults, stable ports, and one sentence for each fault."""

from __future__ import annotations

import copy
import random
import re
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._projects import variables
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._projects.records import (
    project_records,
)
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import mysql as program

KEYS = ["name", "port", "description", "owner", "state", "artifact_retention_days", "server"]
KEYS += ["experiments", "members"]


def refusal(projects: Any, base_port: Any = 5001) -> str:
    """Return the sentence with which the list is refused."""
    with pytest.raises(MlflowError) as caught:
        project_records(projects, base_port)
    return str(caught.value)


def server(name: str, value: Any) -> list[dict[str, Any]]:
    """Return a list of one project with one server setting."""
    return [{"name": "demo", "server": {name: value}}]


def test_an_entry_of_nothing_but_a_name_is_complete() -> None:
    """Every key is there, with its default."""
    assert project_records([{"name": "demo"}]) == [
        {
            "name": "demo",
            "port": 5001,
            "port_fixed": False,
            "description": "",
            "owner": "",
            "state": "present",
            "artifact_retention_days": 30,
            "server": {
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
            "experiments": [],
            "members": {},
        }
    ]


def test_an_entry_with_every_key_is_kept() -> None:
    """Nothing that was given is replaced; numbers in the environment become text."""
    entry: dict[str, Any] = {
        "name": "churn",
        "port": 6100,
        "description": "Who leaves",
        "owner": "ada",
        "state": "stopped",
        "artifact_retention_days": 30,
        "server": {
            "workers": 4,
            "allowed_hosts": ["mlflow.example.com", "*.example.com:8443", "[::1]"],
            "environment": {"OMP_NUM_THREADS": 2, "_PRIVATE": "x"},
            "metrics": True,
            "jobs": True,
            "assistant": True,
            "trace_archival": {
                "retention": "30d",
                "interval_seconds": 600,
                "max_traces_per_pass": 100,
                "long_retention_allowlist": ["1", "17"],
            },
            "max_upload_size": "2g",
            "presigned_only": True,
        },
        "experiments": [{"name": "a/b", "description": "", "tags": {"team": "x"}}],
        "members": {"ada": "manage", "*": "read"},
    }
    wanted = copy.deepcopy(entry) | {"port_fixed": True}
    wanted["server"]["environment"]["OMP_NUM_THREADS"] = "2"
    assert project_records([entry]) == [wanted]


def test_null_is_as_good_as_left_out() -> None:
    """A key without a value, as YAML writes `port:`, takes its default."""
    empty: dict[str, Any] = dict.fromkeys(KEYS) | {"name": "demo"}
    settings = dict.fromkeys(project_records([{"name": "demo"}])[0]["server"])
    assert project_records([empty]) == project_records([{"name": "demo"}])
    assert project_records([empty | {"server": settings}]) == project_records([{"name": "demo"}])


def test_the_input_is_left_alone() -> None:
    """Reading changes neither the list nor its entries."""
    projects = [{"name": "demo", "server": {"environment": {"A": 1}}}]
    before = copy.deepcopy(projects)
    project_records(projects)
    assert projects == before


def test_ports_count_up_in_list_order() -> None:
    """An explicit port moves no other."""
    projects = [{"name": "a"}, {"name": "b", "port": 9000}, {"name": "c"}]
    assert [record["port"] for record in project_records(projects, 7000)] == [7000, 9000, 7002]


def test_appending_changes_no_other_record() -> None:
    """Whatever is appended, the records before stay as they were."""
    generator = random.Random(20260701)
    for _number in range(200):
        projects = [entry(generator, number) for number in range(generator.randint(2, 12))]
        records = project_records(projects)
        for length in range(1, len(projects)):
            assert project_records(projects[:length]) == records[:length]


def entry(generator: random.Random, number: int) -> dict[str, Any]:
    """Return a valid entry, with some keys by chance."""
    optional: dict[str, Any] = {
        "port": 10_000 + number,
        "owner": "ada",
        "state": generator.choice(["present", "stopped", "absent"]),
        "artifact_retention_days": generator.randint(1, 36500),
        "server": {"workers": generator.randint(1, 64)},
    }
    chosen = generator.sample(sorted(optional), generator.randint(0, len(optional)))
    return {"name": f"project-{number}"} | {key: optional[key] for key in chosen}


@pytest.mark.parametrize("name", ["a", "demo", "a1", "a-1", "fraud-detection-2", "z" * 40])
def test_good_names(name: str) -> None:
    """A lower-case letter, then letters, digits and single dashes, 40 at most."""
    assert project_records([{"name": name}])[0]["name"] == name


@pytest.mark.parametrize(
    "name",
    ["", "Demo", "1a", "-a", "a-", "a--b", "a_b", "a.b", "a b", "a/b", "ä", "a\n", "z" * 41, 7, []],
)
def test_bad_names(name: Any) -> None:
    """One sentence with the entry, the key and the rule."""
    assert refusal([{"name": "first"}, {"name": name}]) == (
        f"mlflow_projects[1] '{name}': key 'name' must start with a lower-case letter, followed "
        "by lower-case letters, digits and single dashes, 40 characters at most; rename the "
        "project."
    )


def test_random_names_are_judged_like_the_rule_says() -> None:
    """The name's rule, written the long way, agrees on thousands of texts."""
    generator = random.Random(7)
    for _number in range(5000):
        name = "".join(generator.choices("ab1-A_", k=generator.randint(1, 6)))
        good = (
            name[0] in "ab"
            and set(name) <= set("ab1-")
            and "--" not in name
            and not name.endswith("-")
        )
        if good:
            assert project_records([{"name": name}])[0]["name"] == name
        else:
            assert "rename the project" in refusal([{"name": name}])


LISTS: list[tuple[Any, str]] = [
    (
        None,
        (
            "mlflow_projects is not set; list at least one project in group_vars, for example "
            "mlflow_projects: [{name: demo}]."
        ),
    ),
    (
        [],
        (
            "mlflow_projects is empty; list at least one project. To stop a project's servers, keep its "
            "entry and set 'state: absent'."
        ),
    ),
    (
        {"name": "demo"},
        (
            "mlflow_projects is a dictionary; write a list with one entry for each project, for "
            "example [{name: demo}]."
        ),
    ),
    (
        "demo",
        (
            "mlflow_projects is a string; write a list with one entry for each project, for example "
            "[{name: demo}]."
        ),
    ),
    (
        ["demo"],
        "mlflow_projects[0] is a string; write it as a dictionary with at least a name.",
    ),
    (
        [{"name": "a"}, None],
        "mlflow_projects[1] is empty; write it as a dictionary with at least a name.",
    ),
    (
        [{"port": 5001}],
        "mlflow_projects[0]: key 'name' is missing; give the project a name.",
    ),
    (
        [{"name": "demo"}, {"name": "churn"}, {"name": "demo"}],
        (
            "mlflow_projects[2] 'demo': key 'name' has the value 'demo' of mlflow_projects[0] 'demo'; "
            "rename one of them."
        ),
    ),
    (
        [{"name": "demo", "port": 5002}, {"name": "churn"}],
        (
            "mlflow_projects[1] 'churn': key 'port' has the value 5002 of mlflow_projects[0] 'demo'; "
            "give one of them another 'port' (entries without one count up from mlflow_base_port in "
            "list order)."
        ),
    ),
]


@pytest.mark.parametrize(("projects", "sentence"), LISTS)
def test_faults_of_the_list(projects: Any, sentence: str) -> None:
    """One sentence says which entry and what to do."""
    assert refusal(projects) == sentence


UNKNOWN_KEYS: list[tuple[dict[Any, Any], str]] = [
    ({"prot": 5001}, "unknown key 'prot'; did you mean 'port'?"),
    ({"Name": "x"}, "unknown key 'Name'; did you mean 'name'?"),
    ({"onwer": "ada"}, "unknown key 'onwer'; did you mean 'owner'?"),
    ({"retention_days": 3}, "unknown key 'retention_days'; did you mean 'artifact_retention_days'"),
    ({"xyz": 1}, f"unknown key 'xyz'; choose from {', '.join(KEYS)}."),
    ({1: 2}, "unknown key '1'; choose from"),
    ({"server": {"worker": 2}}, "server: unknown key 'worker'; did you mean 'workers'?"),
    ({"server": {"environ": {}}}, "server: unknown key 'environ'; did you mean 'environment'?"),
    (
        {"server": {"qqq": 1}},
        (
            "server: unknown key 'qqq'; choose from workers, allowed_hosts, environment, metrics, jobs, "
            "assistant, trace_archival, max_upload_size, presigned_only."
        ),
    ),
]


@pytest.mark.parametrize(("keys", "sentence"), UNKNOWN_KEYS)
def test_an_unknown_key_names_the_nearest(keys: dict[Any, Any], sentence: str) -> None:
    """A typo is named, with the key that was meant or all that are known."""
    assert refusal([{"name": "demo", **keys}]).startswith(f"mlflow_projects[0] 'demo': {sentence}")


VALUES: list[tuple[str, Any, str]] = [
    ("port", "5001", "is a string; write an integer without quotes."),
    ("port", True, "is true or false; write an integer without quotes."),
    ("port", 5001.5, "is a number; write an integer without quotes."),
    ("port", 80, "is 80, which is out of range; choose 1024 to 65535."),
    ("port", 65536, "is 65536, which is out of range; choose 1024 to 65535."),
    ("port", -1, "is -1, which is out of range; choose 1024 to 65535."),
    ("description", 7, "is a number; write a string, in quotes if necessary."),
    ("owner", ["ada"], "is a list; write a string, in quotes if necessary."),
    ("state", "running", "is 'running'; choose from present, stopped, archived, absent."),
    ("state", True, "is True; choose from present, stopped, archived, absent."),
    ("state", [], "is []; choose from present, stopped, archived, absent."),
    ("artifact_retention_days", 0, "is 0, which is out of range; choose 1 to 36500."),
    ("artifact_retention_days", "30", "is a string; write an integer without quotes."),
    ("server", [], "is a list; write it as a dictionary."),
    ("server", "workers", "is a string; write it as a dictionary."),
]


@pytest.mark.parametrize(("key", "value", "rest"), VALUES)
def test_faults_of_a_value(key: str, value: Any, rest: str) -> None:
    """One sentence with the entry, the key, the fault and the remedy."""
    found = refusal([{"name": "first"}, {"name": "demo", key: value}])
    assert found == f"mlflow_projects[1] 'demo': key '{key}' {rest}"


HOST_REMEDY = "; write a host name such as mlflow.example.com, without scheme or path."
SETTINGS: list[tuple[str, Any, str]] = [
    ("workers", 0, "is 0, which is out of range; choose 1 to 64."),
    ("workers", 65, "is 65, which is out of range; choose 1 to 64."),
    ("workers", "2", "is a string; write an integer without quotes."),
    ("allowed_hosts", "example.com", "is a string; write a list of host names."),
    ("allowed_hosts", {"a": 1}, "is a dictionary; write a list of host names."),
    ("allowed_hosts", ["ok", "http://x"], f"contains 'http://x'{HOST_REMEDY}"),
    ("allowed_hosts", ["a,b"], f"contains 'a,b'{HOST_REMEDY}"),
    ("allowed_hosts", [""], f"contains ''{HOST_REMEDY}"),
    ("allowed_hosts", [5], f"contains 5{HOST_REMEDY}"),
    ("allowed_hosts", ["[::1"], f"contains '[::1'{HOST_REMEDY}"),
    ("allowed_hosts", ["fe80::1%eth0"], f"contains 'fe80::1%eth0'{HOST_REMEDY}"),
    ("allowed_hosts", ["[::1]:0"], f"contains '[::1]:0'{HOST_REMEDY}"),
    ("allowed_hosts", ["a.example:99999"], f"contains 'a.example:99999'{HOST_REMEDY}"),
    ("metrics", "true", "is a string; write true or false without quotes."),
    ("jobs", "yes", "is a string; write true or false without quotes."),
    ("metrics", 1, "is a number; write true or false without quotes."),
    ("max_upload_size", "2 GB", "is '2 GB'; write a size of 1m or more, such as 500m or 2g."),
    ("max_upload_size", "900k", "is '900k'; write a size of 1m or more, such as 500m or 2g."),
    (
        "max_upload_size",
        "9" * 5000,
        f"is '{'9' * 5000}'; write a size of 1m or more, such as 500m or 2g.",
    ),
    ("max_upload_size", 2000, "is a number; write a size of 1m or more, such as 500m or 2g."),
    ("presigned_only", "yes", "is a string; write true or false without quotes."),
    ("trace_archival", "30d", "is a string; write it as a dictionary."),
    ("environment", ["A=1"], "is a list; write it as a dictionary of variables."),
    (
        "environment",
        {"A-B": "1"},
        "contains 'A-B', which is not the name of a variable; use letters, digits and _.",
    ),
    (
        "environment",
        {"1A": "1"},
        "contains '1A', which is not the name of a variable; use letters, digits and _.",
    ),
    (
        "environment",
        {1: "1"},
        "contains 1, which is not the name of a variable; use letters, digits and _.",
    ),
]


@pytest.mark.parametrize(("key", "value", "rest"), SETTINGS)
def test_faults_of_a_server_setting(key: str, value: Any, rest: str) -> None:
    """The sentence names the key below server."""
    assert refusal(server(key, value)) == f"mlflow_projects[0] 'demo': server: key '{key}' {rest}"


def test_a_variable_that_no_process_can_have() -> None:
    """The server would not start; the value is not shown."""
    assert refusal(server("environment", {"TOKEN": "a\0b"})) == (
        "mlflow_projects[0] 'demo': server: key 'environment': variable TOKEN contains a NUL character, "
        "which no variable can; remove it."
    )


@pytest.mark.parametrize(
    ("value", "kind"),
    [(True, "true or false"), (None, "empty"), (1.5, "a number"), (["x"], "a list")],
)
def test_a_variable_that_is_no_text(value: Any, kind: str) -> None:
    """The variable is named, its value is not shown."""
    assert refusal(server("environment", {"TOKEN": value})) == (
        "mlflow_projects[0] 'demo': server: key 'environment': variable TOKEN is "
        f"{kind}; write its value in quotes."
    )


@pytest.mark.parametrize(
    "name",
    [
        "MLFLOW_BACKEND_STORE_URI",
        "MLFLOW_ARTIFACTS_DESTINATION",
        "MLFLOW_DEFAULT_ARTIFACT_ROOT",
        "MLFLOW_REGISTRY_STORE_URI",
        "MLFLOW_SERVER_ALLOWED_HOSTS",
        "MLFLOW_AWS_SETTINGS",
        "_MLFLOW_SERVER_FILE_STORE",
    ],
)
def test_a_variable_that_the_server_owns(name: str) -> None:
    """What the server sets itself cannot be set beside it."""
    assert refusal(server("environment", {name: "x"})) == (
        f"mlflow_projects[0] 'demo': server: key 'environment' sets {name}, which the server sets "
        "itself; remove it."
    )


def test_hosts_are_kept_as_browsers_write_them() -> None:
    """Lower case, and IPv6 in its shortest form and in brackets."""
    given = ["MLflow.Example.com:8443", "2001:0DB8:0:0::5", "[2001:DB8::6]:9", "*.Example.com"]
    [entry] = project_records(server("allowed_hosts", given))
    assert entry["server"]["allowed_hosts"] == [
        "mlflow.example.com:8443",
        "[2001:db8::5]",
        "[2001:db8::6]:9",
        "*.example.com",
    ]


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("MLFLOW_WORKERS", "use 'server.workers'."),
        ("MLFLOW_EXPOSE_PROMETHEUS", "use 'server.metrics'."),
        ("MLFLOW_PORT", "use the project's key 'port'."),
        ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "use 'server.jobs'."),
        (
            "MLFLOW_SERVER_JOB_EXECUTION_ENGINE",
            "remove it, jobs are kept in the project's database.",
        ),
        ("prometheus_multiproc_dir", "use 'server.metrics'."),
        ("MLFLOW_TRACE_ARCHIVAL_CONFIG", "use 'server.trace_archival'."),
        ("MLFLOW_ARTIFACTS_PRESIGNED_ONLY", "use 'server.presigned_only'."),
        (
            "MLFLOW_AUTH_ADMIN_PASSWORD",
            "remove it, servers run without MLflow's basic authentication.",
        ),
    ],
)
def test_a_variable_without_effect_names_what_to_use(name: str, remedy: str) -> None:
    """What only the command line of `mlflow server` reads is not taken and ignored."""
    assert refusal(server("environment", {name: "1"})) == (
        f"mlflow_projects[0] 'demo': server: key 'environment' sets {name}, which has no effect "
        f"here; {remedy}"
    )


AGES = (
    "write the age at which traces are archived in minutes, hours or days, such as 90m, 12h or 30d."
)
ARCHIVAL: list[tuple[dict[str, Any], str]] = [
    ({}, f"key 'retention' is empty; {AGES}"),
    ({"retention": "30 days"}, f"key 'retention' is '30 days'; {AGES}"),
    ({"retention": 30}, f"key 'retention' is a number; {AGES}"),
    (
        {"retention": "30d", "location": "s3://x"},
        (
            "unknown key 'location'; choose from retention, interval_seconds, max_traces_per_pass, "
            "long_retention_allowlist."
        ),
    ),
    (
        {"retention": "30d", "interval_seconds": 0},
        "key 'interval_seconds' is 0, which is out of range; choose 1 to 86400.",
    ),
    (
        {"retention": "30d", "long_retention_allowlist": "1"},
        "key 'long_retention_allowlist' is a string; write a list of experiment IDs.",
    ),
    (
        {"retention": "30d", "long_retention_allowlist": ["churn"]},
        "key 'long_retention_allowlist' contains 'churn'; write the ID of an experiment, a number.",
    ),
]


@pytest.mark.parametrize(("value", "rest"), ARCHIVAL)
def test_faults_of_trace_archival(value: dict[str, Any], rest: str) -> None:
    """The sentence names the key below it."""
    projects = [{"name": "demo", "server": {"jobs": True, "trace_archival": value}}]
    assert refusal(projects) == f"mlflow_projects[0] 'demo': server: trace_archival: {rest}"


def test_traces_are_archived_by_the_job_runner() -> None:
    """Without it the setting would be taken and ignored."""
    assert refusal(server("trace_archival", {"retention": "30d"})) == (
        "mlflow_projects[0] 'demo': server: key 'trace_archival' has no effect without jobs; set "
        "'server.jobs: true', or remove it."
    )


@pytest.mark.parametrize(("name", "needed"), variables.NEED.items())
def test_a_variable_that_needs_a_setting(name: str, needed: str) -> None:
    """Without it the variable would be taken and ignored."""
    assert refusal(server("environment", {name: "1"})) == (
        f"mlflow_projects[0] 'demo': server: key 'environment' sets {name}, which has no effect "
        f"without {needed}; set 'server.{needed}: true', or remove it."
    )
    settings = {"environment": {name: "1"}, needed: True}
    (entry,) = project_records([{"name": "demo", "server": settings}])
    assert entry["server"]["environment"] == {name: "1"}


@pytest.mark.parametrize("name", sorted(program.LIMITS))
def test_a_limit_of_the_servers_own(name: str) -> None:
    """A project may have its own, if it is a number of seconds."""
    assert name in variables.LIMITS
    (entry,) = project_records(server("environment", {name: 4}))
    assert entry["server"]["environment"] == {name: "4"}
    for text in ("soon", "", "0", "-1", "1e3", "86401"):
        assert refusal(server("environment", {name: text})) == (
            f"mlflow_projects[0] 'demo': server: key 'environment': variable {name} is not a "
            "number of seconds; choose 1 to 86400."
        )


@pytest.mark.parametrize(
    ("base", "rest"),
    [
        ("50x1", "is a string; write an integer without quotes."),
        ("", "is a string; write an integer without quotes."),
        ("80", "is 80, which is out of range; choose 1024 to 65535."),
        (True, "is true or false; write an integer without quotes."),
        (1023, "is 1023, which is out of range; choose 1024 to 65535."),
        (65536, "is 65536, which is out of range; choose 1024 to 65535."),
    ],
)
def test_faults_of_the_base_port(base: Any, rest: str) -> None:
    """The variable is named as the inventory writes it."""
    assert refusal([{"name": "demo"}], base) == f"mlflow_base_port {rest}"


def test_a_base_port_from_the_command_line() -> None:
    """It comes as a text of digits."""
    assert project_records([{"name": "demo"}], "6001") == project_records([{"name": "demo"}], 6001)


def test_default_ports_that_run_over_the_top() -> None:
    """The entry that no longer fits is named."""
    assert refusal([{"name": "a"}, {"name": "b"}], 65535) == (
        "mlflow_projects[1] 'b': its default port 65536 is above 65535; lower mlflow_base_port or "
        "give the entry a 'port'."
    )
    records = project_records([{"name": "a"}, {"name": "b", "port": 2000}], 65535)
    assert [record["port"] for record in records] == [65535, 2000]


def test_a_fault_never_shows_an_environment_value() -> None:
    """Whatever else is wrong with an entry that carries a secret."""
    secret = "s3cr3t-value"
    settings: dict[str, Any] = {"environment": {"TOKEN": secret}}
    faults: list[list[Any]] = [
        [{"name": "Demo", "server": settings}],
        [{"name": "demo", "server": settings, "prot": 1}],
        [{"name": "demo", "server": settings | {"workers": "x"}}],
        [{"name": "demo", "server": settings | {"worker": 1}}],
        [{"name": "demo", "server": {"environment": {"TOKEN": [secret]}}}],
        [{"name": "demo", "server": {"environment": {"TOKEN": secret, "B": None}}}],
        [{"name": "demo", "server": settings}, {"name": "demo", "server": settings}],
        [[settings]],
    ]
    for projects in faults:
        assert secret not in refusal(projects)


def test_each_refusal_is_one_line() -> None:
    """No refusal of this file breaks a line or ends without a mark."""
    cases = [projects for projects, _sentence in LISTS]
    cases += [[{"name": "demo", **keys}] for keys, _sentence in UNKNOWN_KEYS]
    cases += [[{"name": "demo", key: value}] for key, value, _rest in VALUES]
    cases += [server(key, value) for key, value, _rest in SETTINGS]
    for projects in cases:
        assert re.fullmatch(r"[^\n]+[.?]", refusal(projects))
