# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image: what it is built from, and what is built, with the classic builder and offline."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _requirements
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.errors import BuildError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import context
from ansible_collections.mlops.mlflow_aws.tests import left_out
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Engine, Problem
from ansible_collections.mlops.mlflow_aws.tests.parts.package_index import Index, serving
from ansible_collections.mlops.mlflow_aws.tests.parts.server_program import PACKAGE, SERVER
from ansible_collections.mlops.mlflow_aws.tests.support import (
    CHECKOUT,
    clean_environment,
    new_environment,
    run,
)
from cryptography import x509

DOCKER = CHECKOUT / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
KNOWN = json.loads((DOCKER / "mlflow.json").read_text())
MINUTES = 60
ENTRY = ["/opt/mlflow/venv/bin/python", "-IBu", "/opt/mlflow/mlflow_entry.py"]
SETTINGS = "/var/lib/mlflow/settings.json"
# As `mlflow_server` runs it.
CONFINED = (
    *("--init", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--tmpfs", "/run/mlflow:rw,noexec,nosuid,nodev,size=16m,mode=0700,uid=65532,gid=65532"),
)
# Makes a database and settings for a server that needs nothing else.
SEED = """
import json, sys
sys.path.insert(0, "/opt/mlflow")
from mlflow_aws_server import revisions
revisions.migrate("sqlite:////var/lib/mlflow/mlflow.db")
settings = {
    "configuration": "0123456789abcdef",
    "host": "0.0.0.0",
    "port": 5000,
    "workers": 1,
    "backend_store_uri": "sqlite:////var/lib/mlflow/mlflow.db",
    "artifacts_destination": "/var/lib/mlflow/artifacts",
    "allowed_hosts": [],
    "environment": {},
}
open("/var/lib/mlflow/settings.json", "w").write(json.dumps(settings))
"""
# Another MLflow.
TRAP = """
import os
os.makedirs("/var/lib/mlflow/trap/mlflow")
open("/var/lib/mlflow/trap/mlflow/__init__.py", "w").close()
"""
# Everything that a browser and a client do first, asked inside of the container.
USE = """
import json, urllib.request
def ask(path, data=None, method=None):
    request = urllib.request.Request("http://127.0.0.1:5000" + path, data, method=method)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()
assert b"<html" in ask("/")
created = json.loads(ask("/api/2.0/mlflow/experiments/create", b'{"name": "e"}'))
run = json.dumps({"experiment_id": created["experiment_id"]}).encode()
run_id = json.loads(ask("/api/2.0/mlflow/runs/create", run))["run"]["info"]["run_id"]
metric = {"run_id": run_id, "key": "m", "value": 1.5, "timestamp": 0}
ask("/api/2.0/mlflow/runs/log-metric", json.dumps(metric).encode())
file = "/api/2.0/mlflow-artifacts/artifacts/1/file.txt"
ask(file, b"content", "PUT")
assert ask(file) == b"content"
query = '{ mlflowGetExperiment(input: {experimentId: "1"}) { experiment { name } } }'
found = json.loads(ask("/graphql", json.dumps({"query": query}).encode()))
assert found["data"]["mlflowGetExperiment"]["experiment"]["name"] == "e", found
"""

# A job that MLflow's runner takes and that fails for a reason of its own, asked inside of the container.
JOB = """
import json, time, urllib.request
def ask(path, data=None):
    request = urllib.request.Request("http://127.0.0.1:5000/ajax-api/3.0/jobs/" + path, data)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
judge = {"name": "judge", "mlflow_version": "VERSION", "serialization_version": 1}
words = {"instructions": "Say whether {{ outputs }} is short.", "model": "openai:/none"}
judge["instructions_judge_pydantic_data"] = words
params = {"experiment_id": "0", "serialized_scorer": json.dumps(judge), "trace_ids": ["tr-1"]}
job = ask("", json.dumps({"job_name": "invoke_scorer", "params": params}).encode())
deadline = time.monotonic() + 120
while job["status"] in ("PENDING", "RUNNING"):
    assert time.monotonic() < deadline, job
    time.sleep(1)
    job = ask(job["job_id"])
assert job["status"] == "FAILED", job
assert "Traces not found" in job["error_message"], job
"""

pytestmark = pytest.mark.timeout(40 * MINUTES)


@dataclass(frozen=True)
class Image:
    """An image that was built, in its engine."""

    engine: Engine
    name: str

    def run(self, *options: str, command: tuple[str, ...] = (), check: bool = True) -> str:
        """Run a container to its end and return what it printed."""
        return self.engine.docker(
            "run", "--rm", *options, self.name, *command, timeout=5 * MINUTES, check=check
        )

    def python(self, program: str) -> str:
        """Run a program as root, who may read everything."""
        options = ("--user", "0", "--entrypoint", ENTRY[0])
        return self.run(*options, command=("-c", program)).strip()

    @property
    def configuration(self) -> dict[str, Any]:
        """Return what a container gets from it."""
        told = self.engine.docker("image", "inspect", "--format", "{{json .Config}}", self.name)
        found: dict[str, Any] = json.loads(told)
        return found


@pytest.fixture(scope="module")
def image(engine: Engine, server_image: str) -> Image:
    """Return the image that was built."""
    return Image(engine, server_image)


def test_hadolint(tmp_path: Path) -> None:
    """Hadolint has nothing to say about the Dockerfile, and is at work."""
    tools = new_environment("image")
    env = clean_environment(tmp_path, tools)
    run([tools / "hadolint", DOCKER / "Dockerfile"], cwd=tmp_path, env=env, timeout=MINUTES)
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM debian\nRUN cd /tmp\n")
    done = run([tools / "hadolint", bad], cwd=tmp_path, env=env, timeout=MINUTES, check=False)
    assert done.code != 0
    assert "DL3006" in done.output


@pytest.mark.mlflow
def test_what_the_dockerfile_says_is_so() -> None:
    """Base and packages are pinned by digest; version and head are those of the lock."""
    assert re.search(r"^ARG BASE_IMAGE=\S+:\S+@sha256:[0-9a-f]{64}$", DOCKERFILE, re.MULTILINE)
    assert "--require-hashes" in DOCKERFILE
    assert f"\nARG VERSION={KNOWN['version']}\n" in DOCKERFILE
    assert f"\nARG HEAD={KNOWN['head']}\n" in DOCKERFILE
    assert f"\nmlflow=={KNOWN['version']} " in (DOCKER / "requirements.txt").read_text()
    # The classic builder of older engines knows none of these.
    assert not re.search(r"^RUN --mount|<<|^# syntax", DOCKERFILE, re.MULTILINE)


@pytest.mark.mlflow
def test_the_bill_is_the_locks() -> None:
    """The list of packages beside the image names what the lock names; remedy: scripts/sbom."""
    command = [sys.executable, str(CHECKOUT / "scripts" / "_sbom.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_authorities_of_rds() -> None:
    """Each root certificate signs itself, may sign others, and is valid for years."""
    found = x509.load_pem_x509_certificates((DOCKER / "rds-ca.pem").read_bytes())
    assert len(found) >= 81
    names = set()
    for certificate in found:
        certificate.verify_directly_issued_by(certificate)
        assert certificate.not_valid_before_utc < datetime.now(UTC)
        assert certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=2 * 365)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.value.ca
        names.add(certificate.subject.rfc4514_string())
    assert len(names) == len(found)
    for region in ("eu-central-1", "us-east-1", "ap-southeast-2"):
        assert [name for name in names if f"Amazon RDS {region} Root CA RSA2048 G1" in name]


@pytest.mark.thorough("It migrates through every revision; a label names the newest every time.")
def test_mlflow_json_is_what_mlflow_says(image: Image) -> None:
    """Revisions and numbers of tables are the image's; remedy: mlflow_entry.py survey."""
    lines = image.run(*CONFINED, command=("survey",))
    assert json.loads(lines[lines.index("{") :]) == KNOWN
    assert KNOWN["tables"].keys() == set(KNOWN["revisions"])
    assert json.loads(image.run(*CONFINED, command=("describe",))) == KNOWN


def test_labels(image: Image) -> None:
    """Its labels say what it is and what schema it serves."""
    labels = image.configuration["Labels"]
    prefix = "org.opencontainers.image"
    assert labels[f"{prefix}.version"] == KNOWN["version"]
    assert labels[f"{prefix}.revision"] == "0123abc"
    assert labels[f"{prefix}.title"] == "MLflow server"
    assert labels[f"{prefix}.source"].startswith("https://github.com/")
    assert labels["io.github.mlops-collections.mlflow.head"] == KNOWN["head"]


def test_it_starts_without_a_shell(image: Image) -> None:
    """Entry point, command and health check are programs with arguments; the user is nobody."""
    configuration = image.configuration
    assert configuration["User"] == "65532:65532"
    assert configuration["Entrypoint"] == ENTRY
    assert configuration["Cmd"] == ["serve", SETTINGS]
    assert configuration["Healthcheck"]["Test"] == ["CMD", *ENTRY, "health", SETTINGS]
    assert configuration["StopSignal"] == "SIGTERM"


def test_nothing_of_the_build_is_left(image: Image) -> None:
    """No installer, no test, no cache, no file that its user could change, no build argument."""
    program = """
import importlib.util, json, os, stat
packages = "/opt/mlflow/venv/lib/python%d.%d/site-packages" % __import__("sys").version_info[:2]
writable = []
for folder, folders, files in os.walk("/opt"):
    for name in folders + files:
        found = os.lstat(os.path.join(folder, name))
        if not stat.S_ISLNK(found.st_mode) and (found.st_mode & 0o002 or found.st_uid == 65532):
            writable.append(name)
print(json.dumps({
    "installers": [n for n in ("pip", "setuptools", "pkg_resources")
                   if os.path.exists(os.path.join(packages, n))],
    "tests": [n for n in ("pandas", "numpy") if os.path.exists(os.path.join(packages, n, "tests"))],
    "services": sorted(n for n in os.listdir(packages + "/botocore/data")
                       if os.path.isdir(packages + "/botocore/data/" + n)),
    "compiled": os.path.exists(packages + "/mlflow/server/__pycache__"),
    "writable": writable,
    "beside": sorted(os.listdir("/opt/mlflow")),
    "package": os.listdir("/opt/mlflow/mlflow_aws_server"),
    "places": [[p, oct(os.stat(p).st_mode & 0o777), os.stat(p).st_uid]
               for p in ("/", "/var", "/run", "/home", "/var/lib/mlflow", "/run/mlflow")],
}))
"""
    told = json.loads(image.python(program))
    assert told["installers"] == []
    assert told["tests"] == []
    assert {"s3", "secretsmanager", "ssm", "sts"} < set(told["services"])
    assert len(told["services"]) < 10
    assert told["compiled"]
    assert told["writable"] == []
    programs = {PACKAGE, "mlflow_entry.py", "mlflow_aws_broker", "mlflow_broker.py"}
    assert set(told["beside"]) == {*programs, "mlflow.json", "rds-ca.pem", "venv"}
    sources = {path.name for path in (SERVER / PACKAGE).iterdir()}
    assert set(told["package"]) == {*sources, "__pycache__"}
    assert told["places"] == [
        ["/", "0o755", 0], ["/var", "0o755", 0], ["/run", "0o755", 0], ["/home", "0o755", 0],
        ["/var/lib/mlflow", "0o700", 65532], ["/run/mlflow", "0o700", 65532],
    ]  # fmt: skip
    history = image.engine.docker("history", "--no-trunc", image.name)
    assert "PIP_" not in history


@pytest.fixture
def rebuild(image: Image, base_image: str, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Return a function that builds what follows the locked set again, with packages of a small index.

    The stage with the locked set is the image that was built: its argument for an index is another one.
    """
    _first, begin, rest = DOCKERFILE.partition("\nFROM build AS additional")
    assert begin
    first = f"ARG BASE_IMAGE\nFROM {image.name} AS build\nUSER 0"
    built: list[str] = []

    def build(index: Index | None, lock: str) -> str:
        folder = tmp_path / uuid.uuid4().hex
        context.write(context.read(DOCKER), folder)
        (folder / "Dockerfile").write_text(first + begin + rest)
        if lock:
            (folder / "additional-requirements.txt").write_text(lock)
        name = f"mlflow-image-test:{uuid.uuid4().hex[:12]}"
        command = ["docker", "build", "--network", "host", "--tag", name]
        command += ["--build-arg", f"BASE_IMAGE={base_image}"]
        # Else the base image says how the index is reached.
        command += ["--build-arg", f"PIP_INDEX_URL={index.url}"] if index else []
        built.append(name)
        environment = os.environ | image.engine.environment | {"DOCKER_BUILDKIT": "0"}
        done = run([*command, folder], cwd=tmp_path, env=environment, timeout=600, check=False)
        if done.code != 0:
            raise BuildError("build it", done.output)
        return name

    yield build
    for name in built:
        image.engine.docker("rmi", "--force", "--no-prune", name, check=False)


@pytest.mark.thorough("aws/test_ecr.py builds an image with packages every time.")
def test_packages_of_a_user_are_a_layer(
    image: Image, rebuild: Callable[..., str], tmp_path: Path
) -> None:
    """They are importable, compiled and nobody's to change; all other layers are as without them."""
    with serving(tmp_path / "index") as index:
        tool = index.add("own_tool", "1.5", {"own_tool.py": "TWO = 2\n"}, ["flask>=3"])
        names = (rebuild(index, ""), rebuild(index, tool))
        lonely = index.add("lonely", "1.0", {"lonely.py": ""}, ["absent>=1"])
        with pytest.raises(BuildError) as caught:
            rebuild(index, lonely)
    assert str(caught.value) == (
        "Docker could not build it (lonely 1.0 requires absent>=1, which neither the file nor the locked "
        "set has); lock mlflow_image_requirements again, as the documentation on packages of your own "
        "shows."
    )
    layers = [
        json.loads(
            image.engine.docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", one)
        )
        for one in names
    ]
    assert layers[0][:-1] == layers[1][:-1]
    assert layers[0][-1] != layers[1][-1]
    program = """
import glob, json, os, own_tool
folder = os.path.dirname(own_tool.__file__)
paths = [own_tool.__file__, *glob.glob(folder + "/own_tool-*.dist-info"), *glob.glob(folder + "/__pycache__/own_tool*")]
print(json.dumps([own_tool.TWO, len(paths), [os.stat(path).st_uid for path in paths],
    [name for name in ("pip", "setuptools") if os.path.exists(folder + "/" + name)]]))
"""
    assert json.loads(Image(image.engine, names[1]).python(program)) == [2, 3, [0, 0, 0], []]
    assert json.loads(Image(image.engine, names[1]).run(*CONFINED, command=("describe",))) == KNOWN
    with pytest.raises(Problem, match="No module named 'own_tool'"):
        Image(image.engine, names[0]).python("import own_tool")


@pytest.mark.thorough(
    "It takes minutes to fetch and compile; small packages are a layer every time."
)
def test_the_example_makes_an_image(image: Image, rebuild: Callable[..., str]) -> None:
    """LiteLLM loads in a container as servers run, and MLflow's gateway finds it."""
    lock = _requirements.read(
        str(CHECKOUT / "examples" / "requirements" / "litellm.txt"),
        [(DOCKER / "requirements.txt").read_text()],
    )
    made = Image(image.engine, rebuild(None, lock))
    program = "import litellm; from mlflow.gateway.providers.litellm import LiteLLMProvider; print(litellm.__name__)"
    environment = ("--env", "LITELLM_LOCAL_MODEL_COST_MAP=True", "--entrypoint", ENTRY[0])
    said = made.run(*CONFINED, *environment, command=("-IBc", program))
    assert said.split()[-1] == "litellm"
    sizes = [
        int(image.engine.docker("image", "inspect", "--format", "{{.Size}}", one))
        for one in (image.name, made.name)
    ]
    print(f"{sizes[0] / 1e6:.0f} MB without, and {sizes[1] / 1e6:.0f} MB with LiteLLM")
    assert 50e6 < sizes[1] - sizes[0] < 400e6


def test_another_mlflow_on_the_python_path_is_not_loaded(image: Image) -> None:
    """Neither PYTHONPATH nor PYTHONHOME, of a base image or of `docker run`, reaches our Python."""
    engine, name = image.engine, f"mlflow-image-test-{uuid.uuid4().hex[:8]}"
    volume = ("--volume", f"{name}:/var/lib/mlflow")
    steered = ("--env", "PYTHONPATH=/var/lib/mlflow/trap", "--env", "PYTHONHOME=/nowhere")
    try:
        image.run(*volume, "--entrypoint", ENTRY[0], command=("-c", TRAP))
        told = json.loads(image.run(*CONFINED, *volume, *steered, command=("describe",)))
        assert told["version"] == KNOWN["version"]
        # Without -I it is refused.
        plain = ("--entrypoint", ENTRY[0], "--env", "PYTHONPATH=/var/lib/mlflow/trap")
        with pytest.raises(Problem, match=r"would be loaded from /var/lib/mlflow/trap/mlflow inst"):
            image.run(*volume, *plain, command=(ENTRY[-1], "describe"))
    finally:
        engine.docker("volume", "rm", "--force", name, check=False)


@pytest.mark.parametrize(
    "jobs", [False, *left_out.params([], [True], "Servers that are processes run jobs every time.")]
)
def test_serves_confined(image: Image, jobs: bool) -> None:
    """A read-only root, no capability, an anonymous user: it serves, is healthy, and stops soon."""
    engine, name = image.engine, f"mlflow-image-test-{uuid.uuid4().hex[:8]}"
    volume = ("--volume", f"{name}:/var/lib/mlflow")
    seed = SEED.replace('"workers": 1', f'"workers": 1, "jobs": {jobs}')
    try:
        image.run(*CONFINED, *volume, "--entrypoint", ENTRY[0], command=("-c", seed))
        quick = ("--health-interval", "2s")
        engine.docker("run", "--detach", "--name", name, *CONFINED, *volume, *quick, image.name)
        deadline = time.monotonic() + 3 * MINUTES
        state = {"Health": {"Status": "starting"}}
        while state["Health"]["Status"] != "healthy":
            assert time.monotonic() < deadline, engine.docker("logs", name)
            time.sleep(1)
            state = json.loads(engine.docker("inspect", "--format", "{{json .State}}", name))
        engine.docker("exec", name, ENTRY[0], "-c", USE)
        if jobs:
            job = JOB.replace("VERSION", KNOWN["version"])
            engine.docker("exec", name, ENTRY[0], "-c", job, timeout=3 * MINUTES)
        began = time.monotonic()
        engine.docker("stop", "--time", "60", name)
        assert time.monotonic() - began < 45
    finally:
        engine.docker("rm", "--force", name, check=False)
        engine.docker("volume", "rm", "--force", name, check=False)
