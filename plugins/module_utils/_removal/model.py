# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: a backend that is to be removed, with what its stacks leave, as it is found."""

from __future__ import annotations

import fnmatch
import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.model import OWNER_TAG
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.series import stack_number
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import Stack

STACK, REPOSITORY, PARAMETER, BUCKET, KEY, SNAPSHOT, LOG_GROUP, TEMPLATES, SECRET = (
    "stack",
    "ECR repository",
    "parameter",
    "bucket",
    "KMS key",
    "database snapshot",
    "log group",
    "template bucket",
    "secret",
)
_BUCKET_TYPE, _KEY_TYPE, _CLUSTER_TYPE = (
    "AWS::S3::Bucket",
    "AWS::KMS::Key",
    "AWS::RDS::DBCluster",
)


class Owned(t.Protocol):
    """What is to be removed: its name, and the tags that its stacks must have, with their values."""

    @property
    def name(self) -> str:
        """Return the name of the backend's stack."""

    @property
    def proof(self) -> dict[str, str]:
        """Return the tags that show whose a stack is; all of them are required."""


class Backend(t.NamedTuple):
    """A throw-away backend: its name, the tag that its stacks must have, and names of what is beside them.

    An empty repository or templates names none.
    """

    name: str
    tag: str
    repository: str
    templates: str

    @property
    def proof(self) -> dict[str, str]:
        """Return the tag of the deployment, and the one that only throw-away stacks have."""
        return {OWNER_TAG: self.name, self.tag: self.name}


class Deployment(t.NamedTuple):
    """A deployment of a team: its name, and names of what is beside its stacks."""

    name: str
    repository: str
    templates: str

    @property
    def proof(self) -> dict[str, str]:
        """Return the tag that mlflow_stack gives each stack of the deployment."""
        return {OWNER_TAG: self.name}


class Item(t.NamedTuple):
    """One thing that is in the account."""

    kind: str
    name: str

    def text(self) -> str:
        """Return it as part of a sentence."""
        return f"{self.kind} {self.name}"


class Resource(t.NamedTuple):
    """A resource of a stack that is there or was deleted; kept if the stack's deletion left it.

    left: when it was left, in ISO 8601, empty if the stack is there.
    """

    type: str
    identifier: str
    kept: bool
    left: str = ""


def is_ours(tags: t.Mapping[str, str], owned: Owned) -> bool:
    """Return whether a stack with these tags is one of those that are to be removed."""
    return all(tags.get(key) == value for key, value in owned.proof.items())


def members(stacks: t.Iterable[Stack], backend: Owned) -> list[Stack]:
    """Return the stacks that are named as the backend's are, in the order in which they can be deleted."""

    def rank(stack: Stack) -> int:
        name = stack.name
        if name in (f"{backend.name}-hosts", f"{backend.name}-budget"):
            return 0
        if stack_number(f"{backend.name}-projects", name) is not None:
            return 1
        return 2 if name == backend.name else 3

    return sorted((stack for stack in stacks if rank(stack) < 3), key=rank)


def require_ours(name: str, tags: t.Sequence[t.Mapping[str, str]], owned: Owned) -> None:
    """Refuse to remove anything if one of the stacks was created by anything else.

    tags are the stack's, or those of each change set that waits for it.
    """
    if not tags or not all(is_ours(given, owned) for given in tags):
        # The last one is what tells these stacks from others.
        tag = list(owned.proof)[-1]
        raise MlflowError(
            f"Stack '{name}' exists and does not have the tag {tag} with the value "
            f"'{owned.name}', so it is not removed; choose another name."
        )


def project_stack(name: str, stack: str) -> bool:
    """Return whether a stack is one of the projects' of the deployment with a name."""
    return stack_number(f"{name}-projects", stack) is not None


def sharers(stacks: t.Iterable[Stack], name: str) -> list[Stack]:
    """Return the stacks of other deployments in the region, which may use what is beside ours."""
    return [stack for stack in stacks if stack.tags.get(OWNER_TAG, name) != name]


def uses_repository(stack: Stack, repository: str) -> bool:
    """Return whether the hosts of a stack pull from a repository."""
    pattern = stack.parameters.get("ImageRepository", "")
    return bool(pattern) and fnmatch.fnmatchcase(repository, pattern)


def kept_kind(resource: Resource) -> str:
    """Return the kind of what the deletion of a stack left, as far as it is removed here, else empty."""
    kinds = {_BUCKET_TYPE: BUCKET, _KEY_TYPE: KEY}
    return kinds.get(resource.type, "") if resource.kept else ""


def kept(resources: t.Iterable[Resource]) -> list[Item]:
    """Return what the deletion of a stack left, as far as it is removed here."""
    return [Item(kept_kind(one), one.identifier) for one in resources if kept_kind(one)]


def clusters(resources: t.Iterable[Resource]) -> list[str]:
    """Return the identifiers of the stack's database clusters, of deleted ones too."""
    found = [entry.identifier for entry in resources if entry.type == _CLUSTER_TYPE]
    return list(dict.fromkeys(filter(None, found)))


def has_cluster(resources: t.Iterable[Resource]) -> bool:
    """Return whether there is a cluster now, of which a final snapshot will be made."""
    return any(entry.type == _CLUSTER_TYPE and entry.kept for entry in resources)


def keys(arns: t.Iterable[str]) -> list[Resource]:
    """Return those of the ARNs that are KMS keys, as resources that a stack has left."""
    found = (re.fullmatch(r"arn:[^:]+:kms:[^:]*:[^:]*:key/(.+)", arn) for arn in arns)
    return [Resource(_KEY_TYPE, match[1], kept=True) for match in found if match]
