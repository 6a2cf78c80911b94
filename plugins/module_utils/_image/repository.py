# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the ECR repository of the image, read, planned and changed."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import ecr

CREATE, MUTABILITY, SCANNING, LIFECYCLE = "create", "mutability", "scanning", "lifecycle"
_IMMUTABLE = "IMMUTABLE"
_DOING = {
    CREATE: "create",
    MUTABILITY: "set the tag mutability of",
    SCANNING: "set the image scanning of",
    LIFECYCLE: "set the lifecycle policy of",
}


class Settings(t.NamedTuple):
    """What can change of a repository: immutable tags, a scan of each push, lifecycle policy."""

    immutable: bool
    scan_on_push: bool
    lifecycle: t.Mapping[str, t.Any]


class Repository(t.NamedTuple):
    """A repository that exists: URI and settings."""

    uri: str
    settings: Settings


def wanted(untagged_days: int) -> Settings:
    """Return the settings that every repository is brought to.

    Tagged images stay: a host may run any of them, and deployments name them by digest. Untagged
    images are what interrupted pushes left; ECR keeps the parts of a multi-platform image with it.
    """
    if untagged_days < 1:
        raise MlflowError(
            f"mlflow_ecr_untagged_days is {untagged_days}; set it to a number of days, 1 or more."
        )
    rule = {
        "rulePriority": 1,
        "description": f"Expire untagged images after {untagged_days} days",
        "selection": {
            "tagStatus": "untagged",
            "countType": "sinceImagePushed",
            "countUnit": "days",
            "countNumber": untagged_days,
        },
        "action": {"type": "expire"},
    }
    return Settings(True, True, {"rules": [rule]})


def read(client: t.Any, name: str) -> Repository | None:
    """Return a repository, None where there is none."""
    with _aws.explained(f"look up the ECR repository '{name}'", client):
        answer = ecr.unless(
            "RepositoryNotFoundException",
            lambda: client.describe_repositories(repositoryNames=[name]),
        )
        if not answer or not answer["repositories"]:
            return None
        found = answer["repositories"][0]
        settings = Settings(
            found.get("imageTagMutability") == _IMMUTABLE,
            bool(found.get("imageScanningConfiguration", {}).get("scanOnPush")),
            _lifecycle(client, name),
        )
    return Repository(str(found["repositoryUri"]), settings)


def plan(found: Repository | None, settings: Settings) -> tuple[str, ...]:
    """Return what is to be done, in order."""
    if found is None:
        return (CREATE, LIFECYCLE)
    now = found.settings
    steps = {
        MUTABILITY: now.immutable != settings.immutable,
        SCANNING: now.scan_on_push != settings.scan_on_push,
        LIFECYCLE: now.lifecycle != settings.lifecycle,
    }
    return tuple(step for step, due in steps.items() if due)


def apply(
    client: t.Any, name: str, steps: t.Iterable[str], settings: Settings, kms_key: str
) -> None:
    """Do the steps of a plan; kms_key encrypts a new repository, if unset ECR's own AES-256."""
    for step in steps:
        with _aws.explained(f"{_DOING[step]} the ECR repository '{name}'", client):
            if step == CREATE:
                _create(client, name, settings, kms_key)
            elif step == MUTABILITY:
                client.put_image_tag_mutability(repositoryName=name, imageTagMutability=_IMMUTABLE)
            elif step == SCANNING:
                client.put_image_scanning_configuration(
                    repositoryName=name,
                    imageScanningConfiguration={"scanOnPush": settings.scan_on_push},
                )
            else:
                text = json.dumps(settings.lifecycle)
                client.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=text)


def _create(client: t.Any, name: str, settings: Settings, kms_key: str) -> None:
    """Create a repository; one that another run has just created is as good."""
    kms = {"encryptionType": "KMS", "kmsKey": kms_key}
    ecr.unless(
        "RepositoryAlreadyExistsException",
        lambda: client.create_repository(
            repositoryName=name,
            imageTagMutability=_IMMUTABLE,
            imageScanningConfiguration={"scanOnPush": settings.scan_on_push},
            encryptionConfiguration=kms if kms_key else {"encryptionType": "AES256"},
        ),
    )


def _lifecycle(client: t.Any, name: str) -> dict[str, t.Any]:
    """Return a repository's lifecycle policy, an empty one where there is none."""
    answer = ecr.unless(
        "LifecyclePolicyNotFoundException",
        lambda: client.get_lifecycle_policy(repositoryName=name),
    )
    found = json.loads((answer or {}).get("lifecyclePolicyText") or "{}")
    return found if isinstance(found, dict) else {}
