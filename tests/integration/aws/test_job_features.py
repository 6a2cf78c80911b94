# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that MLflow does by jobs, on a real MySQL and in the image, which test_jobs.py shows of processes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pymysql
import pytest
from ansible_collections.mlops.mlflow_aws.tests.integration.aws import _entry
from ansible_collections.mlops.mlflow_aws.tests.integration.aws._entry import (
    RUNTIME,
    Place,
)
from ansible_collections.mlops.mlflow_aws.tests.parts import job_features
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Engine
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import REGION
from ansible_collections.mlops.mlflow_aws.tests.parts.host import ask, await_
from ansible_collections.mlops.mlflow_aws.tests.parts.judges import (
    bodies,
    call,
    expect,
    run_statuses,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.model import Model, model

pytestmark = pytest.mark.timeout(1800)
place = _entry.place

# In an image's container.
VOLUME, HOME, PYTHON = "/var/lib/mlflow", "/home/mlflow", "/opt/mlflow/venv/bin/python"
# Writes the settings into a volume, and makes the SQLite file that they name, if they do.
SEED = """
import json, sys
sys.path.insert(0, "/opt/mlflow")
open("/var/lib/mlflow/settings.json", "w").write(sys.argv[1])
uri = json.loads(sys.argv[1])["backend_store_uri"]
if uri.startswith("sqlite"):
    from mlflow_aws_server import revisions
    revisions.migrate(uri)
"""


@pytest.fixture
def asked() -> Iterator[Model]:
    """Return a model for judges."""
    with model() as made:
        yield made


def settings(place: Place, database: str, folder: str, asked: Model) -> dict[str, Any]:
    """Return the settings of a server with jobs on a new database; artifacts are in a folder, or in S3 with MySQL."""
    more = job_features.settings(asked)
    if database == "sqlite":
        own = {"backend_store_uri": f"sqlite:///{folder}/mlflow.db", "aws": {}}
        return place.settings(
            "none", {}, artifacts_destination=f"{folder}/artifacts", **more, **own
        )
    name = f"features-{uuid.uuid4().hex[:8]}"
    where = {"LocationConstraint": REGION}
    place.aws.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=where)
    schema = name.replace("-", "_")
    (record,) = place.migrate(place.new_schema(schema))
    assert record["error"] == ""
    more["artifacts_destination"] = f"s3://{name}/projects/demo"
    return place.settings(schema, place.identity(schema, RUNTIME), **more)


@contextmanager
def process(place: Place, database: str, asked: Model) -> Iterator[str]:
    """Run a server of this machine's Python; yield its URL."""
    folder = place.folder / uuid.uuid4().hex
    folder.mkdir()
    with place.serve(settings(place, database, str(folder), asked)) as server:
        server.await_ready()
        yield server.url


@contextmanager
def container(
    place: Place, database: str, asked: Model, engine: Engine, image: str
) -> Iterator[str]:
    """Run a server of the image, confined as the module has it; yield its URL."""
    name = f"mlflow-features-{uuid.uuid4().hex[:8]}"
    made = settings(place, database, VOLUME, asked)
    options = ["--init", "--read-only", "--cap-drop", "ALL", "--network", "host"]
    options += ["--tmpfs", "/run/mlflow:rw,noexec,nosuid,nodev,mode=0700,uid=65532,gid=65532"]
    options += ["--volume", f"{name}:{VOLUME}", "--volume", f"{place.home}/.aws:{HOME}/.aws:ro"]
    options += ["--env", f"HOME={HOME}"]
    seed = ["--entrypoint", PYTHON, image, "-c", SEED, json.dumps(made)]
    try:
        engine.docker("run", "--rm", *options, *seed, timeout=300)
        engine.docker("run", "--detach", "--name", name, *options, image)
        url = f"http://127.0.0.1:{made['port']}"
        search = "/api/2.0/mlflow/experiments/search"
        await_(lambda: ask(url, search, {"max_results": 1})[0] == 200, name, 300, 1)
        yield url
    finally:
        engine.docker("rm", "--force", name, check=False)
        engine.docker("volume", "rm", "--force", name, check=False)


