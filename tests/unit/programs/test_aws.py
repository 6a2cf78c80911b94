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

ROLE = "arn:aws:iam::123456789012:role/demo"
OTHERS = (aws.BASE_VARIABLE, "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Remove every variable that names an identity; all is put back afterwards."""
    for name in (*aws.IDENTITY, *OTHERS):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


def test_a_role_is_assumed_by_this_program(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the identity that the server was started with, which the server itself no longer has."""
    environment.setenv("AWS_ACCESS_KEY_ID", "AKIA0")
    settings = tmp_path / "a folder" / "settings.json"
    given = {"AWS_SECRET_ACCESS_KEY": "s3cr3t", "MLFLOW_X": "1"}
    aws.use_identity({"role_arn": ROLE, "region": "eu-west-1"}, given, settings, tmp_path)
    assert "AWS_ACCESS_KEY_ID" not in os.environ
    assert os.environ["AWS_REGION"] == os.environ["AWS_DEFAULT_REGION"] == "eu-west-1"
    base = json.loads(Path(os.environ[aws.BASE_VARIABLE]).read_text())
    assert base == {"AWS_ACCESS_KEY_ID": "AKIA0", "AWS_SECRET_ACCESS_KEY": "s3cr3t"}
    head, line = Path(os.environ["AWS_CONFIG_FILE"]).read_text().splitlines()
    assert head == "[default]"
    words = shlex.split(line.removeprefix("credential_process = "))
    assert words == [sys.executable, "-I", str(installation.LAUNCHER), "credentials", str(settings)]
    assert not Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"]).exists()


def test_a_web_identity_is_the_base_as_well(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As of a pod: left in the environment, it would come before the role of the settings."""
    environment.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token")
    environment.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod")
    aws.use_identity({"role_arn": ROLE}, {}, tmp_path / "settings.json", tmp_path)
    assert "AWS_WEB_IDENTITY_TOKEN_FILE" not in os.environ
    base = json.loads(Path(os.environ[aws.BASE_VARIABLE]).read_text())
    assert base["AWS_WEB_IDENTITY_TOKEN_FILE"] == "/var/run/token"


def test_a_profile_is_used_as_it_is(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is written for it."""
    del environment
    aws.use_identity(
        {"profile": "team", "endpoint_url": "http://127.0.0.1:1"}, {}, tmp_path, tmp_path
    )
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


def test_who_may_assume_a_role_is_not_the_projects_playbooks() -> None:
    """It cannot change the identity of the host."""
    error = {"Code": "AccessDenied", "Message": "no"}
    assert aws._refusal(error, {}, {"RoleArn": ROLE}) == (
        "AWS denies it (no); allow this action to the server's identity."
    )


def failure(kind: str, message: str = "it failed") -> Exception:
    """Return an error of botocore's, by its name."""
    error: Exception = type(kind, (Exception,), {})(message)
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (failure("NoCredentialsError"), "there are no AWS credentials; mount an AWS configuration"),
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
DENIED = (
    "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
)
ASSUMED = (
    "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>AKIA1</AccessKeyId>"
    "<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
    "<Expiration>2040-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
)


def test_polls_of_the_secret_assume_the_role_once(
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
    environment.setenv(aws.BASE_VARIABLE, "x")
    with endpoint(*[(200, SECRET)] * 5, (400, EXPIRED), (200, SECRET)) as (url, asked):
        options = {"region": "eu-west-1", "endpoint_url": url}
        for _number in range(5):
            assert aws.read_secret("demo", options) == aws.Secret("1", "p")
        assert count.read_text() == "\n"
        with pytest.raises(EntryError, match="have expired"):
            aws.read_secret("demo", options)
        assert aws.read_secret("demo", options).password == "p"
        assert count.read_text() == "\n\n"
        assert len(asked) == 7


def test_a_new_role_is_waited_for(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """IAM refuses it for some seconds; one that could be assumed before is not new."""
    environment.setenv("AWS_ACCESS_KEY_ID", "AKIA0")
    environment.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    environment.setattr(aws, "_PROPAGATION_PAUSE", 0.01)
    path = tmp_path / "settings.json"
    with endpoint((403, DENIED), (403, DENIED), (200, ASSUMED), (403, DENIED)) as (url, asked):
        settings = {"aws": {"role_arn": ROLE, "region": "eu-west-1", "endpoint_url": url}}
        aws.use_identity(settings["aws"], {}, path, tmp_path)
        base = os.environ[aws.BASE_VARIABLE]
        assert json.loads(aws.credentials(settings, path))["AccessKeyId"] == "AKIA1"
        assert len(asked) == 3
        environment.setenv(aws.BASE_VARIABLE, base)
        with pytest.raises(EntryError, match="cannot be assumed: AWS denies it"):
            aws.credentials(settings, path)
        assert len(asked) == 4


def test_the_wait_for_a_new_role_has_an_end(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that may not be assumed at all is told after it."""
    environment.setenv("AWS_ACCESS_KEY_ID", "AKIA0")
    environment.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    environment.setattr(aws, "_PROPAGATION_PAUSE", 0.05)
    environment.setattr(aws, "_PROPAGATION_SECONDS", 1.5)
    with endpoint((403, DENIED)) as (url, asked):
        settings = {"aws": {"role_arn": ROLE, "region": "eu-west-1", "endpoint_url": url}}
        aws.use_identity(settings["aws"], {}, tmp_path / "settings.json", tmp_path)
        with pytest.raises(EntryError, match="cannot be assumed: AWS denies it"):
            aws.credentials(settings, tmp_path / "settings.json")
        assert len(asked) > 2
