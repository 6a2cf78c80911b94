# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server keeps that runs beside those of other projects: the plan, and the kernel's word."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import (
    installation,
    landlock,
    seccomp,
)
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import kept as keeping
from ansible_collections.mlops.mlflow_aws.tests.support import NEEDS

LANDLOCK = landlock.version()
BROKER = {"broker": "/s/sockets/demo/aws.sock", "region": "eu-west-1", "endpoint_url": ""}


def given(state: Path, name: str = "demo", **more: Any) -> dict[str, Any]:
    """Return a server's settings."""
    project = state / "projects" / name
    return {
        "backend_store_uri": f"sqlite:///{project}/mlflow.db",
        "artifacts_destination": str(project / "artifacts"),
        "key_file": str(project / "key"),
        "environment": {},
        **more,
    }


def where(state: Path, home: Path, **environment: str) -> keeping.Place:
    """Return where a server runs."""
    own = state / "servers" / "demo" / "own"
    settings = state / "servers" / "demo" / "settings-0.json"
    return keeping.Place(settings, Path("/dev/shm/mlflow-aws-0-0"), own / "tmp", home, environment)


def kept(made: keeping.Plan | str, right: int) -> set[str]:
    """Return the paths on which a plan keeps a right."""
    assert isinstance(made, keeping.Plan), made
    return {str(path) for path, rights in made.rules if rights & right}


def test_a_server_changes_its_own_folders_only(tmp_path: Path) -> None:
    """Besides devices that keep nothing; empty folders beside its private one are of no use to it."""
    state = tmp_path / "s"
    made = keeping.plan(given(state), where(state, tmp_path))
    assert kept(made, landlock.WRITE) == {
        f"{state}/projects/demo",
        f"{state}/servers/demo/own",
        "/dev/shm/mlflow-aws-0-0",
        *(f"/dev/{name}" for name in ("full", "null", "random", "urandom", "zero")),
    }
    assert kept(made, landlock.REMOVE_DIR) >= {"/dev/shm"}
    assert not {"/dev/shm"} & kept(made, landlock.WRITE | landlock.READ | landlock.LIST)
    assert isinstance(made, keeping.Plan)
    assert made.closed_ports == ()


def test_a_server_reads_nothing_of_its_user_s(tmp_path: Path) -> None:
    """Its program, its settings, its Python; not its home, nor the state folder with all projects."""
    state = tmp_path / "home" / "s"
    read = kept(keeping.plan(given(state), where(state, tmp_path / "home")), landlock.READ)
    assert {"/usr", "/etc", "/proc", f"{state}/servers/demo", str(installation.FOLDER)} <= read
    assert f"{sys.base_prefix}/lib" in read
    for path in (state, state.parent, state / "servers", state / "projects", tmp_path, Path("/")):
        assert str(path) not in read


def test_what_contains_the_user_s_own_is_taken_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home or a state folder below what all read, or a Python whose prefix is the home."""
    home = tmp_path / "system" / "home"
    state = tmp_path / "system" / "opt" / "s"
    for folder in (home / "lib", home / ".aws", state, tmp_path / "system" / "opt" / "other"):
        folder.mkdir(parents=True)
    monkeypatch.setattr(keeping, "_SYSTEM", (str(tmp_path / "system"),))
    monkeypatch.setattr(sys, "base_prefix", str(home))
    read = kept(keeping.plan(given(state), where(state, home)), landlock.READ)
    ours = {path for path in read if path.startswith(str(tmp_path))}
    assert ours - {f"{home}/{name}" for name in keeping._PREFIX} == {
        str(tmp_path / "system" / "opt" / "other"),
        str(state / "servers" / "demo"),
        *kept(keeping.plan(given(state), where(state, home)), landlock.WRITE) & ours,
    }


def test_what_the_settings_name_is_read(tmp_path: Path) -> None:
    """CA bundles, a driver's option file, credentials of another cloud; nothing with all of the home."""
    home, state = tmp_path / "home", tmp_path / "s"
    for folder in (home, tmp_path / "another"):
        folder.mkdir()
    named = [tmp_path / name for name in ("ca.pem", "my.cnf", "key.json", "proxy.pem")]
    for path in named:
        path.touch()
    settings = given(
        state,
        backend_store_uri=f"mysql+pymysql://h/x?read_default_file={named[1]}",
        environment={
            "GOOGLE_APPLICATION_CREDENTIALS": str(named[2]),
            "HOME": str(tmp_path / "another"),
            "TMPDIR": str(tmp_path),
            "PLACE": str(home),
            "N": "/no/where",
        },
    )
    place = where(state, home, SSL_CERT_FILE=str(named[0]), OTHER=str(named[3]))
    read = kept(keeping.plan(settings, place), landlock.READ)
    assert set(map(str, named[:3])) <= read
    assert not {str(named[3]), str(home), str(tmp_path), f"{tmp_path}/another", "/no/where"} & read


