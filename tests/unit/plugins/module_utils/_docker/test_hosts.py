# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which engine is used, and how it is reached."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import hosts
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.transport import Transport
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.tests.parts.fake_engine import FakeEngine


def test_the_default_engine_is_that_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By variable, then by context, then by socket."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "d"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(hosts, "DEFAULT_SOCKET", str(tmp_path / "system.sock"))
    assert hosts.default_host() == f"unix://{tmp_path}/system.sock"
    (tmp_path / "docker.sock").touch()
    assert hosts.default_host() == f"unix://{tmp_path}/docker.sock"
    (tmp_path / "system.sock").touch()
    assert hosts.default_host() == f"unix://{tmp_path}/system.sock"
    meta = tmp_path / "d" / "contexts" / "meta" / hashlib.sha256(b"mine").hexdigest()
    meta.mkdir(parents=True)
    (tmp_path / "d" / "config.json").write_text('{"currentContext": "mine"}')
    assert hosts.default_host() == f"unix://{tmp_path}/system.sock"
    (meta / "meta.json").write_text('{"Endpoints": {"docker": {"Host": "unix:///mine.sock"}}}')
    assert hosts.default_host() == "unix:///mine.sock"
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert hosts.default_host() == f"unix://{tmp_path}/system.sock"
    monkeypatch.setenv("DOCKER_HOST", "unix:///told.sock")
    assert hosts.default_host() == Engine().host == "unix:///told.sock"


# Does as `ssh HOST docker system dial-stdio`, and notes how it was called.
SSH = """#!{python}
import json, os, socket, sys, threading
open({log!r}, "w").write(json.dumps(sys.argv[1:]))
with socket.socket(socket.AF_UNIX) as engine:
    engine.connect({path!r})
    def back():
        while data := engine.recv(65536):
            os.write(1, data)
    threading.Thread(target=back, daemon=True).start()
    while data := os.read(0, 65536):
        engine.sendall(data)
"""


def test_an_engine_behind_ssh_is_reached(
    fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the ssh of the user, in which Docker's own command carries the connection."""
    program, log = tmp_path / "ssh", tmp_path / "log"
    path = hosts.socket_path(fake.host)
    program.write_text(SSH.format(python=sys.executable, log=str(log), path=path))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    fake.answers["GET", "/v1.41/version"] = (200, '{"Version": "x"}')
    engine = Transport("ssh://me@box:2222")
    assert engine.read("report its version", "GET", "/version") == {"Version": "x"}
    arguments = json.loads(log.read_text())
    assert arguments[-7:] == ["-l", "me", "-p", "2222", "--", "box", "docker system dial-stdio"]
    assert "BatchMode=yes" in arguments


def test_the_words_of_ssh_are_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it does not get through; or that there is none."""
    program = tmp_path / "ssh"
    program.write_text("#!/bin/sh\necho 'me@box: Permission denied (publickey).' >&2\nexit 255\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MlflowError, match=r"\(ssh: me@box: Permission denied \(publickey\)"):
        Transport("ssh://me@box").call("answer", "GET", "/x")
    program.unlink()
    with pytest.raises(
        MlflowError, match=r"\(this machine has no ssh\); install the OpenSSH client"
    ):
        Transport("ssh://me@box").call("answer", "GET", "/x")


@pytest.mark.parametrize(
    "host",
    [
        "npipe:////./pipe/docker",
        "unix://s",
        "tcp://",
        "tcp://box:x",
        "tcp://[::1",
        "ssh://box:99999",
        "box:2375",
        "",
    ],
)
def test_what_is_no_address_is_refused(host: str) -> None:
    """With the forms that there are."""
    with pytest.raises(MlflowError, match="write unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST"):
        Transport(host).call("answer", "GET", "/x")


def test_certificates_that_are_broken_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the variable that names their folder."""
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    (tmp_path / "ca.pem").write_text("not a certificate")
    with pytest.raises(MlflowError, match="correct DOCKER_CERT_PATH"):
        Transport("tcp://127.0.0.1:9").call("answer", "GET", "/x")
