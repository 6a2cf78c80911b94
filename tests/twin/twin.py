# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The offline twin: AWS, a database and a Docker engine on this machine's loopback.

    .venvs/test/bin/python tests/twin/twin.py up        bring it up, and say how to use it
    .venvs/test/bin/python tests/twin/twin.py status    say whether it is up
    .venvs/test/bin/python tests/twin/twin.py down      end it and remove what it made

It is one process in the background, which owns all the parts and ends them when it is
ended. Its folder (--folder, else below ~/.local/state) holds an inventory that goes on
top of inventories/aws, AWS credentials for servers, and logs.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import yaml
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import container_spec
from ansible_collections.mlops.mlflow_aws.tests.parts import (
    base_images,
    docker_engine,
    emulator,
    mysql_server,
    rds,
    slow_link,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Engine, Problem
from ansible_collections.mlops.mlflow_aws.tests.support import Ports

UP_SECONDS = 1800
DOWN_SECONDS = 180
# The user that our image runs as, who reads the credentials.
SERVER_UID = 65532
PROJECT_PORTS = 60
PROXIES = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
RECORD, LOG = "twin.json", "twin.log"
# Dictionaries of which a team writes parts in its own inventory, and how they meet the twin's.
MERGED = {
    # What the emulator needs comes last.
    "mlflow_stack_parameters": "mlflow_stack_parameters | default({}, true) | combine(%s)",
    # What the team gives a build comes last.
    "mlflow_image_build_args": "%s | combine(mlflow_image_build_args | default({}, true))",
}


@dataclass(frozen=True)
class Twin:
    """A running twin: its parts, and how Ansible is pointed at them."""

    folder: Path
    engine: Engine
    aws: emulator.Ministack
    mysql: mysql_server.Mysql
    link: slow_link.Link
    base_image: str
    secret_arn: str
    base_port: int

    @property
    def inventory(self) -> Path:
        """Return the inventory that goes on top of inventories/aws."""
        return self.folder / "inventory"

    @property
    def registry(self) -> str:
        """Return the host under which Docker finds the registry."""
        return self.aws.url.rpartition("/")[2]

    @property
    def instance(self) -> str:
        """Return what the names of its servers' containers start with."""
        return f"twin-{self.base_port}"

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that a program needs to use it; credentials are in files."""
        aws = self.folder / "aws"
        # Which spelling wins differs between libraries.
        given = (os.environ.get("NO_PROXY", ""), os.environ.get("no_proxy", ""))
        skipped = ",".join(dict.fromkeys(filter(None, [*given, "127.0.0.1", "localhost"])))
        return {
            **self.engine.environment,
            "AWS_CONFIG_FILE": str(aws / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(aws / "credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": skipped,
            "no_proxy": skipped,
        }

    @property
    def variables(self) -> dict[str, Any]:
        """Return what an inventory for AWS has to override: where things are, nothing else."""
        docker = self.engine.host
        return {
            "mlflow_stack_region": emulator.REGION,
            "mlflow_stack_endpoint_url": self.aws.url,
            "mlflow_stack_parameters": {
                # The emulator has no session documents, and this database needs no relay.
                "Relay": "false",
                "ExistingDatabaseEndpoint": self.mysql.host,
                # At the other end of a link, which tests make longer.
                "ExistingDatabasePort": str(self.link.port),
                "ExistingDatabaseUsername": self.mysql.user,
                "ExistingDatabaseSecretArn": self.secret_arn,
            },
            "mlflow_ecr_registry": self.registry,
            "mlflow_image_base": self.base_image,
            "mlflow_image_build_args": _proxies(),
            "mlflow_image_network": "host",
            "mlflow_image_docker_host": docker,
            "mlflow_backend_ca": self.mysql.ca,
            "mlflow_project_transport": "mysql",
            "mlflow_server_docker_host": docker,
            "mlflow_server_docker_network": "host",
            "mlflow_server_docker_instance": self.instance,
            "mlflow_server_aws_config_dir": str(self.folder / "aws"),
            "mlflow_base_port": self.base_port,
            "mlflow_state_dir": str(self.folder / "state"),
        }


@contextmanager
def twin(
    folder: Path,
    say: Callable[[str], None] = print,
    *,
    auth: bool = False,
    record: Path | None = None,
) -> Iterator[Twin]:
    """Bring a twin up in a folder of its own, give it, and end it.

    With `auth` its AWS enforces IAM, and writes what it asks of IAM into the file `record`. The
    folder stays, with its logs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    began = time.monotonic()

    def told(text: str) -> None:
        say(f"==> {time.monotonic() - began:5.1f} s  {text}")

    ports = Ports()
    with ExitStack() as stack:
        engine = docker_engine.find()
        if engine is None:
            told("starting a Docker engine")
            engine = docker_engine.start(folder)
            stack.callback(docker_engine.stop, engine)
        told(f"Docker engine at {engine.host}")
        stack.enter_context(_environment(engine.environment))
        pool = stack.enter_context(ThreadPoolExecutor(2))
        told("images: one to build ours on, and MySQL's (minutes, where they are not kept yet)")
        base = pool.submit(base_images.provide, engine, base_images.base())
        mysql_image = pool.submit(base_images.provide, engine, base_images.mysql())
        aws = stack.enter_context(
            emulator.ministack(
                ports(1)[0],
                folder,
                auth=auth,
                record=record or "",
                # A cluster, where a test makes one, gets a port and an image of ours.
                RDS_BASE_PORT=str(ports(1)[0]),
                MINISTACK_IMAGE_PREFIX=rds.IMAGE_PREFIX,
                **engine.environment,
            )
        )
        told(f"AWS at {aws.url}")
        name = f"mlflow-twin-{ports(1)[0]}"
        password = secrets.token_urlsafe(24)
        mysql = stack.enter_context(
            mysql_server.running(mysql_image.result(), name, ports(1)[0], password=password)
        )
        told(f"MySQL at {mysql.host}:{mysql.port}")
        link = stack.enter_context(slow_link.link(ports(1)[0], mysql.port))
        made = Twin(
            folder=folder,
            engine=engine,
            aws=aws,
            mysql=mysql,
            link=link,
            base_image=base.result(),
            secret_arn=_keep_password(aws, mysql),
            base_port=ports(PROJECT_PORTS)[0],
        )
        stack.callback(_remove_servers, made)
        _write(made)
        told("up")
        yield made


def _remove_servers(made: Twin) -> None:
    """Remove what playbooks made in an engine that is not ours: servers, volumes and images."""
    if made.engine.pid:
        return
    ours = f"label={container_spec.LABEL}instance={made.instance}"
    broker = f"label={container_spec.LABEL}broker={made.instance}"
    for kind, listed, removed in (
        ("container", ("ls", "--all", "--quiet", "--filter", ours), ("rm", "--force", "--volumes")),
        ("container", ("ls", "--all", "--quiet", "--filter", broker), ("rm", "--force")),
        ("volume", ("ls", "--quiet", "--filter", ours), ("rm", "--force")),
        ("volume", ("ls", "--quiet", "--filter", broker), ("rm", "--force")),
        ("image", ("ls", "--quiet", f"{made.registry}/*"), ("rm", "--force")),
    ):
        names = sorted(set(made.engine.docker(kind, *listed).split()))
        if names:
            made.engine.docker(kind, *removed, *names, check=False)


def _keep_password(aws: emulator.Ministack, mysql: mysql_server.Mysql) -> str:
    """Put the database administrator's password where Aurora puts it; return the secret's ARN."""
    secret = json.dumps({"username": mysql.user, "password": mysql.password})
    manager = aws.client("secretsmanager")
    return str(manager.create_secret(Name="twin-database", SecretString=secret)["ARN"])


def write_inventory(folder: Path, variables: Mapping[str, Any]) -> None:
    """Write the inventory that goes on top of a team's; dictionaries of MERGED are merged with its."""
    hosts = {
        "mlflow_servers": {
            "hosts": {
                "localhost": {
                    "ansible_connection": "local",
                    "ansible_python_interpreter": "{{ ansible_playbook_python }}",
                }
            }
        }
    }
    # Read after hosts.yml, when the inventories before this one are known.
    merged = {
        "plugin": "ansible.builtin.constructed",
        "strict": True,
        "use_vars_plugins": True,
        # JSON is an expression too.
        "compose": {name: how % json.dumps(variables[name]) for name, how in MERGED.items()},
    }
    own = {name: value for name, value in variables.items() if name not in MERGED}
    (folder / "group_vars").mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("hosts.yml", hosts),
        ("merged.yml", merged),
        ("group_vars/mlflow_servers.yml", own),
    ):
        (folder / name).write_text(yaml.safe_dump(content, sort_keys=False))