@pytest.mark.parametrize("folder", ["", "home", "home/s"])
def test_data_around_the_user_s_own_cannot_be_kept_apart(folder: str, tmp_path: Path) -> None:
    """A database makes files beside it, so its folder is the server's."""
    home = tmp_path / "home"
    settings = given(home / "s", backend_store_uri=f"sqlite:///{tmp_path / folder}/mlflow.db")
    made = keeping.plan(settings, where(home / "s", home))
    assert made == f"{tmp_path / folder}, which it changes, contains {home} or {home / 's'}"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, ""),
        ({"aws": None}, ""),
        ({"artifacts_destination": "file:///s/artifacts"}, ""),
        ({"aws": BROKER, "artifacts_destination": "s3://bucket/demo"}, ""),
        ({"aws": {"region": "eu-west-1"}}, "it acts with this user's own identity at AWS"),
        ({"artifacts_destination": "gs://bucket/demo"}, "it reaches its artifacts with"),
    ],
)
def test_who_acts_as_the_user_is_not_confined(more: dict[str, Any], reason: str) -> None:
    """There is nothing to keep from it."""
    found = keeping.unconfined(given(Path("/s"), **more))
    assert found.startswith(reason)
    assert bool(found) == bool(reason)


@pytest.mark.parametrize(
    ("aws", "environment", "variables", "closed"),
    [
        (None, {}, {}, ()),
        (BROKER, {}, {}, (80,)),
        (BROKER, {}, {"http_proxy": "http://proxy:3128"}, (80,)),
        (BROKER, {}, {"http_proxy": "http://proxy"}, ()),
        (BROKER, {}, {"HTTPS_PROXY": "http://user:word@[fd00::1]:80/"}, ()),
        (BROKER, {}, {"OTHER": "http://proxy"}, (80,)),
        (BROKER, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector"}, {}, ()),
        (BROKER, {"X": "https://collector", "Y": "http://[odd", "Z": "http://a:b"}, {}, (80,)),
        ({**BROKER, "endpoint_url": "http://emulator"}, {}, {}, ()),
        ({**BROKER, "endpoint_url": "http://emulator:4566"}, {}, {}, (80,)),
    ],
)
def test_the_port_of_the_metadata_services(
    aws: Any, environment: dict[str, str], variables: dict[str, str], closed: tuple[int, ...]
) -> None:
    """Is closed where the host's identity is another one than the server's, unless an address needs it."""
    settings = given(Path("/s"), aws=aws, environment=environment)
    assert keeping.closed_ports(settings, variables) == closed


# With the kernel.

needs_landlock = pytest.mark.skipif(not LANDLOCK, reason=f"{NEEDS}Linux with Landlock.")

# Becomes what a server with these settings becomes, and tries what it is told.
PROGRAM = """
import json, os, signal, socket, sys
from pathlib import Path
sys.path.append(sys.argv[1])
from mlflow_aws_server import confinement, environment, kept
given, place, tries = json.loads(sys.argv[2])
assert confinement.confine(given, Path(place), None)
found = {}
for name, attempt in tries.items():
    try:
        found[name] = str(eval(attempt))
    except OSError as error:
        found[name] = type(error).__name__
print(json.dumps(found))
"""


def attempt(settings: dict[str, Any], path: Path, home: Path, **tries: str) -> dict[str, str]:
    """Return what comes of these expressions in a server's process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arguments = [str(installation.FOLDER), json.dumps([settings, str(path), tries])]
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, *arguments],
        env={"HOME": str(home), "SECRET": "own", "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture
def neighbour() -> Iterator[subprocess.Popen[bytes]]:
    """Return a process with a secret in its environment."""
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={"SECRET": "neighbour"}
    ) as process:
        yield process
        process.kill()


@needs_landlock
def test_files_of_others_are_refused(tmp_path: Path, neighbour: subprocess.Popen[bytes]) -> None:
    """To read, to list, to write, to link and to find in another process; and signals to it."""
    home, state = tmp_path / "home", tmp_path / "s"
    for name in ("demo", "other"):
        (state / "projects" / name / "artifacts").mkdir(parents=True)
    (home / ".aws").mkdir(parents=True)
    (home / ".aws" / "credentials").write_text("x")
    other = state / "projects" / "other"
    (other / "key").write_text("x")
    # What a server that was taken over may have prepared for its next start.
    (state / "projects" / "demo" / "artifacts" / "link").symlink_to(other)
    own, place = state / "projects" / "demo", state / "servers" / "demo" / "settings-0.json"
    pid = neighbour.pid
    found = attempt(
        given(state, artifacts_destination=str(own / "artifacts" / "link")),
        place,
        home,
        login=f"open({str(home / '.aws/credentials')!r}).read()",
        listed=f"os.listdir({str(state)!r})",
        key=f"open({str(other / 'key')!r}).read()",
        made=f"open({str(other / 'new')!r}, 'w')",
        followed=f"os.listdir({str(own / 'artifacts' / 'link')!r})",
        removed=f"os.unlink({str(other / 'key')!r})",
        linked=f"os.link({str(other / 'key')!r}, {str(own / 'key')!r})",
        shell=f"os.system('cat {home}/.aws/credentials 2>/dev/null') >> 8",
        environ=f"open('/proc/{pid}/environ').read()",
        memory=f"open('/proc/{pid}/mem', 'rb').read(1)",
        root=f"os.listdir('/proc/{pid}/root')",
        kill=f"os.kill({pid}, signal.SIGTERM)",
        own_environ="'own' in open('/proc/self/environ').read()",
        own_file=f"open({str(own / 'x')!r}, 'w').write('x')",
        moved=f"os.replace({str(own / 'x')!r}, {str(own / 'artifacts/x')!r})",
        temporary="os.environ['TMPDIR'], open(os.environ['TMPDIR'] + '/x', 'w').write('x')",
        own_home="os.environ['HOME']",
        variables="environment.variables({'environment': {'HOME': '/x', 'TMPDIR': '/tmp'}})",
        program="os.system('true')",
        null="open('/dev/null', 'w').write('x')",
        names="bool(socket.getaddrinfo('localhost', 1))",
    )
    folder = state / "servers" / "demo" / "own"
    refused = "PermissionError"
    # Without the right to give it more rights elsewhere, it is on another device.
    assert found.pop("linked") in (refused, "OSError")
    if landlock.SCOPE_VERSION <= LANDLOCK:
        assert found["kill"] == refused
        assert neighbour.poll() is None
    del found["kill"]
    assert found == {
        **dict.fromkeys(
            ("login", "listed", "key", "made", "followed", "removed", "environ", "memory", "root"),
            refused,
        ),
        "shell": "1",
        "own_environ": "True",
        "own_file": "1",
        "moved": "None",
        "temporary": f"('{folder}/tmp', 1)",
        "own_home": str(folder),
        "variables": str({"HOME": str(folder), "TMPDIR": f"{folder}/tmp"}),
        "program": "0",
        "null": "1",
        "names": "True",
    }


@needs_landlock
@pytest.mark.skipif(
    LANDLOCK < landlock.NETWORK_VERSION or platform.machine() not in seccomp._MACHINES,
    reason=f"{NEEDS}Linux 6.7 or newer, on x86_64 or aarch64.",
)
def test_the_metadata_service_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By TCP, and by what is not called so; other ports are reached by each of these ways."""
    with ExitStack() as stack:
        closed, opened = (
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _one in "ab"
        )
        port, other = (one.getsockname()[1] for one in (closed, opened))
        state = tmp_path / "s"
        (state / "projects" / "demo").mkdir(parents=True)
        ways = {
            "tcp": "socket.create_connection(('127.0.0.1', {}), 5) and 'reached'",
            "fast": "socket.socket().sendto(b'x', 0x20000000, ('127.0.0.1', {}))",
            "message": "socket.socket().sendmsg([b'x'], [], 0x20000000, ('127.0.0.1', {}))",
            "memory": "socket.socket(43, 1, 0).connect(('127.0.0.1', {}))",
            "multipath": "socket.socket(2, 1, 262).connect(('127.0.0.1', {}))",
        }
        tries = {name: way.format(port) for name, way in ways.items()}
        tries["other"] = ways["tcp"].format(other)
        program = PROGRAM.replace("given, place", f"kept.METADATA_PORT = {port}\ngiven, place")
        monkeypatch.setattr(sys.modules[__name__], "PROGRAM", program)
        settings = given(state, aws={**BROKER, "broker": str(state / "sockets" / "aws.sock")})
        found = attempt(settings, state / "servers" / "demo" / "settings.json", tmp_path, **tries)
    assert found == {
        "tcp": "PermissionError",
        "fast": "PermissionError",
        "message": "PermissionError",
        "memory": "PermissionError",
        "multipath": "PermissionError",
        "other": "reached",
    }
