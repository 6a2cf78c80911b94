# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The front door with TLS before real servers: MLflow's clients, each of its routes, and paths that are odd."""

from __future__ import annotations

import http.client
import json
import random
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.programs.door.mlflow_aws_door import paths, routes
from ansible_collections.mlops.mlflow_aws.tests.parts import door as doors
from ansible_collections.mlops.mlflow_aws.tests.parts.door import Door, Upstream
from ansible_collections.mlops.mlflow_aws.tests.parts.mlflow_server import server
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, clean_environment

# The first test may have to install MLflow and Caddy.
pytestmark = pytest.mark.timeout(600)

PARTS = CHECKOUT / "tests" / "parts"
MEBIBYTE = 1 << 20
# Requests with odd paths and headers.
FUZZED = 3000
MEMBERS = {
    "ann": {"churn": "manage"},
    "ed": {"churn": "edit"},
    "rae": {"churn": "read"},
    "eve": {"other": "manage"},
}
# Who has the role that a route needs, and who has the one below it.
RIGHT = {"read": "rae", "edit": "ed", "manage": "ann"}
TOO_LOW = {"read": "eve", "edit": "rae", "manage": "ed", "nobody": "ann"}


@pytest.fixture(scope="module")
def door_python(environment: Callable[..., Path]) -> Path:
    """Return the Python of the door's locked requirements."""
    return environment("door", "../programs/door/requirements") / "python"


@pytest.fixture(scope="module")
def mlflow_python(environment: Callable[..., Path]) -> Path:
    """Return the Python of a server's locked requirements."""
    return environment("server", "../docker/requirements") / "python"


@pytest.fixture(scope="module")
def churn() -> Iterator[Upstream]:
    """Return a server that notes what reaches it."""
    with doors.upstream() as found:
        yield found


@pytest.fixture(scope="module")
def other() -> Iterator[Upstream]:
    """Return the server of another project."""
    with doors.upstream() as found:
        yield found


@pytest.fixture(scope="module")
def front(
    door_python: Path, churn: Upstream, other: Upstream, free_ports: Callable[[int], list[int]]
) -> Iterator[Door]:
    """Return a door before both."""
    upstreams = {"churn": churn.address, "other": other.address}
    [port] = free_ports(1)
    with doors.door(door_python, port, upstreams, MEMBERS) as found:
        yield found