def _write(made: Twin) -> None:
    """Write the inventory, the credentials, the shell's variables and the record."""
    folder = made.folder
    write_inventory(made.inventory, made.variables)
    aws = folder / "aws"
    aws.mkdir(exist_ok=True)
    key, secret = emulator.ROOT
    (aws / "config").write_text(f"[default]\nregion = {emulator.REGION}\n")
    (aws / "credentials").write_text(
        f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
    )
    # They are an emulator's, and the servers' user is another one than this.
    for path, mode in ((aws, 0o755), (aws / "config", 0o644), (aws / "credentials", 0o644)):
        path.chmod(mode)
        if os.geteuid() == 0:
            os.chown(path, SERVER_UID, SERVER_UID)
    # A profile, keys or a region of the user's own are those of a real account.
    forget = (
        "for name in $(env | sed -n 's/^\\(AWS_[A-Z0-9_]*\\)=.*/\\1/p'); do unset \"$name\"; done"
    )
    exports = [f"export {name}={shlex.quote(text)}" for name, text in made.environment.items()]
    (folder / "env.sh").write_text("\n".join([forget, *exports, ""]))
    record = {
        "pid": os.getpid(),
        "engine": dict(docker_engine.to_record(made.engine)),
        "aws": {"url": made.aws.url, "pid": made.aws.process.pid},
        "mysql": {"container": made.mysql.container, "port": made.mysql.port},
        "registry": made.registry,
    }
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n")


