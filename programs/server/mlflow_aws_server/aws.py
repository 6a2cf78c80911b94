# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's AWS identity, and the calls that it makes with it.

A server whose settings name a socket of the host's credential broker acts as its project's role
and nothing else. It writes an AWS configuration into its private folder, whose `credential_process`
is this program's verb `credentials`, which asks the broker. So every AWS client in the server,
MLflow's own for S3 included, gets new credentials before the old ones expire.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import threading
from pathlib import Path
from typing import Any, NamedTuple

from . import broker, installation
from .errors import NAME, EntryError
from .private import write_private

# What makes an AWS client choose an identity: see the documentation of botocore.
IDENTITY = (
    "AWS_ACCESS_KEY_ID",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_DEFAULT_PROFILE",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
# How AWS is reached through a proxy; libraries differ in which spelling they read.
_PROXIES = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
REACHED_BY = (
    *_PROXIES,
    *(name.lower() for name in _PROXIES),
    "AWS_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
)
_PROCESS_ERROR = re.compile(rf"custom-process: (?:{NAME}: )?(.*)", re.DOTALL)
_UNKNOWN_KEY = (
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
)
# How AWS describes a signature that was made with a wrong clock.
_SKEWED = ("Signature expired", "Signature not yet current")
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
# Clients by what they were made for. One session asks for credentials once an hour.
_CLIENTS: dict[tuple[str, ...], Any] = {}
_CLIENTS_LOCK = threading.Lock()


class Secret(NamedTuple):
    """A password and the version of the secret that it was read from."""

    version: str
    password: str


def use_identity(aws: dict[str, Any], settings_path: Path, folder: Path) -> None:
    """Make the project's role, by the broker, or the profile this process's AWS identity."""
    region, endpoint = aws.get("region") or "", aws.get("endpoint_url") or ""
    variables = {"AWS_REGION": region, "AWS_DEFAULT_REGION": region, "AWS_ENDPOINT_URL": endpoint}
    if aws.get("broker"):
        for name in IDENTITY:
            os.environ.pop(name, None)
        command = shlex.join(installation.command("credentials", settings_path))
        lines = ["[default]", f"credential_process = {command}"]
        write_private(folder / "aws-config", "\n".join(lines) + "\n")
        variables["AWS_CONFIG_FILE"] = str(folder / "aws-config")
        # It does not exist: otherwise the one in the home folder would come first.
        variables["AWS_SHARED_CREDENTIALS_FILE"] = str(folder / "aws-credentials")
        variables["AWS_EC2_METADATA_DISABLED"] = "true"
    elif aws.get("profile"):
        variables["AWS_PROFILE"] = aws["profile"]
    os.environ.update({name: value for name, value in variables.items() if value})


def profile_of(aws: dict[str, Any]) -> str:
    """Return the profile to make a session of, empty for the usual one, which use_identity() may have made."""
    return "" if aws.get("broker") else aws.get("profile") or ""


def credentials(
    settings: dict[str, Any], settings_path: Path, wait: float = broker.WAIT_SECONDS
) -> str:
    """Return the credentials of the project's role as a credential_process prints them.

    settings: a server's, or the request of a migration; wait: see broker.py.
    """
    path = (settings.get("aws") or {}).get("broker")
    if not path:
        raise EntryError(f"{settings_path} names no credential broker; run the servers playbook.")
    return json.dumps(
        broker.credentials(
            Path(path), wait, migrates="schemas" in settings or "projects" in settings
        )
    )


def read_secret(secret: str, aws: dict[str, Any]) -> Secret:
    """Return the current version of a secret whose JSON text holds a password."""
    what = f"The secret {secret} cannot be read"
    answer = _call(aws, "secretsmanager", "get_secret_value", what, SecretId=secret)
    try:
        password = json.loads(answer["SecretString"])["password"]
    except (KeyError, TypeError, ValueError):
        password = None
    if not isinstance(password, str) or not password:
        raise EntryError(f'{what}: it is not a JSON object with a text "password"; fix it.')
    if not (password.isascii() and password.isprintable()):
        raise EntryError(
            f"{what}: its password holds a character that MySQL's option files cannot carry; "
            "rotate it to printable ASCII."
        )
    return Secret(answer["VersionId"], password)


def read_parameter(name: str, aws: dict[str, Any]) -> str:
    """Return the value of an encrypted parameter."""
    what = f"The project's key {name} cannot be read"
    answer = _call(aws, "ssm", "get_parameter", what, Name=name, WithDecryption=True)
    return str(answer["Parameter"]["Value"])


def s3_client(aws: dict[str, Any]) -> Any:
    """Return a client of S3 for many requests at once, the same for each call: threads may share it."""
    import boto3
    from botocore.config import Config

    profile = profile_of(aws)
    region, endpoint = aws.get("region") or "", aws.get("endpoint_url") or ""
    limits = Config(
        connect_timeout=10,
        read_timeout=60,
        retries={"mode": "standard", "max_attempts": 6},
        max_pool_connections=32,
    )
    with _CLIENTS_LOCK:
        key = ("s3", profile, region, endpoint)
        if key not in _CLIENTS:
            session = boto3.session.Session(profile_name=profile or None)
            _CLIENTS[key] = session.client(
                "s3", region_name=region or None, endpoint_url=endpoint or None, config=limits
            )
        return _CLIENTS[key]


def _call(aws: dict[str, Any], service: str, method: str, what: str, **request: Any) -> Any:
    """Make one AWS call; its failure becomes one sentence that begins with `what`."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return getattr(_client(service, aws), method)(**request)
    except ClientError as error:
        reason = _refusal(error.response["Error"], aws, request)
    except BotoCoreError as error:
        reason = _failure(error, aws)
    # It may hold credentials that have been replaced where they came from.
    with _CLIENTS_LOCK:
        _CLIENTS.clear()
    raise EntryError(f"{what}: {reason}") from None


def _client(service: str, aws: dict[str, Any]) -> Any:
    """Return a client of a service, the same one for each call until a call fails."""
    import boto3
    from botocore.config import Config

    profile = profile_of(aws)
    region, endpoint = aws.get("region") or "", aws.get("endpoint_url") or ""
    limits = Config(
        connect_timeout=10, read_timeout=20, retries={"mode": "standard", "max_attempts": 4}
    )
    with _CLIENTS_LOCK:
        key = (service, profile, region, endpoint)
        if key not in _CLIENTS:
            session = boto3.session.Session(profile_name=profile or None)
            _CLIENTS[key] = session.client(
                service,
                region_name=region or None,
                endpoint_url=endpoint or None,
                config=limits,
            )
        return _CLIENTS[key]


def _refusal(error: dict[str, str], aws: dict[str, Any], request: dict[str, str]) -> str:
    """Return why AWS refused a call, and the remedy."""
    code, message = error.get("Code", ""), " ".join(error.get("Message", "").split())
    region = aws.get("region") or "its region"
    if code in ("ResourceNotFoundException", "ParameterNotFound"):
        return f"there is none in {region}; run the projects playbook, which creates it."
    if code == "InvalidRequestException" and "delet" in message:
        return (
            "it is scheduled for deletion; restore it with `aws secretsmanager restore-secret "
            f"--secret-id {request.get('SecretId')}`, or run the projects playbook."
        )
    if code in _DENIED:
        return (
            f"AWS denies it ({message}); run the projects playbook, or allow this action to the server's "
            "identity."
        )
    if code in _EXPIRED:
        return "the AWS credentials have expired; log in again."
    if message.startswith(_SKEWED):
        return f"this machine's clock is wrong ({message.rstrip('.')}); set it."
    if code in _UNKNOWN_KEY:
        return f"AWS does not accept the credentials ({code}); correct them."
    return f"AWS answers {code} ({message}); see the AWS documentation of this error."


def _failure(error: Exception, aws: dict[str, Any]) -> str:
    """Return why a call got no answer, and the remedy."""
    kind, message = type(error).__name__, " ".join(str(error).split())
    if kind == "CredentialRetrievalError":
        match = _PROCESS_ERROR.search(message)
        return match.group(1) if match else message
    if kind in ("NoCredentialsError", "PartialCredentialsError"):
        return (
            "there are no AWS credentials; run the servers playbook, which starts the host's credential "
            "broker, or mount an AWS configuration folder."
        )
    if kind == "ProfileNotFound":
        return f"the AWS configuration has no profile {aws.get('profile')}; add it or name another."
    if kind == "NoRegionError":
        return "no AWS region is set; run the servers playbook, which sets it."
    if kind in ("EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "SSLError"):
        return f"AWS cannot be reached ({message}); check the network and the endpoint."
    return f"{message.rstrip('.')}; check the AWS configuration."
