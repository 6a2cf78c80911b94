# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The credential broker by its module, as a container and as a process, on an AWS that enforces IAM.

Two projects have a role each, which reads one secret and one prefix. The host's own keys may assume
both roles, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import uuid
import xmlrpc.client
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import (
    broker as client,
)
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import (
    landlock,
)
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.errors import EntryError
from ansible_collections.mlops.mlflow_aws.tests import support
from ansible_collections.mlops.mlflow_aws.tests.parts.broker import PROGRAM, ask, broker
from ansible_collections.mlops.mlflow_aws.tests.parts.clock import Clock
from ansible_collections.mlops.mlflow_aws.tests.parts.clock import clock as make_clock
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Engine as MachineEngine
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import (
    Problem,
    root_environment,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_host import PYTHON, Docker, DockerHost
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import (
    ACCOUNT,
    REGION,
    Ministack,
    ministack,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.host import (
    Host,
    Modules,
    actions,
    await_,
    traces,
)
from botocore.exceptions import ClientError

# The first test may have to build an image.
pytestmark = pytest.mark.timeout(600)

PROJECTS = ("alpha", "beta")
BUCKET = "artifacts"
PREFIX = f"arn:aws:iam::{ACCOUNT}:role/mlflow/test"
# The tests' own Python has boto3.
INTERPRETER = Path(sys.executable)
PROFILE = "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n"


@dataclass
class Cloud:
    """An AWS with two projects, and the keys of the host, who may assume their roles."""

    aws: Ministack
    keys: tuple[str, str]
    clock: Clock
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def roles(self) -> dict[str, str]:
        """Return the ARN of each project's role."""
        return {name: f"{PREFIX}/{name}" for name in PROJECTS}

    def client(self, service: str, answer: Mapping[str, Any]) -> Any:
        """Return a client of whoever got this answer of the broker."""
        keys = (answer[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"))
        return self.aws.client(service, *keys)

    def log_in(self, folder: Path, *, good: bool = True) -> Path:
        """Write the host's keys into an AWS config directory, or keys that AWS does not accept."""
        folder.mkdir(exist_ok=True)
        key, secret = self.keys if good else ("AKIA0000000000000000", "x")
        (folder / "config").write_text(f"[default]\nregion = {REGION}\n")
        (folder / "credentials").write_text(PROFILE.format(key, secret))
        for path in (folder, folder / "config", folder / "credentials"):
            # The user of the image.
            os.chown(path, 65532, 65532)
        return folder


@pytest.fixture(scope="module")
def cloud(
    free_ports: Callable[[int], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    """Return an AWS with a role, a secret and an object of each project."""
    folder = tmp_path_factory.mktemp("aws")
    with ExitStack() as stack:
        try:
            clock = stack.enter_context(make_clock(folder))
        except Problem as problem:
            pytest.fail(str(problem), pytrace=False)
        aws = stack.enter_context(
            ministack(free_ports(1)[0], folder, auth=True, **clock.environment)
        )
        made = Cloud(aws, aws.user("host", "sts:AssumeRole", resource=f"{PREFIX}/*"), clock)
        where = {"LocationConstraint": REGION}
        aws.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
        for name in PROJECTS:
            make_project(made, name)
        yield made


def make_project(cloud: Cloud, name: str) -> None:
    """Make what a project has at AWS."""
    iam, manager = cloud.aws.client("iam"), cloud.aws.client("secretsmanager")
    cloud.secrets[name] = manager.create_secret(Name=name, SecretString=f"of {name}")["ARN"]
    cloud.aws.client("s3").put_object(Bucket=BUCKET, Key=f"projects/{name}/x", Body=name.encode())
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ACCOUNT}}
    own: list[tuple[str | list[str], str]] = [
        ("secretsmanager:GetSecretValue", cloud.secrets[name]),
        (["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{BUCKET}/projects/{name}/*"),
    ]
    allow: list[dict[str, Any]] = [
        {"Effect": "Allow", "Action": action, "Resource": place} for action, place in own
    ]
    listed = {"StringLike": {"s3:prefix": [f"projects/{name}", f"projects/{name}/*"]}}
    place = {"Resource": f"arn:aws:s3:::{BUCKET}", "Condition": listed}
    allow.append({"Effect": "Allow", "Action": "s3:ListBucket", **place})
    iam.create_role(RoleName=name, Path="/mlflow/test/", AssumeRolePolicyDocument=policy([trust]))
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy(allow))


def policy(statements: list[dict[str, Any]]) -> str:
    """Return a policy of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


# As a container.


@pytest.fixture(scope="module")
def docker(engine: MachineEngine) -> Docker:
    """Return the engine under test."""
    return Docker(engine.host)


@pytest.fixture(scope="module")
def image(docker: Docker, server_image: str) -> Iterator[str]:
    """Return an image of ours whose servers answer without a database beside them."""
    tag = f"mlflow-test-{uuid.uuid4().hex[:8]}:seeded"
    docker.build(server_image, tag)
    yield tag
    docker("rmi", "--force", tag)


@dataclass
class Brokered:
    """A host with an engine, whose servers get their credentials from a broker."""

    host: DockerHost
    cloud: Cloud
    folder: Path
    runtime: str = "docker"
    programs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def container(self) -> str:
        """Return the name of the broker's container."""
        return f"{self.host.instance}.broker"

    def options(self, *projects: str, **more: Any) -> dict[str, Any]:
        """Return the options of mlflow_broker."""
        place = {name: self.host.place[name] for name in ("state_dir", "docker_host")}
        return {
            **place,
            **self.cloud.aws.options(),
            "docker_instance": self.host.instance,
            "runtime": self.runtime,
            "projects": {name: self.cloud.roles[name] for name in projects},
            "aws_config_dir": str(self.folder),
            "image": self.host.image,
            "timeout": 60,
            **self.programs,
            **more,
        }

    def converge(self, *projects: str, check: bool = False, **more: Any) -> dict[str, Any]:
        """Run mlflow_broker, which must succeed."""
        options = self.options(*projects, **more)
        run = self.host.modules.start("mlflow_broker", options, check=check, diff=True)
        # A process is installed the first time.
        result = self.host.modules.finish(run, seconds=500)
        assert not result.get("failed"), result
        return result

    def change(self, *projects: str, **more: Any) -> dict[str, Any]:
        """Run mlflow_broker after check mode foretold the same, and once more without a change."""
        foretold = self.converge(*projects, check=True, **more)
        done = self.converge(*projects, **more)
        assert (done["changed"], done["diff"]) == (foretold["changed"], foretold["diff"])
        again = self.converge(*projects, **more)
        assert (again["changed"], again["diff"]) == (False, {"before": {}, "after": {}})
        return done

    def servers(self, *projects: str, **more: Any) -> dict[str, Any]:
        """Run mlflow_server for these projects, each with its role."""
        servers = [
            self.host.server(
                name, aws={**self.cloud.aws.options(), "role_arn": self.cloud.roles[name]}
            )
            for name in projects
        ]
        more |= {"broker": self.runtime, "docker_network": "host"}
        return self.host.converge(*servers, **more)

    def shell(self, project: str, program: str) -> str:
        """Run a Python program inside a server's container."""
        return self.host.docker.python(self.host.container(project), program)

    @property
    def socket(self) -> str:
        """Return where a server's container finds its socket."""
        return f"/run/mlflow-broker/{'own/' if self.runtime == 'docker' else ''}aws.sock"

    def credentials(self, project: str) -> dict[str, Any]:
        """Return what a server's container gets from its socket."""
        answer: dict[str, Any] = json.loads(self.shell(project, CREDENTIALS % self.socket))
        return answer


CREDENTIALS = """
import pathlib, socket
path = pathlib.Path("%s")
with socket.socket(socket.AF_UNIX) as s:
    s.connect(str(path))
    s.sendall(path.with_suffix(".key").read_bytes())
    print(s.makefile().read())
"""
# Every socket of the file system that this user sees, and every file that could hold a login.
SEARCH = """
import os, stat
for root, folders, names in os.walk("/"):
    folders[:] = [f for f in folders if os.path.join(root, f) not in ("/proc", "/sys")]
    for name in names:
        path = os.path.join(root, name)
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            continue
        if stat.S_ISSOCK(mode) or name in ("credentials", "config") and ".aws" in root:
            print(path)
print([n for n in os.environ if n.startswith("AWS_")])
"""


@pytest.fixture
def brokered(
    modules: Modules,
    docker: Docker,
    image: str,
    cloud: Cloud,
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
) -> Iterator[Brokered]:
    """Return a host on which nothing was done yet, whose login works."""
    instance = f"test-{uuid.uuid4().hex[:8]}"
    with support.short_folder() as state:
        host = DockerHost(modules, docker, image, state, instance, free_ports)
        made = Brokered(host, cloud, cloud.log_in(tmp_path / "aws"))
        yield made
        host.close()
        docker("rm", "--force", "--volumes", made.container, check=False)
        for volume in volumes(made):
            docker("volume", "rm", "--force", volume)


def volumes(made: Brokered) -> set[str]:
    """Return the volumes of the broker."""
    listed = made.host.docker(
        "volume", "ls", "--filter", f"name={made.container}", "--format", "{{.Name}}"
    )
    return set(listed.split())


def test_a_server_in_a_container_has_one_projects_keys(brokered: Brokered, cloud: Cloud) -> None:
    """Nothing else of AWS's is in it; with what it finds, AWS refuses what is another project's."""
    first = brokered.converge(*PROJECTS, check=True)
    assert (first["changed"], first["broker"]["state"]) == (True, "absent")
    assert (volumes(brokered), brokered.host.containers()) == (set(), {})
    assert brokered.change(*PROJECTS)["broker"]["state"] == "running"
    assert set(actions(brokered.servers(*PROJECTS)).values()) == {"start"}
    assert not brokered.servers(*PROJECTS)["changed"]
    found = brokered.shell("alpha", SEARCH).splitlines()
    assert found == [brokered.socket, "[]"]
    details = brokered.host.docker.inspect(brokered.host.container("alpha"))
    mounted = {mount["Destination"]: mount for mount in details["Mounts"]}
    assert set(mounted) == {"/var/lib/mlflow", "/run/mlflow-broker"}
    assert mounted["/run/mlflow-broker"]["Name"] == f"{brokered.container}.alpha"
    assert not mounted["/run/mlflow-broker"]["RW"]
    answer = brokered.credentials("alpha")
    who = cloud.client("sts", answer).get_caller_identity()["Arn"]
    assert "assumed-role/alpha/mlflow-alpha" in who
    require_own(cloud, answer, "alpha", "beta")
    secrets = (answer["SecretAccessKey"], cloud.keys[1])
    assert [traces(secret) for secret in secrets] == [[], []]
    log = brokered.host.docker("logs", brokered.container)
    assert not [secret for secret in secrets if secret in log + json.dumps(details)]
    # Another project needs no other container of those that there are.
    ids = brokered.host.ids()
    brokered.change("alpha")
    assert brokered.credentials("alpha")["AccessKeyId"]
    assert brokered.host.ids() == ids


def require_own(cloud: Cloud, answer: Mapping[str, Any], own: str, other: str) -> None:
    """Fail unless these credentials reach what is the project's own, and nothing of the other's."""
    manager, s3 = cloud.client("secretsmanager", answer), cloud.client("s3", answer)
    assert manager.get_secret_value(SecretId=cloud.secrets[own])["SecretString"] == f"of {own}"
    got = s3.get_object(Bucket=BUCKET, Key=f"projects/{own}/x")["Body"].read()
    assert got == own.encode()
    sts = cloud.client("sts", answer)
    calls: tuple[Callable[[], object], ...] = (
        lambda: manager.get_secret_value(SecretId=cloud.secrets[other]),
        lambda: s3.get_object(Bucket=BUCKET, Key=f"projects/{other}/x"),
        lambda: sts.assume_role(RoleArn=cloud.roles[other], RoleSessionName="thief"),
    )
    for call in calls:
        with pytest.raises(ClientError, match="not authorized to perform"):
            call()


def test_a_broker_that_dies_is_back(brokered: Brokered) -> None:
    """Its container is started again, with its sockets; what has mounted them finds the new ones."""
    brokered.converge(*PROJECTS)
    brokered.servers("alpha")
    before = brokered.host.ids()
    pid = brokered.host.docker.pid(brokered.container)
    os.kill(pid, signal.SIGKILL)
    await_(
        lambda: brokered.host.docker.pid(brokered.container) not in (0, pid), "it was not restarted"
    )
    health = brokered.host.docker(
        "exec", brokered.host.container("alpha"), PYTHON, "-I", "/opt/mlflow/mlflow_entry.py",
        "credentials", "/var/lib/mlflow/settings.json",
    )  # fmt: skip
    assert json.loads(health)["Version"] == 1
    assert brokered.host.ids() == before
    assert not brokered.converge(*PROJECTS)["changed"]


def test_a_login_that_does_not_work_is_said(brokered: Brokered, cloud: Cloud) -> None:
    """By the module, by the check of the host and by Docker's health; a new login needs no restart."""
    cloud.log_in(brokered.folder, good=False)
    options = brokered.options(*PROJECTS)
    sentence = "AWS does not accept the credentials of this host (InvalidClientTokenId); correct them there."
    assert brokered.host.modules.refuse("mlflow_broker", options) == sentence
    pid = brokered.host.docker.pid(brokered.container)
    check = {"servers": [], **brokered.host.place, "broker_options": options}
    assert brokered.host.modules.call("mlflow_server_check", check)["reason"] == sentence
    health = brokered.host.docker(
        "exec", brokered.container, PYTHON, "-I", "/opt/mlflow/mlflow_broker.py", "health",
        "/var/lib/mlflow/settings.json", check=False,
    )  # fmt: skip
    assert health == sentence
    cloud.log_in(brokered.folder)
    assert not brokered.converge(*PROJECTS)["changed"]
    assert brokered.host.docker.pid(brokered.container) == pid
    check["image"] = brokered.host.image
    assert "broker" not in brokered.host.modules.call("mlflow_server_check", check)["reason"]


def test_the_last_server_takes_the_broker_with_it(brokered: Brokered) -> None:
    """Nothing of either is left, and removing them again is no change."""
    brokered.converge(*PROJECTS)
    brokered.servers(*PROJECTS)
    brokered.servers(*PROJECTS, state="absent")
    assert brokered.change()["broker"]["state"] == "absent"
    assert (volumes(brokered), brokered.host.containers()) == (set(), {})
    assert (
        brokered.host.docker("ps", "--all", "--quiet", "--filter", f"name={brokered.container}")
        == ""
    )


# As a process.


@pytest.fixture(scope="module")
def programs() -> dict[str, Any]:
    """Return the options that name what a process is installed from."""
    folder = PROGRAM.parent
    files = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.py")}
    return {"programs": files, "requirements": (folder / "requirements.txt").read_text()}


@pytest.mark.thorough("Processes by a process, and containers by a container, run every time.")
def test_a_broker_that_is_a_process_serves_containers(
    brokered: Brokered, programs: dict[str, Any], cloud: Cloud
) -> None:
    """As a credential_process needs; the container's broker goes, and a server has its own folder only."""
    brokered.converge(*PROJECTS)
    script = brokered.folder / "vault"
    key, secret = cloud.keys
    document = {"Version": 1, "AccessKeyId": key, "SecretAccessKey": secret}
    script.write_text(f"#!/bin/sh\necho '{json.dumps(document)}'\n")
    script.chmod(0o755)
    (brokered.folder / "credentials").unlink()
    (brokered.folder / "config").write_text(f"[default]\ncredential_process = {script}\n")
    brokered.runtime, brokered.programs = "process", programs
    changed = brokered.change(*PROJECTS)
    try:
        assert changed["diff"]["before"]["broker of another runtime"] is True
        brokered.servers(*PROJECTS)
        found = brokered.shell("alpha", SEARCH).splitlines()
        assert found == [brokered.socket, "[]"]
        require_own(cloud, brokered.credentials("alpha"), "alpha", "beta")
        brokered.servers(*PROJECTS, state="absent")
    finally:
        assert brokered.change()["broker"]["state"] == "absent"
    assert not (brokered.host.state / "broker").exists()
    assert not (brokered.host.state / "sockets").exists()


@pytest.mark.thorough("A server that is a process has its keys from such a broker every time.")
def test_a_broker_that_is_a_process_serves_processes(
    modules: Modules, programs: dict[str, Any], cloud: Cloud, tmp_path: Path
) -> None:
    """Its sockets are its user's alone; what is killed is back, and nothing is left in the end."""
    options = {
        **cloud.aws.options(),
        **programs,
        "runtime": "process",
        "server_runtime": "process",
        "aws_config_dir": str(cloud.log_in(tmp_path / "aws")),
    }
    with support.short_folder() as state:

        def converge(*projects: str) -> dict[str, Any]:
            roles = {"projects": {name: cloud.roles[name] for name in projects}}
            given = {**options, **roles, "state_dir": str(state)}
            # It is installed the first time.
            result = modules.finish(modules.start("mlflow_broker", given), seconds=500)
            assert not result.get("failed"), result
            return result

        try:
            assert converge(*PROJECTS)["changed"]
            assert not converge(*PROJECTS)["changed"]
            sockets = {name: state / "sockets" / name / "aws.sock" for name in PROJECTS}
            for name, path in sockets.items():
                modes = [stat.S_IMODE(place.stat().st_mode) for place in (path, path.parent)]
                assert modes == [0o600, 0o700]
                require_own(cloud, ask(str(path)), name, *({*PROJECTS} - {name}))
            (settings,) = (state / "broker" / "credentials").glob("settings-*.json")
            assert stat.S_IMODE(settings.stat().st_mode) == 0o600
            (pid,) = running(settings)
            os.kill(pid, signal.SIGKILL)
            assert client.credentials(sockets["beta"])["Version"] == 1
            assert running(settings) not in ([], [pid])
            converge("alpha")
            assert [path.exists() for path in sockets.values()] == [True, False]
        finally:
            assert converge()["broker"]["state"] == "absent"
        assert not [place for place in ("broker", "sockets") if (state / place).exists()]
        assert running(state) == []


# Becomes what a server became, by its own settings.
BECOME = """
import os, sys
from pathlib import Path
sys.path.append(os.path.dirname(sys.argv[1]))
from mlflow_aws_server import confinement, private, settings
place = Path(sys.argv[2])
assert confinement.confine(
    settings.read(place), place, private.private_base() / private.private_name(place)
)
"""
# Evaluates expressions there.
SHELL = """
import contextlib, json, signal, socket
from mlflow_aws_server import broker

def talk(path, sent, end=True):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(path)
        with contextlib.suppress(BrokenPipeError):
            client.sendall(sent)
            if end:
                client.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            return client.makefile().read()
        return ""

found = {}
for name, attempt in json.loads(sys.argv[3]).items():
    try:
        found[name] = eval(attempt)
    except OSError as error:
        found[name] = type(error).__name__
print(json.dumps(found))
"""


@dataclass
class Shell:
    """A shell in a server that is a process."""

    host: Host
    project: str

    @property
    def settings(self) -> Path:
        """Return the server's settings file."""
        (path,) = (self.host.folder / self.project).glob("settings-*.json")
        return path

    def __call__(self, **attempts: str) -> dict[str, Any]:
        """Return what comes of expressions of Python, or the name of the error that they end with."""
        found: dict[str, Any] = json.loads(self.run(SHELL, json.dumps(attempts)).splitlines()[-1])
        return found

    def run(self, program: str, *arguments: str, before: Sequence[str] = ()) -> str:
        """Return what a Python program prints there; arguments are its own, from sys.argv[3] on.

        before: the words of a command that runs it.
        """
        runtime = self.host.runtime
        command = [runtime["python"], "-I", "-c", BECOME + program, runtime["entrypoint"]]
        done = subprocess.run(
            [*before, *command, str(self.settings), *arguments],
            env={"HOME": str(self.host.modules.home), "PATH": root_environment()["PATH"]},
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def metadata_service() -> Iterator[str]:
    """Listen on port 80 of an address as the metadata services do; only root can."""
    address = "127.0.80.80"
    with socket.socket() as listener:
        with suppress(PermissionError):
            listener.bind((address, 80))
            listener.listen()
            # It is there.
            socket.create_connection((address, 80), 5).close()
        yield address


@contextmanager
def brokered_processes(host: Host, programs: dict[str, Any], cloud: Cloud) -> Iterator[Path]:
    """Run a broker of both projects as a process beside servers; yields the folder of the host's login.

    In the end nothing of it or of the servers is left.
    """
    home = cloud.log_in(host.modules.home / ".aws")
    options = {
        **cloud.aws.options(), **programs, "state_dir": str(host.state), "runtime": "process",
        "server_runtime": "process", "aws_config_dir": str(home),
    }  # fmt: skip
    made = host.modules.start("mlflow_broker", {**options, "projects": cloud.roles})
    assert not host.modules.finish(made, seconds=500).get("failed")
    try:
        yield home
    finally:
        shutil.rmtree(home)
        host.converge(state="absent", stop_unlisted=True, broker="process")
        host.modules.call("mlflow_broker", {**options, "projects": {}})


needs_landlock = pytest.mark.skipif(
    landlock.version() < 6, reason=f"{support.NEEDS}Linux 6.12 or newer, with Landlock."
)


@needs_landlock
def test_a_server_that_is_a_process_has_one_projects_keys(
    new_host: Callable[..., Host], programs: dict[str, Any], cloud: Cloud
) -> None:
    """A shell in it reaches nothing of the host's login and of its neighbour, and its clients do their work."""
    host = new_host(*PROJECTS)
    with brokered_processes(host, programs, cloud) as home:
        servers = [
            host.server(
                name,
                artifacts_destination=f"s3://{BUCKET}/projects/{name}",
                aws={**cloud.aws.options(), "role_arn": cloud.roles[name]},
            )
            for name in PROJECTS
        ]
        result = host.converge(*servers, broker="process", how={"verbosity": 1})
        assert [record["confined"] for record in result["servers"]] == [True, True]
        assert [record["confined"] for record in host.info().values()] == [True, True]
        runs = [{"name": r["name"], "url": r["url"], "key": "k"} for r in result["servers"]]
        asked = {"servers": runs, **host.program}
        assert len(host.modules.call("mlflow_run", asked)["runs"]) == 2
        require_confined(host, cloud, home)
        assert not host.converge(*servers, broker="process")["changed"]


def require_confined(host: Host, cloud: Cloud, home: Path) -> None:
    """Fail if a shell in alpha's server reaches anything but alpha's."""
    shell, beta = Shell(host, "alpha"), Shell(host, "beta")
    pids = host.pids()
    supervisor = b"POST /RPC2 HTTP/1.0\r\nContent-Type: text/xml\r\nContent-Length: "
    call = xmlrpc.client.dumps(("beta",), "supervisor.stopProcess").encode()
    sent = supervisor + str(len(call)).encode() + b"\r\n\r\n" + call
    sockets = {
        "supervisor": host.folder / "supervisor.sock",
        "broker_supervisor": host.state / "broker" / "supervisor.sock",
    }
    keys = host.state / "sockets"
    with metadata_service() as address:
        found = shell(
            login=f"Path({str(home / 'credentials')!r}).read_text()",
            logins=f"os.listdir({str(home)!r})",
            settings=f"Path({str(beta.settings)!r}).read_text()",
            database=f"open({str(host.database('beta'))!r}, 'rb').read(1)",
            projects=f"os.listdir({str(host.state / 'projects')!r})",
            environment=f"Path('/proc/{pids['beta']}/environ').read_text()",
            memory=f"open('/proc/{pids['beta']}/mem', 'rb').read(1)",
            kill=f"os.kill({pids['beta']}, signal.SIGTERM)",
            key=f"Path({str(keys / 'beta' / 'aws.key')!r}).read_text()",
            broker_key=f"Path({str(host.state / 'broker' / 'state.key')!r}).read_text()",
            supervisor_key=f"Path({str(host.folder / 'supervisor.key')!r}).read_text()",
            metadata=f"bool(socket.create_connection(({address!r}, 80), 5))",
            answer=f"talk({str(keys / 'beta' / 'aws.sock')!r}, b'0' * 64)",
            silence=f"talk({str(keys / 'beta' / 'aws.sock')!r}, b'')",
            state=f"talk({str(host.state / 'broker' / 'state.sock')!r}, b'0' * 64)",
            own=f"broker.credentials(Path({str(keys / 'alpha' / 'aws.sock')!r}))",
            **{
                name: f"talk({str(path)!r}, {sent!r}, False)[9:12]"
                for name, path in sockets.items()
            },
        )
    own = found.pop("own")
    require_own(cloud, own, "alpha", "beta")
    assert found == {
        **dict.fromkeys(
            (
                "login", "logins", "settings", "database", "projects", "environment", "memory", "kill",
                "key", "broker_key", "supervisor_key", "metadata",
            ),
            "PermissionError",
        ),
        **dict.fromkeys(("answer", "silence", "state"), ""),
        **dict.fromkeys(sockets, "401"),
    }  # fmt: skip
    assert host.pids() == pids
    for pid in pids.values():
        status = Path(f"/proc/{pid}/status").read_text()
        # As the shell: no new privileges, and the filter of system calls.
        assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
        assert re.search(r"^Seccomp:\t2$", status, re.MULTILINE)


def running(place: Path) -> list[int]:
    """Return the processes of a broker whose arguments name a file or folder, but no Supervisor."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_text().split("\0")
            if "serve" in words and any(word.startswith(str(place)) for word in words):
                found.append(int(process.name))
    return found


@pytest.mark.thorough("A broker is killed once every time.")
def test_a_broker_killed_under_load(cloud: Cloud, tmp_path: Path) -> None:
    """Ten times, without a warning: each client of each project gets what is its own, every time."""
    cloud.log_in(tmp_path / ".aws")
    environment = support.clean_environment(tmp_path) | {"AWS_EC2_METADATA_DISABLED": "true"}
    done, failures = threading.Event(), list[str]()
    counts = dict.fromkeys(PROJECTS, 0)
    with broker(INTERPRETER, cloud.roles, cloud.aws.options(), environment) as made:

        def load(project: str) -> None:
            while not done.is_set():
                try:
                    answer = client.credentials(Path(made.socket(project)))
                    counts[project] += 1
                    keys.setdefault(answer["AccessKeyId"], set()).add(project)
                except EntryError as error:
                    failures.append(str(error))

        keys: dict[str, set[str]] = {}
        threads = [threading.Thread(target=load, args=(name,)) for name in PROJECTS * 4]
        for thread in threads:
            thread.start()
        try:
            for _number in range(10):
                made.end(signal.SIGKILL)
                made.start()
                time.sleep(0.1)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert failures == []
        assert {len(projects) for projects in keys.values()} == {1}
        assert all(count > 100 for count in counts.values()), counts


class Portal(ThreadingHTTPServer):
    """Stands for AWS's access portal: gives a role's credentials for a token that is not over."""

    def __init__(self, credentials: Mapping[str, Any], clock: Clock) -> None:
        """Take the credentials, and the clock by which it says when they end."""
        super().__init__(("127.0.0.1", 0), Visit)
        self.made = credentials
        self.clock = clock
        self.ahead = 0
        self.tokens: set[str] = set()

    def credentials(self) -> dict[str, Any]:
        """Return credentials that end so soon that they are asked for again at each use."""
        end = time.time() + 60 * (self.ahead + 5)
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
        keys = {name[0].lower() + name[1:]: self.made[name] for name in names}
        return {**keys, "expiration": int(end * 1000)}

    def set_clock(self, minutes: int) -> None:
        """Let it be so many minutes later, for AWS and for the broker too."""
        self.clock.set(minutes)
        self.ahead = minutes

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Visit(BaseHTTPRequestHandler):
    """One request to the portal."""

    def do_GET(self) -> None:
        """Answer GetRoleCredentials."""
        assert isinstance(self.server, Portal)
        if self.headers["x-amz-sso_bearer_token"] in self.server.tokens:
            body: dict[str, Any] = {"roleCredentials": self.server.credentials()}
            self.send_response(200)
        else:
            body = {"message": "Session token not found or invalid"}
            self.send_response(401)
            self.send_header("x-amzn-ErrorType", "UnauthorizedException")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def portal(cloud: Cloud) -> Iterator[Portal]:
    """Return a portal of the role `person`, who may assume the projects' roles."""
    iam = cloud.aws.client("iam")
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ACCOUNT}}
    allow = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": f"{PREFIX}/*"}
    role = iam.create_role(
        RoleName="person", AssumeRolePolicyDocument=policy([trust]), MaxSessionDuration=43200
    )
    iam.put_role_policy(RoleName="person", PolicyName="own", PolicyDocument=policy([allow]))
    answer = cloud.aws.client("sts").assume_role(
        RoleArn=role["Role"]["Arn"], RoleSessionName="person", DurationSeconds=43200
    )
    with Portal(answer["Credentials"], cloud.clock) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()
    cloud.clock.set(0)
    iam.delete_role_policy(RoleName="person", PolicyName="own")
    iam.delete_role(RoleName="person")


SSO = """[profile team]
sso_start_url = https://example.awsapps.com/start
sso_region = eu-central-1
sso_account_id = 000000000000
sso_role_name = person
"""


def sso_login(home: Path, portal: Portal, token: str, hours: int) -> None:
    """Do what `aws sso login` does."""
    cache = home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    (home / ".aws" / "config").write_text(SSO)
    name = hashlib.sha1(b"https://example.awsapps.com/start", usedforsecurity=False).hexdigest()
    end = datetime.now(UTC) + timedelta(hours=hours)
    content = {"accessToken": token, "expiresAt": end.strftime("%Y-%m-%dT%H:%M:%SZ")}
    (cache / f"{name}.json").write_text(json.dumps(content))
    portal.tokens = {token}


def test_a_single_sign_on_that_runs_out(cloud: Cloud, portal: Portal, tmp_path: Path) -> None:
    """What servers have stays in use; the sentence names the command, whose login needs no restart."""
    environment = {
        **support.clean_environment(tmp_path),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL_SSO": portal.url,
        **cloud.clock.environment,
    }
    sso_login(tmp_path, portal, "first", 8)
    options = {**cloud.aws.options(), "profile": "team"}
    with broker(INTERPRETER, cloud.roles, options, environment) as made:
        first = made.get("alpha")
        require_own(cloud, first, "alpha", "beta")
        portal.tokens = set()
        # More than half of their hour is over.
        portal.set_clock(35)
        sentence = "The AWS login of this host has ended; run `aws sso login --profile team` there."
        await_(lambda: made.state()["identity"] == sentence, "the end was not noticed")
        assert made.get("alpha") == first
        portal.set_clock(61)
        assert made.get("alpha") == {"error": sentence, "login": True}
        sso_login(tmp_path, portal, "second", 8)
        second = made.get("alpha")
        assert second["AccessKeyId"] != first["AccessKeyId"]
        assert made.state() == {
            "identity": "",
            "projects": {"alpha": "", "beta": ""},
            "ready": True,
        }
        assert made.log.count("It gives credentials to alpha, beta.") == 1
