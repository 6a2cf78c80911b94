# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: checks that AWS denies a project what is another one's."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account_check.subject import (
    NotHereError,
    Subject,
)

_BODY = b"verify_aws"


def role_delay(subject: Subject) -> str:
    """Assume the role of a project that has just been created."""
    _credentials, seconds, attempts = subject.assumed()
    return f"assumed {seconds:.1f} s after the stack was complete, with attempt {attempts}"


def objects_refused(subject: Subject) -> str:
    """Read, write and list the own prefix, and try the other one."""
    bucket = subject.outputs["ArtifactBucket"]
    own, other = (f"projects/{entry['name']}/verify-aws" for entry in (subject.own, subject.other))
    admin, s3 = subject.client("s3"), subject.as_project("s3")
    with _aws.explained(f"write to bucket '{bucket}'", admin):
        admin.put_object(Bucket=bucket, Key=other, Body=_BODY)
    subject.allowed("objects", lambda: s3.put_object(Bucket=bucket, Key=own, Body=_BODY))
    found = subject.allowed("objects", lambda: s3.get_object(Bucket=bucket, Key=own))
    if found["Body"].read() != _BODY:
        raise AssertionError("an object has other content than was written")
    prefix = own.rpartition("/")[0] + "/"
    subject.allowed("the listing", lambda: s3.list_objects_v2(Bucket=bucket, Prefix=prefix))
    tries: dict[str, t.Callable[[], t.Any]] = {
        "GetObject": lambda: s3.get_object(Bucket=bucket, Key=other),
        "PutObject": lambda: s3.put_object(Bucket=bucket, Key=other, Body=_BODY),
        "DeleteObject": lambda: s3.delete_object(Bucket=bucket, Key=other),
        "ListObjectsV2": lambda: s3.list_objects_v2(
            Bucket=bucket, Prefix=other.rpartition("/")[0] + "/"
        ),
        "ListObjectsV2 of all": lambda: s3.list_objects_v2(Bucket=bucket),
    }
    return f"own prefix: written, read, listed; other prefix: {_all_denied(subject, tries)}"


def secret_refused(subject: Subject) -> str:
    """Read the own secret, and try the others."""
    if not subject.own["runtime"]["secret"]:
        raise NotHereError("the projects log in with IAM and have no secrets")
    secrets = subject.as_project("secretsmanager")

    def read(arn: str) -> t.Callable[[], t.Any]:
        return lambda: secrets.get_secret_value(SecretId=arn)

    subject.allowed("the secret", read(subject.own["runtime"]["secret"]))
    tries = {
        "own migrator's": read(subject.own["migrator"]["secret"]),
        "other server's": read(subject.other["runtime"]["secret"]),
        "database's": read(subject.outputs["DatabaseSecretArn"]),
    }
    return f"own secret: read; others: {_all_denied(subject, tries)}"


def key_refused(subject: Subject) -> str:
    """Read the own key, and try the other one."""
    names = {entry["name"]: entry["parameter"] for entry in subject.backend["root_keys"]}
    ssm = subject.as_project("ssm")

    def read(project: str) -> t.Callable[[], t.Any]:
        return lambda: ssm.get_parameter(Name=names[project], WithDecryption=True)

    subject.allowed("the key", read(subject.own["name"]))
    tries = {"GetParameter": read(subject.other["name"])}
    return f"own key: read; other key: {_all_denied(subject, tries)}"


def _all_denied(subject: Subject, tries: t.Mapping[str, t.Callable[[], t.Any]]) -> str:
    """Return with which codes AWS denies all of these calls; raise for the first that it allows."""
    return ", ".join(f"{what} {subject.denied(what, call)}" for what, call in tries.items())
