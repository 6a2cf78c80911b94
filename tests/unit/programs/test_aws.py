# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's AWS identity, and what AWS's errors become."""

from __future__ import annotations

import os
import shlex
import sys
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