@pytest.mark.thorough("Servers that are processes use each feature on SQLite every time.")
@pytest.mark.parametrize(
    ("runs", "database"), [("process", "mysql"), ("image", "sqlite"), ("image", "mysql")]
)
def test_each_feature(
    place: Place, asked: Model, runs: str, database: str, request: pytest.FixtureRequest
) -> None:
    """The same results, wherever the server runs and whatever its database."""
    with ExitStack() as stack:
        if runs == "process":
            url = stack.enter_context(process(place, database, asked))
        else:
            parts = [request.getfixturevalue(name) for name in ("engine", "server_image")]
            url = stack.enter_context(container(place, database, asked, *parts))
        job_features.use_all(url, asked)


@pytest.mark.thorough("One worker hands out each job once every time; so do two hosts.")
def test_workers_share_one_runner(place: Place, asked: Model) -> None:
    """Whichever worker takes a request, its job runs once."""
    folder = place.folder / uuid.uuid4().hex
    folder.mkdir()
    made = {**settings(place, "mysql", str(folder), asked), "workers": 2}
    with place.serve(made) as server:
        server.await_ready()
        server.await_text("Started server process", 2)
        body = {"name": "workers"}
        experiment = expect(server.url, "POST", "/api/2.0/mlflow/experiments/create", body)
        begun = {
            str(number): job_features.judge_once(server.url, experiment["experiment_id"])
            for number in range(6)
        }
        job_features.await_all(server.url, begun)
        assert (asked.asked, asked.strangers) == (len(begun), 0)
        assert server.text().count("The job runner takes this project's jobs.") == 1


@pytest.mark.thorough("An SQLite that refuses the job is shown every time.")
def test_a_database_that_is_gone_meanwhile(place: Place, asked: Model) -> None:
    """A run was created and its job could not be submitted: it is ended as soon as the database lets one in."""
    folder = place.folder / uuid.uuid4().hex
    folder.mkdir()
    made = settings(place, "mysql", str(folder), asked)
    schema, user = made["backend_store_uri"].rpartition("/")[2], made["database"]["user"]
    query = place.database.query
    with place.serve(made) as server:
        server.await_ready()
        create = "/api/2.0/mlflow/experiments/create"
        experiment = expect(server.url, "POST", create, {"name": "gone"})["experiment_id"]
        route = ("POST", "/mlflow/issues/invoke")
        body = bodies(experiment, job_features.log_trace(server.url, experiment))[route]
        path = f"/ajax-api/3.0{route[1]}"
        with (
            place.database.connect() as admin,
            admin.cursor() as cursor,
            ThreadPoolExecutor(1) as pool,
        ):
            cursor.execute(f"LOCK TABLES `{schema}`.jobs WRITE")
            answer = pool.submit(call, server.url, "POST", path, body)
            await_(lambda: answer.done() or submits(place, user), "no job was submitted", 120)
            assert not answer.done(), answer.result()
            query("ALTER USER %s@'%%' ACCOUNT LOCK", user)
            for (number,) in place.sessions(user):
                with suppress(pymysql.err.OperationalError):
                    query(f"KILL {number}")
            assert answer.result()[0] >= 400
            cursor.execute("UNLOCK TABLES")
        query("ALTER USER %s@'%%' ACCOUNT UNLOCK", user)
        await_(lambda: run_statuses(server.url, experiment) == ["FAILED"], server.text(), 120, 1)
        # Its thread has no active run.
        expect(server.url, "POST", path, body)
        assert len(run_statuses(server.url, experiment)) == 2


def submits(place: Place, user: str) -> bool:
    """Return whether a statement of a user that submits a job waits for the table."""
    text = "SELECT info FROM information_schema.processlist WHERE user = %s AND info LIKE %s"
    return bool(place.database.query(text, user, "INSERT INTO jobs%"))
