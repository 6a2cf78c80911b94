# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: a backend that is to be removed, with what its stacks leave, as it is found."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.model import OWNER_TAG
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.series import stack_number
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import Stack

STACK, REPOSITORY, PARAMETER, BUCKET, KEY, SNAPSHOT, LOG_GROUP, TEMPLATES = (
    "stack",
    "ECR repository",
    "parameter",
    "bucket",
    "KMS key",
    "database snapshot",
    "log group",
    "template bucket",
)
_BUCKET_TYPE, _KEY_TYPE, _CLUSTER_TYPE = (
    "AWS::S3::Bucket",
    "AWS::KMS::Key",
    "AWS::RDS::DBCluster",
)


class Backend(t.NamedTuple):
    """Which backend: its name, the tag that its stacks must have, and names of what is beside them.

    An empty tag, repository or templates names none.
    """

    name: str
    tag: str
    repository: str
    templates: str


class Item(t.NamedTuple):
    """One thing that is in the account."""

    kind: str
    name: str

    def text(self) -> str:
        """Return it as part of a sentence."""
        return f"{self.kind} {self.name}"


class Resource(t.NamedTuple):
    """A resource of a stack that is there or was deleted; kept if the stack's deletion left it."""

    type: str
    identifier: str
    kept: bool


def is_ours(tags: t.Mapping[str, str], backend: Backend) -> bool:
    """Return whether a stack with these tags belongs to the backend and has the tag, with the backend's name."""
    return tags.get(OWNER_TAG) == backend.name and tags.get(backend.tag) == backend.name


def members(stacks: t.Iterable[Stack], backend: Backend) -> list[Stack]:
    """Return the stacks that are named as the backend's are, in the order in which they can be deleted."""

    def rank(stack: Stack) -> int:
        name = stack.name
        if name in (f"{backend.name}-hosts", f"{backend.name}-budget"):
            return 0
        if stack_number(f"{backend.name}-projects", name) is not None:
            return 1
        return 2 if name == backend.name else 3

    return sorted((stack for stack in stacks if rank(stack) < 3), key=rank)


def require_ours(name: str, tags: t.Sequence[t.Mapping[str, str]], backend: Backend) -> None:
    """Refuse to remove anything if one of the stacks was created by anything else.

    tags are the stack's, or those of each change set that waits for it.
    """
    if not tags or not all(is_ours(given, backend) for given in tags):
        raise MlflowError(
            f"Stack '{name}' exists and does not have the tag {backend.tag} with the value "
            f"'{backend.name}', so it is not removed; choose another name."
        )


def kept(resources: t.Iterable[Resource]) -> list[Item]:
    """Return what the deletion of a stack left, as far as it is removed here."""
    kinds = {_BUCKET_TYPE: BUCKET, _KEY_TYPE: KEY}
    return [
        Item(kinds[resource.type], resource.identifier)
        for resource in resources
        if resource.kept and resource.type in kinds
    ]


def clusters(resources: t.Iterable[Resource]) -> list[str]:
    """Return the identifiers of the stack's database clusters, of deleted ones too."""
    found = [entry.identifier for entry in resources if entry.type == _CLUSTER_TYPE]
    return list(dict.fromkeys(filter(None, found)))
