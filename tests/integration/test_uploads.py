# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The largest upload that a server accepts, as MLflow's own client and others meet it."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import uploads
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Host, by_name
from ansible_collections.mlops.mlflow_aws.tests.support import clean_environment

# The first test may have to install MLflow.
pytestmark = pytest.mark.timeout(600)

MOST = 1 << 20
FILES = "/api/2.0/mlflow-artifacts/artifacts"
# Logs one file that fits and one that does not; prints what became of each.
CLIENT = """
import json, sys
from pathlib import Path
from mlflow import MlflowClient

client = MlflowClient(sys.argv[1])
run = client.create_run("0")
said = {}
for name, size in (("small", 900_000), ("large", 3_000_000)):
    Path(name).write_bytes(b"x" * size)
    try:
        client.log_artifact(run.info.run_id, name)
        said[name] = ""
    except Exception as error:
        said[name] = str(error)
said["files"] = [item.path for item in client.list_artifacts(run.info.run_id)]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def limited(new_host: Callable[..., Host]) -> Iterator[str]:
    """Yield the URL of a server with a limit."""
    host = new_host("demo")
    server = host.server("demo") | {"max_upload_size": "1m"}
    record = by_name(host.converge(server))["demo"]
    assert record["healthy"] is True
    assert host.converge(server)["changed"] is False
    yield record["url"]
    host.close()


def test_mlflows_client_says_why(limited: str, runtime: Mapping[str, Any], tmp_path: Path) -> None:
    """At once, as it does not retry; the file that fits is there, of the other one nothing."""
    python = Path(runtime["python"])
    done = subprocess.run(
        [python, "-I", "-c", CLIENT, limited],
        env=clean_environment(tmp_path, python.parent),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["small"] == ""
    assert "413" in said["large"]
    assert uploads.sentence(MOST) in said["large"]
    assert said["files"] == ["small"]


def put(url: str, parts: list[bytes], *, announced: bool) -> tuple[int, str]:
    """Send a file, in chunks or with its size; return status and text of the answer."""
    address = url.removeprefix("http://")
    with closing(http.client.HTTPConnection(address, timeout=60)) as connection:
        headers = {"Content-Length": str(sum(map(len, parts)))} if announced else {}
        connection.request(
            "PUT", f"{FILES}/0/x", iter(parts), headers, encode_chunked=not announced
        )
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@pytest.mark.parametrize("announced", [True, False])
def test_a_request_over_the_limit_is_answered(limited: str, *, announced: bool) -> None:
    """Whether it says how large it is or not; the client gets its answer after all it sends."""
    assert put(limited, [b"x" * MOST], announced=announced)[0] == 200
    status, text = put(limited, [b"x" * MOST] * 64, announced=announced)
    assert status == 413
    assert json.loads(text)["message"] == uploads.sentence(MOST)
    # And the next request as ever.
    assert put(limited, [b"y"], announced=announced)[0] == 200