def _proxies() -> dict[str, str]:
    """Return this machine's proxies as arguments of a build."""
    found = {name: os.environ.get(name) or os.environ.get(name.lower()) for name in PROXIES}
    return {name: text for name, text in found.items() if text}


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process while the block runs."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, text in before.items():
            if text is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = text


def up(folder: Path) -> None:
    """Start the process that owns a twin, show what it does, and return when it is up."""
    if _owner(folder):
        print(_told(folder))
        return
    _forget(folder)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / LOG
    command = [sys.executable, __file__, "run", "--folder", str(folder)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + UP_SECONDS
    with log.open(encoding="utf-8", errors="replace") as said:
        try:
            while not (folder / RECORD).is_file():
                ended = process.poll() is not None
                sys.stdout.write(said.read())
                sys.stdout.flush()
                if ended:
                    raise Problem(
                        f"The twin did not come up; the reason stands above and in {log}."
                    )
                if time.monotonic() > deadline:
                    raise Problem(f"The twin did not come up in {UP_SECONDS} s: see {log}.")
                time.sleep(0.1)
        except BaseException:
            _end(process.pid, folder)
            raise
        sys.stdout.write(said.read())
    print(_told(folder))


def run(folder: Path) -> None:
    """Own a twin until this process is told to end."""
    told = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        if told.is_set():
            return
        told.set()
        # Also out of a step of bringing it up; what was made so far is ended on the way.
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)

    def say(text: str) -> None:
        print(text, flush=True)

    with twin(folder, say):
        while True:
            signal.pause()


def down(folder: Path) -> None:
    """End the twin of a folder, and remove what it made."""
    owner = _owner(folder)
    if owner:
        _end(owner, folder)
    _forget(folder)
    for name in ("inventory", "aws", "state", "engine"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("env.sh", LOG, "engine.log", "ministack.log"):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
    print(f"The twin of {folder} is down.")


def status(folder: Path) -> None:
    """Say whether the twin of a folder is up, and how to use it."""
    print(_told(folder) if _owner(folder) else f"No twin is up in {folder}.")


def _told(folder: Path) -> str:
    """Return how to use the twin of a folder."""
    record = _record(folder)
    place = shlex.quote(str(folder))
    return (
        f"The twin is up: AWS at {record['aws']['url']}, MySQL at port {record['mysql']['port']},"
        f" Docker at {record['engine']['host']}.\n"
        f"Use it:  . {place}/env.sh && ansible-playbook playbooks/deploy.yml -i inventories/aws"
        f" -i {place}/inventory\n"
        f"End it:  {shlex.quote(sys.executable)} tests/twin/twin.py down --folder {place}"
    )


def _record(folder: Path) -> dict[str, Any]:
    """Return what the twin of a folder wrote when it came up, empty where there is none."""
    with suppress(OSError, ValueError):
        record: dict[str, Any] = json.loads((folder / RECORD).read_text())
        return record
    return {}


def _owner(folder: Path) -> int:
    """Return the process that owns the twin of a folder, 0 where none lives."""
    pid = int(_record(folder).get("pid", 0))
    return pid if pid and _runs(pid, str(folder)) else 0


def _runs(pid: int, word: str) -> bool:
    """Say whether a process lives and has a word in its command line."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    if Path("/proc/self/cmdline").exists():
        with suppress(OSError):
            return word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        return False
    command = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return word in done.stdout


def _end(pid: int, folder: Path) -> None:
    """End the owner of a twin and wait until it has ended everything."""
    deadline = time.monotonic() + DOWN_SECONDS
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    while _runs(pid, str(folder)):
        if time.monotonic() > deadline:
            raise Problem(
                f"The twin (process {pid}) did not end in {DOWN_SECONDS} s: see {folder}."
            )
        time.sleep(0.1)


def _forget(folder: Path) -> None:
    """End what an owner that was killed left behind, each by what the record says of it."""
    record = _record(folder)
    if record:
        engine = Engine(**record["engine"])
        with suppress(Problem):
            engine.docker("rm", "--force", "--volumes", record["mysql"]["container"], check=False)
        aws = int(record["aws"]["pid"])
        if _runs(aws, "ministack"):
            with suppress(ProcessLookupError):
                os.kill(aws, signal.SIGTERM)
        docker_engine.stop(engine)
    (folder / RECORD).unlink(missing_ok=True)


def default_folder() -> Path:
    """Return where a twin lives unless it is told otherwise."""
    # The XDG specification has a relative folder ignored.
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    state = given if given.is_absolute() else Path.home() / ".local" / "state"
    return state / "mlflow_aws_twin"


def main() -> int:
    """Read the arguments; one sentence instead of a traceback."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = {"up": up, "down": down, "status": status, "run": run}
    parser.add_argument("verb", choices=verbs, help="run is up in the foreground")
    parser.add_argument("--folder", type=Path, default=default_folder())
    arguments = parser.parse_args()
    try:
        verbs[arguments.verb](arguments.folder.expanduser().resolve())
    except (Problem, OSError, RuntimeError, AssertionError, pytest.fail.Exception) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
