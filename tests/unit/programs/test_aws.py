# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's AWS identity, and what AWS's errors become."""

from __future__ import annotations

import http.server
import json
import os
import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import aws, installation
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.errors import EntryError

OTHERS = ("AWS_EC2_METADATA_DISABLED", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Remove every variable that names an identity; all is put back afterwards."""
    for name in (*aws.IDENTITY, *OTHERS):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


def test_a_role_comes_by_this_program(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From the broker; what the server was started with is no identity of its own."""
    environment.setenv("AWS_ACCESS_KEY_ID", "AKIA0")
    environment.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/token")
    settings = tmp_path / "a folder" / "settings.json"
    aws.use_identity({"broker": "/run/aws.sock", "region": "eu-west-1"}, settings, tmp_path)
    assert not {"AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"} & set(os.environ)
    assert os.environ["AWS_REGION"] == os.environ["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert os.environ["AWS_EC2_METADATA_DISABLED"] == "true"
    head, line = Path(os.environ["AWS_CONFIG_FILE"]).read_text().splitlines()
    assert head == "[default]"
    words = shlex.split(line.removeprefix("credential_process = "))
    assert words == [sys.executable, "-I", str(installation.LAUNCHER), "credentials", str(settings)]
    assert not Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"]).exists()


def test_without_a_broker_there_are_no_credentials(tmp_path: Path) -> None:
    """Whoever asks for them is told."""
    with pytest.raises(EntryError, match="names no credential broker; run the servers playbook"):
        aws.credentials({"aws": {"region": "eu-west-1"}}, tmp_path / "settings.json")


@pytest.mark.parametrize(
    ("more", "remedy"), [({}, "run the servers playbook"), ({"schemas": []}, "rerun the playbook")]
)
def test_a_broker_that_is_gone(more: dict[str, object], remedy: str, tmp_path: Path) -> None:
    """Servers get theirs back by their playbook; that of migrations comes with the next migration."""
    given = {"aws": {"broker": str(tmp_path / "aws.sock")}, **more}
    with pytest.raises(EntryError, match=rf"does not answer on .* \(.*\); {remedy}\.$"):
        aws.credentials(given, tmp_path / "settings.json", wait=0)


def test_a_profile_is_used_as_it_is(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is written for it."""
    del environment
    aws.use_identity({"profile": "team", "endpoint_url": "http://127.0.0.1:1"}, tmp_path, tmp_path)
    assert os.environ["AWS_PROFILE"] == "team"
    assert os.environ["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert "AWS_REGION" not in os.environ
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        ("ResourceNotFoundException", "", "there is none in eu-west-1; run the projects playbook"),
        ("ParameterNotFound", "", "there is none in eu-west-1;"),
        ("InvalidRequestException", "marked for deletion", "restore-secret --secret-id demo"),
        ("AccessDeniedException", "no", "AWS denies it (no); run the projects playbook, or allow"),
        ("ExpiredTokenException", "", "the AWS credentials have expired; log in again."),
        ("InvalidSignatureException", "Signature expired: now.", "this machine's clock is wrong"),
        ("UnrecognizedClientException", "", "AWS does not accept the credentials"),
        ("Throttling", "slow\n down", "AWS answers Throttling (slow down); see"),
    ],
)
def test_what_aws_refuses(code: str, message: str, words: str) -> None:
    """The reason and the remedy, on one line."""
    error = {"Code": code, "Message": message}
    sentence = aws._refusal(error, {"region": "eu-west-1"}, {"SecretId": "demo"})
    assert words in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")


def failure(kind: str, message: str = "it failed") -> Exception:
    """Return an error of botocore's, by its name."""
    error: Exception = type(kind, (Exception,), {})(message)
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (failure("NoCredentialsError"), "there are no AWS credentials; run the servers playbook"),
        (failure("ProfileNotFound"), "the AWS configuration has no profile team; add it"),
        (failure("NoRegionError"), "no AWS region is set;"),
        (failure("ConnectTimeoutError"), "AWS cannot be reached (it failed); check the network"),
        (failure("OtherError", "it failed."), "it failed; check the AWS configuration."),
        (failure("CredentialRetrievalError", "custom-process: mlflow_entry: The role cannot be assumed."),
         "The role cannot be assumed."),
        (failure("CredentialRetrievalError", "custom-process: exit 1."), "exit 1."),
    ],
)  # fmt: skip
def test_calls_without_an_answer(error: Exception, words: str) -> None:
    """Of a role that cannot be assumed, this program's own sentence is passed on."""
    sentence = aws._failure(error, {"profile": "team"})
    assert sentence.startswith(words)
    assert sentence.endswith(".")


@contextmanager
def endpoint(*answers: tuple[int, str]) -> Iterator[tuple[str, list[str]]]:
    """Serve these answers, the last one again and again; yield the URL, and what was asked."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Answer the next call."""
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, text = answers[min(len(asked), len(answers) - 1)]
            asked.append(body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_arguments: object) -> None:
            """Log nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


SECRET = json.dumps({"SecretString": json.dumps({"password": "p"}), "VersionId": "1"})
EXPIRED = json.dumps({"__type": "ExpiredTokenException", "message": "The token is expired"})


def test_polls_of_the_secret_ask_for_credentials_once(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A session keeps its credentials until they end; after a failure they are fetched again."""
    count = tmp_path / "count"
    keys = {"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "s", "SessionToken": "t"}
    keys["Expiration"] = "2040-01-01T00:00:00Z"
    script = tmp_path / "process"
    script.write_text(f"#!/bin/sh\necho >> {count}\necho '{json.dumps(keys)}'\n")
    script.chmod(0o700)
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {script}\n")
    environment.setenv("AWS_CONFIG_FILE", str(config))
    environment.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with endpoint(*[(200, SECRET)] * 5, (400, EXPIRED), (200, SECRET)) as (url, asked):
        options = {"region": "eu-west-1", "endpoint_url": url, "broker": "x"}
        for _number in range(5):
            assert aws.read_secret("demo", options) == aws.Secret("1", "p")
        assert count.read_text() == "\n"
        with pytest.raises(EntryError, match="have expired"):
            aws.read_secret("demo", options)
        assert aws.read_secret("demo", options).password == "p"
        assert count.read_text() == "\n\n"
        assert len(asked) == 7
