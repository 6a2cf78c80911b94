# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a MySQL schema is taken for, and how MLflow is asked to migrate it."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.mysql_migration import (
    MysqlSchema,
    classify,
    migrate,
    require_whole,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.mysql_runners import (
    VERB,
    Access,
    ProcessRunner,
    parse,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.revisions import (
    Revisions,
    revisions_of,
)
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT

KNOWN = Revisions(
    "1.20.3", "head", frozenset({"head", "older", "oldest"}), {"head": 65, "older": 40}
)
ITEM = {
    "name": "demo",
    "uri": "mysql+pymysql://db.example.com:3306/mlflow_demo",
    "database": {"user": "mlflow_mg_demo", "secret": "s", "ca": ""},
}


def record(tables: int, revision: str, *obstacles: str) -> dict[str, Any]:
    """Return what mlflow_project_schema found."""
    return {"name": "demo", "tables": tables, "revision": revision, "obstacles": obstacles}


STATES: list[tuple[dict[str, Any] | None, Revisions | None, str]] = [
    (record(0, ""), KNOWN, "empty"),
    (record(0, ""), None, "empty"),
    (record(65, "head"), KNOWN, "current"),
    (record(65, "head", "an obstacle"), KNOWN, "current"),
    (record(40, "older"), KNOWN, "behind"),
    (record(7, "oldest"), KNOWN, "behind"),
    (record(46, "older"), KNOWN, "half"),
    (record(64, "head"), KNOWN, "half"),
    (record(5, ""), KNOWN, "half"),
    (record(5, ""), None, "half"),
    (record(40, "older"), None, "unknown"),
    (None, KNOWN, "unknown"),
]


@pytest.mark.parametrize(("found", "known", "state"), STATES)
def test_states(found: dict[str, Any] | None, known: Revisions | None, state: str) -> None:
    """By number of tables, revision, and what MLflow knows."""
    schema = classify(ITEM, found, known)
    assert schema == MysqlSchema(
        "demo", "mlflow_demo", state, found["revision"] if found else "", dict(ITEM)
    )


REFUSED: list[tuple[Mapping[str, Any], dict[str, Any] | None, str]] = [
    (ITEM, record(70, "newer"), "revision newer, which MLflow 1.20.3 does not know"),
    (ITEM, record(0, "", "the log is on"), "would fail half-way, since the log is on"),
    (ITEM, record(40, "older", "a", "b"), "since a; and b"),
    ({**ITEM, "uri": "mysql://db/mlflow_demo"}, None, "is not mysql"),
    ({**ITEM, "uri": "mysql+pymysql://u:p@db/mlflow_demo"}, None, "without user"),
    ({**ITEM, "uri": "mysql+pymysql://db/mlflow_demo?a=b"}, None, "without user"),
]


@pytest.mark.parametrize(("item", "found", "reason"), REFUSED)
def test_what_must_not_be_migrated(
    item: Mapping[str, Any], found: dict[str, Any] | None, reason: str
) -> None:
    """One sentence that names the project."""
    with pytest.raises(MlflowError) as caught:
        classify(item, found, KNOWN)
    assert str(caught.value).startswith("Project 'demo': ")
    assert reason in str(caught.value)
    assert ":p@" not in str(caught.value)


def test_half_migrated_schemas() -> None:
    """Explained with the remedy, and let through where they are to be repaired."""
    found = {"demo": record(46, "older")}
    schema = classify(ITEM, found["demo"], KNOWN)
    with pytest.raises(MlflowError, match="half-migrated: its 46 tables") as caught:
        require_whole([schema], found, [])
    assert "name mlflow_demo in repair" in str(caught.value)
    require_whole([schema], found, ["mlflow_demo"])
    with pytest.raises(MlflowError, match="is not the schema of any project here"):
        require_whole([schema], found, ["demo"])
    # So that a run with the same options can be repeated.
    whole = classify(ITEM, record(65, "head"), KNOWN)
    require_whole([whole], found, ["mlflow_demo"])


@pytest.mark.mlflow
def test_what_mlflow_tells_of_itself() -> None:
    """The committed file is understood, and so is none."""
    told = json.loads((CHECKOUT / "docker" / "mlflow.json").read_text())
    known = revisions_of(told)
    assert known
    assert known.head in known.known
    assert known.tables[known.head] > 50
    assert revisions_of({}) is None
    assert revisions_of(None) is None
    with pytest.raises(MlflowError, match="lacks version, head or revisions"):
        revisions_of({"version": "3"})


class Recorder:
    """A runner that keeps the requests and tells of some schemas."""

    def __init__(self, *names: str) -> None:
        """Tell of these projects."""
        self.names = names
        self.requests: list[Mapping[str, Any]] = []

    def run(
        self, request: Mapping[str, Any], timeout: float, verb: str = VERB
    ) -> list[dict[str, Any]]:
        """Keep the request."""
        assert verb == VERB
        assert timeout > request["timeout"]
        self.requests.append(request)
        told = {"before": "", "after": "head", "repaired": False, "error": ""}
        names = [item["name"] for item in request["schemas"]]
        return [{"name": name, **told} for name in names if name in self.names]


def test_one_request_for_all() -> None:
    """Those to repair apart; a schema of which nothing was told is an error."""
    schemas = [
        MysqlSchema(name, f"mlflow_{name}", "behind", "older", {"name": name}) for name in "abcd"
    ]
    runner = Recorder("a", "b", "d")
    aws = {"region": "x"}
    told = migrate(runner, schemas, aws, repair=["mlflow_d"], workers=3, timeout=9)
    common = {"aws": aws, "workers": 3, "timeout": 9}
    assert runner.requests == [
        {"schemas": [{"name": name} for name in "abc"], "repair": False, **common},
        {"schemas": [{"name": "d"}], "repair": True, **common},
    ]
    assert [told[name]["error"] for name in "abd"] == [""] * 3
    assert told["c"]["error"].startswith("Project 'c': MLflow said nothing about schema mlflow_c")
    assert told["c"]["after"] == told["c"]["before"] == "older"


ENTRY = """
import json, os, stat, sys
verb, path = sys.argv[1:]
request = json.load(open(path))
if request["aws"] == "fail":
    sys.exit("noise\\nmlflow_entry: The request is of no use.")
modes = [stat.S_IMODE(os.stat(place).st_mode) for place in (path, os.path.dirname(path))]
print("something else")
print(json.dumps({"name": verb, "modes": modes, "path": path, "echo": request}))
"""


def test_process_runner(tmp_path: Path) -> None:
    """The request is in a file of this user's that is gone afterwards; noise is passed over."""
    entry = tmp_path / "entry.py"
    entry.write_text(ENTRY)
    runner = ProcessRunner(sys.executable, str(entry))
    (told,) = runner.run({"aws": {}, "schemas": []}, 30)
    assert told["name"] == "migrate-all"
    assert told["modes"] == [stat.S_IRUSR | stat.S_IWUSR, stat.S_IRWXU]
    assert told["echo"] == {"aws": {}, "schemas": []}
    assert not Path(told["path"]).parent.exists()
    with pytest.raises(MlflowError) as caught:
        runner.run({"aws": "fail"}, 30)
    assert str(caught.value) == (
        "MLflow's migrate-all failed with code 1 (The request is of no use); rerun."
    )
    with pytest.raises(MlflowError, match="migrate-all failed"):
        ProcessRunner(str(tmp_path / "none"), str(entry)).run({}, 30)


def test_a_migration_with_a_broker_has_no_profile() -> None:
    """It asks the socket alone."""
    aws = {"region": "eu-central-1", "endpoint_url": "", "profile": "team"}
    assert Access().of(aws) == aws
    assert Access("/run/aws.sock").of(aws) == {
        "region": "eu-central-1",
        "endpoint_url": "",
        "broker": "/run/aws.sock",
    }


def test_parse() -> None:
    """One record for each line; a failure without a word is one too."""
    assert parse(VERB, 0, '{"name": "a"}\n{"name": "b"}\n', "") == [{"name": "a"}, {"name": "b"}]
    with pytest.raises(MlflowError, match=r"code 137 \(it printed nothing\)"):
        parse(VERB, 137, "", "")


@pytest.mark.parametrize("line", ["{", '{"name": 1}', "{}", '{"nam'])
def test_records_that_were_cut_short_are_a_sentence(line: str) -> None:
    """A migration that was killed while it printed."""
    with pytest.raises(
        MlflowError, match=r"The output of MLflow's migrate-all cannot be read .*; rerun"
    ):
        parse(VERB, 0, f'{{"name": "a"}}\n{line}\n', "")