@pytest.fixture(scope="module")
def real(
    door_python: Path,
    mlflow_python: Path,
    free_ports: Callable[[int], list[int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Door]:
    """Return a door before a real server, under a name that clients can look up."""
    door_port, port = free_ports(2)
    with (
        server(mlflow_python, port, tmp_path_factory.mktemp("m")) as upstream,
        doors.door(door_python, door_port, {"churn": upstream}, MEMBERS, host="localhost") as made,
    ):
        yield made


def work(python: Path, made: Door, folder: Path, size: int, login: dict[str, str]) -> Any:
    """Return what the client's program tells."""
    own = {
        "MLFLOW_TRACKING_URI": f"{made.url}/churn",
        "MLFLOW_TRACKING_SERVER_CERT_PATH": str(made.authority),
        "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
        "DOOR_TOKEN": made.secrets["ed"],
    }
    done = subprocess.run(
        [python, "-I", PARTS / "door_client.py", str(size)],
        env=clean_environment(folder, python.parent) | own | login | {"NO_PROXY": "localhost"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(("way", "size"), [("token", 50 * MEBIBYTE), ("password", MEBIBYTE)])
def test_mlflows_client_works(
    way: str, size: int, real: Door, mlflow_python: Path, tmp_path: Path
) -> None:
    """With both kinds of login; a large file goes through without being kept."""
    token = real.secrets["ed"]
    login = {"MLFLOW_TRACKING_TOKEN": token}
    if way == "password":
        login = {"MLFLOW_TRACKING_USERNAME": "ed", "MLFLOW_TRACKING_PASSWORD": token}
    told = work(mlflow_python, real, tmp_path, size, login)
    assert told == {
        "points": 3,
        "file": True,
        "version": "1",
        "otlp": 200,
        "traces": ["exported", "question"],
    }
    assert real.process is not None
    for pid in (real.process.pid, *doors.caddies(real.process.pid)):
        assert peak(pid) < 150 * MEBIBYTE


def peak(pid: int) -> int:
    """Return the most memory that a process has had, in bytes."""
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    assert found
    return int(found[1]) * 1024


def plain(template: str) -> str:
    """Return a template of either framework with its parameters' names left out."""
    whole = re.sub(r"<path:\w+>|\{\w+:path\}", "{*}", template)
    return re.sub(r"<\w+>|\{\w+\}", "{}", whole)


@pytest.mark.mlflow
def test_the_table_is_mlflows(mlflow_python: Path, tmp_path: Path) -> None:
    """No route is missing in the table of roles, and none is superfluous.

    Remedy: give a new route the role that it needs in routes.txt, and take out what is gone.
    """
    done = subprocess.run(
        [mlflow_python, "-I", "-W", "ignore", PARTS / "mlflow_routes.py"],
        env=clean_environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    found = {(method, plain(path)) for method, path in json.loads(done.stdout.splitlines()[-1])}
    listed = {(route.method, plain(route.template)) for route in routes.read()}
    assert len(found) > 400
    assert (found - listed, listed - found) == (set(), set())


def test_each_route_is_for_those_who_may(front: Door, churn: Upstream, other: Upstream) -> None:
    """Nobody else's request reaches the server; theirs does without their login, and with the door's secret."""
    count = 0
    churn.seen.clear()
    with closing(front.connection()) as used:
        for route in routes.read():
            path = plain(route.template).replace("{*}", "a/b%20c").replace("{}", "x-1")
            body = b"{}" if route.method in ("POST", "PUT", "PATCH") else None
            asked = (route.method, f"/churn{path}")
            tries = [
                ("", {}),
                ("eve", {}),
                (TOO_LOW[route.role], {}),
                ("ann", {"Host": "evil.test"}),
            ]
            found = [
                front.ask(*asked, front.secrets.get(member, ""), body, headers, used).status
                for member, headers in tries
            ]
            assert found == [401, 403, 403, 421], route
            if route.role not in RIGHT:
                continue
            token = front.secrets[RIGHT[route.role]]
            assert front.ask(*asked, token, body, None, used).status == 200, route
            count += 1
            assert churn.seen[-1][:2] == (route.method, path)
    assert (len(churn.seen), other.seen) == (count, [])
    for seen in churn.seen:
        assert seen.headers[doors.KNOWN_BY] == f"Bearer {doors.SECRET}"
        assert seen.headers[doors.MEMBER] in RIGHT.values()
        assert seen.headers["Host"] == churn.address
        assert not {"Cookie", "Origin", "Referer"} & set(seen.headers)


def test_what_a_server_sends_changes_nothing_for_others(front: Door) -> None:
    """All projects are one origin for a browser."""
    answer = front.ask("GET", "/churn/version", front.secrets["rae"])
    assert (answer.status, answer.text) == (200, "{}")
    assert answer.headers.get("Set-Cookie") is None


SEGMENTS = [
    "churn", "other", "-", "check", "login", "version", "api", "2.0", "mlflow", "runs", "search",
    ".", "..", "...", "%2e", "%2e%2e", ".%2e", "%2f", "%5c", "%2F..%2F", "%00", "%0a", "%0d%0aHost:x",
    "%252e%252e", "%252f", "%c0%af", "%ff", "%zz", "%", ";", ";x=1", "..;", "#", "?", "//", "\\",
    "\\..\\other", "@", ":", "*",
]  # fmt: skip
ODD_HEADERS = [
    "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Host", "X-Forwarded-Prefix", "X-Forwarded-For",
    "X-Forwarded-Proto", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-Script-Name",
    "Forwarded", "Via", "X-Mlflow-Project", "X-Mlflow-Member", "X-Mlflow-Upstream", "X-Mlflow-Door",
    "X-Mlflow-Address", "X_Mlflow_Door", "X_Mlflow_Member", "X_Forwarded_Uri", "Connection", "Upgrade",
    "Cookie", "Origin", "Referer", "Range", "Expect", "TE", "Trailer", "Content-Location",
]  # fmt: skip
VALUES = (
    "/other/version", "other", "eve", doors.SECRET, "GET", "DELETE", "https://other/", "127.0.0.1", "x",
    "X-Mlflow-Door, X-Mlflow-Member, Host", "close, X-Mlflow-Upstream", "keep-alive, Authorization",
    "websocket", "{http.vars.upstream}", "{env.PATH}",
)  # fmt: skip
METHODS = (
    "GET",
    "POST",
    "HEAD",
    "PUT",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "PATCH",
    "get",
    "PROPFIND",
    "X-1",
)


def odd_target(dice: random.Random) -> str:
    """Return the target of a request that mixes what is odd."""
    parts = dice.choices(SEGMENTS, k=dice.randrange(1, 7))
    start = dice.choice(("/", "/churn/", "/other/", "/-/", "//", "/churn", "https://other/"))
    return start + dice.choice(("/", "", "/../", "//")).join(parts)


def test_no_odd_request_reaches_another_project(
    front: Door, churn: Upstream, other: Upstream
) -> None:
    """Whatever its path and its headers; what reaches its own has the path that was checked."""
    dice = random.Random(14)
    churn.seen.clear()
    other.seen.clear()
    token, statuses = front.secrets["ann"], set()
    table = routes.Table(routes.read())
    with closing(front.connection()) as connection:
        for _number in range(FUZZED):
            method, target = dice.choice(METHODS), odd_target(dice)
            names = dice.sample(ODD_HEADERS, k=dice.randrange(4))
            before = len(churn.seen)
            status = send(
                connection, method, target, token, {n: dice.choice(VALUES) for n in names}
            )
            statuses.add(status)
            for seen in churn.seen[before:]:
                split = paths.split(target)
                assert split is not None, target
                assert split.project == "churn", target
                assert table.role(method, split.path), target
                assert seen.headers[doors.MEMBER] == "ann"
                assert seen.headers[doors.KNOWN_BY] == f"Bearer {doors.SECRET}"
                assert not any("_" in name for name in seen.headers)
    assert other.seen == []
    assert churn.seen
    assert {200, 400, 403, 404} <= statuses
    assert not {500, 502, 503} & statuses


def send(connection: Any, method: str, target: str, token: str, headers: dict[str, str]) -> int:
    """Send a request as it is; return the status, 0 where the connection ended."""
    connection._validate_path = connection._validate_method = lambda _text: None
    connection._encode_request = lambda text: text.encode("latin-1")
    try:
        connection.request(method, target, headers={"Authorization": f"Bearer {token}", **headers})
        answer = connection.getresponse()
        answer.read()
    except (OSError, ValueError, http.client.HTTPException):
        connection.close()
        return 0
    return int(answer.status)


@pytest.mark.parametrize(
    "head",
    [
        "POST {create} HTTP/1.1\r\nHost: {host}\r\n{login}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked",
        "POST {create} HTTP/1.1\r\nHost: {host}\r\n{login}\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "POST {create} HTTP/1.1\r\nHost: {host}\r\n{login}\r\nTransfer-Encoding: x, chunked",
        "POST {create} HTTP/1.1\r\nHost: {host}\r\n{login}\r\nTransfer-Encoding:\x0bchunked",
        "POST {create} HTTP/1.1\r\nHost: {host}\r\n{login}\r\nTransfer-Encoding : chunked",
        "POST {create} HTTP/1.1\r\nHost: {host}\r\n{login}\r\nContent-Length: 4\r\nContent-Length: 0",
        "POST {create} HTTP/1.1\r\nHost: {host}\r\n{login}\r\nContent-Length: +4",
        "GET /churn/version HTTP/1.1\r\nHost: {host}\r\n{login}\r\nContent-Length: 4",
        "GET /churn/version HTTP/1.1\r\nHost: {host}\r\nHost: other\r\n{login}",
        "GET /churn/version HTTP/1.1\r\nHost: {host}\r\n{login}\r\n X-Mlflow-Upstream: {other}",
        "GET /churn/version HTTP/1.1\r\nHost: {host}\r\n{login}\r\nX-A: b\nX-Mlflow-Upstream: {other}",
        "GET /churn/version HTTP/1.1\r\nHost: {host}\r\n{login}\r\nX-A: b\rX-Mlflow-Upstream: {other}",
        "GET http://{other}/churn/version HTTP/1.1\r\nHost: {host}\r\n{login}",
        "GET http:/churn/version HTTP/1.1\r\nHost: {host}\r\n{login}",
        "GET /churn/version HTTP/1.1\r\nHost: {other}\r\n{login}",
        "GET /churn/version HTTP/1.0\r\n{login}",
        "GET /churn/version\r\n{login}",
        "CONNECT {other} HTTP/1.1\r\nHost: {host}\r\n{login}",
        "PRI * HTTP/2.0\r\n\r\nSM",
    ],
)
def test_no_request_hides_in_another(
    head: str, front: Door, churn: Upstream, other: Upstream
) -> None:
    """What follows a body of two lengths is never taken for a request that was checked."""
    churn.seen.clear()
    smuggled = f"GET /other/version HTTP/1.1\r\nHost: {other.address}\r\n\r\n"
    given = {
        "create": "/churn/api/2.0/mlflow/runs/create",
        "host": f"{doors.HOST}:{front.port}",
        "login": f"Authorization: Bearer {front.secrets['ann']}",
        "other": other.address,
    }
    with closing(front.connection()) as connection:
        connection.connect()
        connection.sock.settimeout(5)
        connection.sock.sendall(
            (head.format(**given) + "\r\n\r\n0\r\n\r\n" + smuggled).encode("latin-1")
        )
        connection.sock.settimeout(0.5)
        with suppress(OSError):
            while connection.sock.recv(65536):
                pass
    assert other.seen == []
    assert all(seen.path in ("/version", "/api/2.0/mlflow/runs/create") for seen in churn.seen)
    for seen in churn.seen:
        assert seen.headers[doors.MEMBER] == "ann"


def test_the_log_says_who_did_what_without_secrets(front: Door) -> None:
    """Neither a login nor what follows a question mark, nor what a header would add to a line."""
    token = front.secrets["rae"]
    front.ask(
        "GET", "/churn/version?token=hidden", token, headers={"User-Agent": "hidden\t{env.HOME}"}
    )
    front.ask("GET", "/-/callback?code=hidden", headers={"Cookie": "hidden"})
    found = [line for line in front.audit if line["request"]["uri"] == "/churn/version"][-1]
    assert (found["member"], found["project"], found["status"]) == ("rae", "churn", 200)
    assert found["request"]["method"] == "GET"
    assert found["request"]["remote_ip"] == "127.0.0.1"
    text = (front.folder / "audit.log").read_text() + front.log
    for secret in ("hidden", doors.SECRET, *front.secrets.values()):
        assert secret not in text
    assert (front.folder / "audit.log").stat().st_mode & 0o777 == 0o600
