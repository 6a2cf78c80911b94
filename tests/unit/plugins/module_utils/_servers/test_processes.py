# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Supervisor's configuration file and what is read without a Supervisor."""

from __future__ import annotations

import configparser
import contextlib
import http.server
import json
import os
import re
import shlex
import socketserver
import stat
import subprocess
import sys
import tempfile
import threading
import time
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import ports
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import manager
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.env_files import EnvFiles
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import (
    KEEP,
    FoundServer,
    WantedServer,
    plan,
    wanted_server,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.port_owners import (
    PortRecord,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.processes import (
    ProcessRuntime,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.target import Target

UNRECORDED = PortRecord(Path("/nowhere"), None, True)
ODD = "a b&100%d(ä)$HOME"


def process_runtime(folder: Path, python: str = "/venv/bin/python") -> ProcessRuntime:
    """Return a runtime with its servers in the folder."""
    return ProcessRuntime(folder, python, "/runtime/mlflow_entry.py", "1.20.3-0123456789ab")


def wanted(name: str, state: str = "present") -> WantedServer:
    """Return a server as wanted."""
    options = {
        "name": name,
        "state": state,
        "host": "127.0.0.1",
        "port": 5001,
        "workers": 1,
        "backend_store_uri": "sqlite:////s/mlflow.db",
        "artifacts_destination": "/s/artifacts",
        "allowed_hosts": [],
        "environment": {"TOKEN": "s3cr3t-value"},
    }
    return wanted_server(options, "present", "1.20.3-0123456789ab")


def configuration(runtime: ProcessRuntime, *servers: WantedServer) -> dict[str, dict[str, str]]:
    """Return Supervisor's configuration as Supervisor reads it: comments off, `%` expanded."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=True)
    commands = runtime._commands(plan(servers, {}, KEEP))
    parser.read_string(runtime._configuration(commands))
    return {
        section: {key: value % {} for key, value in parser.items(section)}
        for section in parser.sections()
    }


def test_each_server_has_a_section_of_its_own(tmp_path: Path) -> None:
    """Its command names the settings file and nothing of what stands in it."""
    runtime = process_runtime(tmp_path)
    sections = configuration(runtime, wanted("demo"), wanted("churn"), wanted("off", "stopped"))
    assert {name for name in sections if name.startswith("program:")} == {
        "program:demo",
        "program:churn",
    }
    command = shlex.split(sections["program:demo"]["command"])
    settings = tmp_path / "demo" / f"settings-{wanted('demo').configuration}.json"
    assert command == ["/venv/bin/python", "-I", "/runtime/mlflow_entry.py", "serve", str(settings)]
    assert "s3cr3t-value" not in json.dumps(sections)


def test_servers_are_restarted_and_ended_whole(tmp_path: Path) -> None:
    """A dead one comes back, a stop reaches all its processes, and its log is bounded."""
    section = configuration(process_runtime(tmp_path), wanted("demo"))["program:demo"]
    assert section["autorestart"] == "true"
    assert section["stopasgroup"] == section["killasgroup"] == "true"
    assert section["stdout_logfile"] == str(tmp_path / "demo" / "server.log")
    assert section["redirect_stderr"] == "true"
    assert section["stdout_logfile_maxbytes"] == "10MB"
    assert int(section["stdout_logfile_backups"]) > 0


def test_nobody_but_this_user_reaches_the_supervisor(tmp_path: Path) -> None:
    """A socket of mode 0700 and no network port, and a key that stays the same."""
    runtime = process_runtime(tmp_path)
    runtime._supervisor.make_key()
    sections = configuration(runtime, wanted("demo"))
    key = tmp_path / "supervisor.key"
    assert sections["unix_http_server"] == {
        "file": str(tmp_path / "supervisor.sock"),
        "chmod": "0700",
        "username": "mlflow",
        "password": key.read_text(),
    }
    assert re.fullmatch("[0-9a-f]{64}", key.read_text())
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    runtime._supervisor.make_key()
    assert configuration(process_runtime(tmp_path), wanted("demo")) == sections
    assert "inet_http_server" not in sections
    assert sections["supervisord"]["umask"] == "077"


def test_odd_paths_survive() -> None:
    """Blanks, percent signs, dollars and umlauts reach Supervisor as they are."""
    # A short place, as a socket's path must be.
    folder = Path("/x") / ODD
    runtime = process_runtime(folder, f"/{ODD}/bin/python")
    sections = configuration(runtime, wanted("demo"))
    command = shlex.split(sections["program:demo"]["command"])
    assert command[0] == f"/{ODD}/bin/python"
    assert command[-1].startswith(f"{folder}/demo/settings-")
    assert sections["program:demo"]["directory"] == str(folder / "demo")
    assert sections["supervisord"]["logfile"] == str(folder / "supervisord.log")


def test_a_folder_too_long_for_a_socket_is_refused() -> None:
    """The limit is told, and it is the true one."""
    with pytest.raises(MlflowError) as caught:
        process_runtime(Path("/" + "x" * 120) / "servers")
    sentence = str(caught.value)
    assert sentence.startswith("mlflow_state_dir is too long for a socket in it (/xxx")
    limit = int(sentence.rpartition(" characters at most.")[0].rpartition(" ")[2])
    assert limit > 60
    process_runtime(Path("/" + "x" * (limit - 1)) / "servers")
    with pytest.raises(MlflowError):
        process_runtime(Path("/" + "x" * limit) / "servers")


def test_the_limit_counts_bytes() -> None:
    """An umlaut takes two."""
    process_runtime(Path("/" + "x" * 60) / "servers")
    with pytest.raises(MlflowError):
        process_runtime(Path("/" + "ä" * 60) / "servers")


def test_servers_are_known_by_their_settings(tmp_path: Path) -> None:
    """Without a Supervisor nothing runs; what was left is known, with the latest settings."""
    for name in ("demo", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "supervisord.log").write_text("")
    (tmp_path / "demo" / "settings-0123456789abcdef.json").write_text(
        '{"host": "127.0.0.1", "port": 5001}'
    )
    assert process_runtime(tmp_path).observe() == {
        "demo": FoundServer(
            "demo", running=False, known=True, settings={"host": "127.0.0.1", "port": 5001}
        )
    }
    for cut in ("{", "", "[]", '{"host": "127.0.0.1"}', '{"host": 1, "port": 5001}'):
        (tmp_path / "demo" / "settings-0123456789abcdef.json").write_text(cut)
        assert process_runtime(tmp_path).observe() == {"demo": FoundServer("demo", known=True)}


def test_a_host_without_a_folder_has_no_servers() -> None:
    """Looking makes nothing."""
    # Short: a socket must fit into it.
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        runtime = process_runtime(Path(name) / "servers")
        assert runtime.observe() == {}
        assert runtime.dead() == {}
        assert list(Path(name).iterdir()) == []


@pytest.fixture
def ended() -> int:
    """Return the number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


def test_a_server_that_ends_while_it_is_looked_at_is_no_stranger(
    ended: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its port is waited for; one that a stranger holds is refused."""
    runtime, server = process_runtime(tmp_path), wanted("a")
    monkeypatch.setattr(runtime, "require", lambda _steps: None)
    monkeypatch.setattr(
        ports, "holder", lambda _host, port: ports.Holder(os.getpid(), "python", port)
    )
    env_files = EnvFiles(tmp_path, "mlflow")
    lock = tmp_path / ".lock"
    aim = Target(runtime, [server], KEEP, lock, env_files, UNRECORDED, boot=None, token="")
    with pytest.raises(MlflowError, match="is in use by process"):
        manager.read_plan(aim)
    monkeypatch.setattr(ports, "holder", lambda _host, port: ports.Holder(ended, "python", port))
    steps, _owners = manager.read_plan(aim)
    assert [step.name for step in steps] == ["a"]


def test_a_process_that_has_ended_has_no_arguments(
    ended: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there is no ps to ask; it is taken for a server that is ending."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert process_runtime(tmp_path).owns(ports.Holder(ended, "python", 5001))


class Telling(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A Supervisor that answers each method as told, and as its last answer then on."""

    daemon_threads = True

    def __init__(self, path: Path, answers: dict[str, list[bytes]]) -> None:
        """Take the socket's path, and the answers by method."""
        super().__init__(str(path), Answering)
        self.answers = answers


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers a call with what is due; an empty answer hangs up."""

    server: Telling

    def do_POST(self) -> None:
        """Answer one call."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        method = xmlrpc.client.loads(body)[1] or ""
        due = self.server.answers[method.rpartition(".")[2]]
        answer = due.pop(0) if len(due) > 1 else due[0]
        if answer:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\n")
            self.wfile.write(b"Content-Length: %d\r\n\r\n" % len(answer))
            # One that dies in the middle has promised more than it sends.
            self.wfile.write(answer.removesuffix(CUT))
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


CUT = b"CUT"


def xml(value: Any) -> bytes:
    """Return an answer of XML-RPC."""
    return xmlrpc.client.dumps((value,), methodresponse=True).encode()


RUNNING = xml({"statename": "RUNNING", "statecode": 1})
DEMO = {"name": "demo", "statename": "RUNNING", "pid": 1}


@contextlib.contextmanager
def telling(**answers: list[bytes]) -> Iterator[ProcessRuntime]:
    """Give a runtime whose Supervisor answers so."""
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as name,
        Telling(Path(name) / "supervisor.sock", answers) as server,
    ):
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield process_runtime(Path(name))
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    "answer",
    [
        b"<?xml version='1.0'?><methodResponse><params>",
        b"<methodResponse>" + CUT,
        b"no xml at all",
        xml([{"name": "demo"}]),
        xml([{"statename": "RUNNING", "pid": 1}]),
        xml("nothing"),
        xml([{**DEMO, "pid": "x"}]),
    ],
)
def test_an_answer_of_another_form_is_one_sentence(answer: bytes) -> None:
    """Of a Supervisor that dies in the middle, or of something else on its socket."""
    with (
        telling(
            getState=[RUNNING], getAllConfigInfo=[xml([])], getAllProcessInfo=[answer]
        ) as runtime,
        pytest.raises(MlflowError, match=r"Supervisor (refused|answered) getAllProcessInfo"),
    ):
        runtime.observe()


@pytest.mark.parametrize("answer", [b"", xml("x"), xml({"statecode": 1})])
def test_what_does_not_say_that_it_runs_is_gone(answer: bytes) -> None:
    """As one that hangs up while it ends."""
    with telling(getState=[answer]) as runtime:
        assert runtime._supervisor.alive() is False


def test_a_state_that_cannot_be_read_is_one_sentence() -> None:
    """As of a Supervisor that dies in the middle of it."""
    with (
        telling(getState=[b"<methodResponse>"]) as runtime,
        pytest.raises(MlflowError, match="Supervisor does not answer on"),
    ):
        runtime._supervisor.alive()


def test_a_supervisor_that_loses_its_servers_is_told() -> None:
    """It died and another one came, between the list and the call."""
    answers = {"getAllConfigInfo": [xml([])], "getAllProcessInfo": [xml([])]}
    with telling(getState=[RUNNING], **answers) as runtime:
        sentence = r"Supervisor ended, or lost server 'demo', while the servers .* then rerun\."
        with pytest.raises(MlflowError, match=sentence):
            runtime._supervisor.start(["demo"])
        with pytest.raises(MlflowError, match=sentence):
            runtime._supervisor._ended("demo")


@pytest.mark.parametrize("told", [[], [[[], []]], "x"])
def test_a_configuration_that_is_not_read_is_told(told: object) -> None:
    """Its answer has three lists."""
    with (
        telling(reloadConfig=[xml(told)]) as runtime,
        pytest.raises(MlflowError, match="Supervisor answered reloadConfig"),
    ):
        runtime._supervisor.update(time.monotonic() + 5)
