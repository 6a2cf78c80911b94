# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what is in Amazon ECR, and a token for its registry."""

from __future__ import annotations

import base64
import json
import typing as t
from urllib.parse import urlsplit

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws

_MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)


class Token(t.NamedTuple):
    """A user and password for a registry, the registry's own host, and when they expire (ISO 8601)."""

    username: str
    password: str
    host: str
    expires: str = ""


def find_repository(client: t.Any, name: str) -> str:
    """Return the URI of a repository, or an empty text where there is none."""
    with _aws.explained(f"look up the ECR repository '{name}'", client):
        found = unless(
            "RepositoryNotFoundException",
            lambda: client.describe_repositories(repositoryNames=[name]),
        )
    repositories = (found or {}).get("repositories") or []
    return str(repositories[0]["repositoryUri"]) if repositories else ""


def find_digest(client: t.Any, name: str, tag: str) -> str:
    """Return the digest of the image with a tag, or an empty text where there is none."""
    with _aws.explained(f"look up the image {name}:{tag} in ECR", client):
        found = unless(
            "ImageNotFoundException",
            lambda: client.describe_images(repositoryName=name, imageIds=[{"imageTag": tag}]),
        )
    images = (found or {}).get("imageDetails") or []
    return str(images[0]["imageDigest"]) if images else ""


def fetch_manifest(client: t.Any, name: str, digest: str) -> dict[str, t.Any]:
    """Return the manifest with a digest, or an empty one where there is none."""
    with _aws.explained(f"read the manifest of the image {name}@{digest} in ECR", client):
        answer = client.batch_get_image(
            repositoryName=name,
            imageIds=[{"imageDigest": digest}],
            acceptedMediaTypes=list(_MANIFESTS),
        )
    images = answer.get("images") or []
    found = json.loads(images[0]["imageManifest"]) if images else {}
    return found if isinstance(found, dict) else {}


def fetch_token(client: t.Any) -> Token:
    """Return a user and password for the registry, valid for twelve hours."""
    with _aws.explained("get a token for the ECR registry", client):
        answer = client.get_authorization_token()["authorizationData"][0]
    text = base64.b64decode(answer["authorizationToken"]).decode("utf-8")
    username, _colon, password = text.partition(":")
    expires = answer.get("expiresAt")
    return Token(
        username,
        password,
        host_of(answer.get("proxyEndpoint", "")),
        expires.isoformat() if hasattr(expires, "isoformat") else "",
    )


def host_of(address: str) -> str:
    """Return the host, and port if any, of a registry given as a host or as a URL."""
    text = address if "://" in address else f"//{address}"
    return urlsplit(text).netloc.rpartition("@")[2]


def repository_address(uri: str, name: str, registry: str) -> str:
    """Return where Docker finds a repository: its URI, or its name at the registry given."""
    return f"{host_of(registry)}/{name}" if registry else uri


def unless(code: str, call: t.Callable[[], t.Any]) -> t.Any:
    """Return what a call answers, or None where AWS says that the thing does not exist."""
    try:
        return call()
    except Exception as error:
        if _aws.error_code(error) == code:
            return None
        raise
