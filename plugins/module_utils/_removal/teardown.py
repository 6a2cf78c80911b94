# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: removes a team's deployment from its account, and says what is left.

What only its name says to be ours, the repository and the parameters, goes while the backend's stack
still proves it, and the stack goes only after that has succeeded. What the stack itself retains is
found by the history of deleted stacks. So a run that was interrupted is continued by the next one.
"""

from __future__ import annotations

import contextlib
import json
import time
import typing as t
from datetime import datetime

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal import model
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal.findings import (
    DELETE,
    KEEP,
    Finding,
    require_complete,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal.leavings import Leavings
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal.model import (
    Deployment,
    Resource,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal.stacks import OwnedStacks
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.api import (
    OvertakenError,
    StackApi,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.manager import converge
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.model import (
    OWNER_TAG,
    PROTECTION_PARAMETER,
    StackSpec,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.series import projects_in
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import (
    BUSY,
    SETTLED,
    SHELL,
    Stack,
    phase,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.template_bucket import (
    TemplateBucket,
)

# As long as the template leaves to somebody who changes their mind.
_KEY_DAYS = 30
_RESOURCE = "resource"
# By which the template marks the bucket with the stack's name.
_NAME_TAG = "Name"


class Choices(t.NamedTuple):
    """What goes besides: the database's snapshots, and the recovery of secrets."""

    snapshots: bool
    secrets_at_once: bool


class Teardown:
    """One run over one deployment."""

    def __init__(
        self,
        api: StackApi,
        leavings: Leavings,
        bucket: t.Callable[[], TemplateBucket],
        deployment: Deployment,
        choices: Choices,
        timeout: float,
        progress: t.Callable[[str], None],
    ) -> None:
        """Begin the time that all deletions share; bucket is that of templates, which an update may need."""
        self._api = api
        self._leavings = leavings
        self._bucket = bucket
        self._deployment = deployment
        self._choices = choices
        self._show = progress
        self._owned = OwnedStacks(api, deployment, timeout, progress)
        self._errors: list[str] = []
        self.removed: list[Finding] = []

    def found(self) -> list[Finding]:
        """Return everything of the deployment that exists; raises MlflowError for a foreign stack."""
        everything = self._api.stacks()
        stacks = self._owned.members(everything)
        return [
            *self._beside(stacks, everything),
            *(Finding(model.STACK, stack.name, DELETE, self._of_stack(stack)) for stack in stacks),
            *self._retained(stacks),
            *self._templates(everything),
        ]

    def remove(self) -> None:
        """Remove everything that is to go; raise MlflowError with what is left if that fails."""
        everything = self._api.stacks()
        stacks = self._owned.members(everything)
        for one in self._beside(stacks, everything):
            self._try(one)
        self._require_success()
        for stack in stacks:
            # The last one proves whose the others are.
            if stack.name == self._deployment.name:
                self._require_success()
            self._try(
                Finding(model.STACK, stack.name, DELETE, ""),
                lambda stack=stack: self._delete_stack(stack),  # type: ignore[misc]
            )
        self._require_success()
        # The key goes last, and only once nothing that it encrypts is left.
        for one in [*self._retained([]), *self._templates(self._api.stacks())]:
            if one.kind != model.KEY:
                self._try(one)
        self._require_success()
        for one in self._retained([]):
            self._try(one)
        self._require_success()

    def left(self) -> list[Finding]:
        """Look again, by names and by the tag, and return what there is; refuse what should not be."""
        found = self.found()
        what = f"The deployment '{self._deployment.name}'"
        require_complete(what, [one for one in found if one.goes], [], self.removed)
        return [*found, *self._pending(), *self._policies(), *self._tagged()]

    def repository(self, account: str, region: str) -> str:
        """Return the address of the repository, which may be gone, empty without one."""
        name = self._deployment.repository
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        return f"{account}.dkr.ecr.{region}.{suffix}/{name}" if name else ""

    def _require_success(self) -> None:
        """Stop before what depends on a step that failed."""
        if not self._errors:
            return
        left = [one for one in self.found() if one.goes]
        what = f"The deployment '{self._deployment.name}'"
        require_complete(what, left, self._errors, self.removed)

    def _beside(self, stacks: t.Sequence[Stack], everything: t.Iterable[Stack]) -> list[Finding]:
        """Return what belongs to the deployment by its name only, as long as its stack is there."""
        name, repository = self._deployment.name, self._deployment.repository
        if not any(stack.name == name for stack in stacks):
            return []
        found = []
        if repository and self._leavings.has_repository(repository):
            others = [
                stack.name
                for stack in model.sharers(everything, name)
                if model.uses_repository(stack, repository)
            ]
            found.append(_repository(repository, others))
        for parameter in self._leavings.parameters(f"/mlflow/{name}/"):
            meaning = (
                "root key of a project; without it, the webhook and gateway secrets in a snapshot or backup cannot be "
                "decrypted"
            )
            found.append(Finding(model.PARAMETER, parameter, DELETE, meaning))
        return found

    def _retained(self, stacks: t.Sequence[Stack]) -> list[Finding]:
        """Return what stacks that were deleted have retained, and what those that exist will retain."""
        resources = self._resources(stacks)
        clusters = model.clusters(resources)
        snapshots = self._snapshots(resources, clusters)
        found: list[Finding] = []
        for resource in resources:
            kind, name = model.kept_kind(resource), resource.identifier
            if kind == model.BUCKET and self._has_bucket(resource):
                found.append(self._bucket_finding(name))
            elif kind == model.KEY and self._leavings.has_key(name):
                found.append(self._key(name, snapshots, model.has_cluster(resources)))
        found += [self._snapshot(name) for name in snapshots]
        for cluster in clusters:
            found += [
                Finding(model.LOG_GROUP, name, DELETE, "logs of the database, which are lost")
                for name in self._leavings.log_groups(cluster)
            ]
        if not stacks:
            found += self._secrets()
        return found

    def _snapshots(self, resources: t.Sequence[Resource], clusters: t.Sequence[str]) -> list[str]:
        """Return the snapshots of the database: of clusters that are known, and all that our keys encrypt."""
        keys = {one.identifier for one in resources if model.kept_kind(one) == model.KEY}
        found = [name for cluster in clusters for name in self._leavings.snapshots(cluster)]
        if keys:
            found += [name for name, key in self._leavings.snapshot_keys().items() if key in keys]
        return list(dict.fromkeys(found))

    def _has_bucket(self, resource: Resource) -> bool:
        """Return whether the account has a bucket, and it is not a later one of the same name."""
        made = self._leavings.bucket_age(resource.identifier)
        if not made or not resource.left:
            return bool(made)
        tags: dict[str, str] = {}
        # A policy of the bucket may refuse this; it is deleted with the bucket.
        with contextlib.suppress(MlflowError):
            tags = self._leavings.bucket_tags(resource.identifier)
        if self._deployment.name in (tags.get(OWNER_TAG), tags.get(_NAME_TAG)):
            return True
        return datetime.fromisoformat(made) <= datetime.fromisoformat(resource.left)

    def _bucket_finding(self, name: str) -> Finding:
        """Return what the deletion of the bucket means."""
        number = "an unknown number of"
        with contextlib.suppress(MlflowError):
            number = self._leavings.bucket(name).holds()
        meaning = f"artifacts of all projects, {number} versions of objects, which are lost"
        return Finding(model.BUCKET, name, DELETE, meaning)

    def _resources(self, stacks: t.Sequence[Stack]) -> list[Resource]:
        """Return the resources of the backend's stack and of its deleted predecessors."""
        name = self._deployment.name
        found = [
            Resource(entry["type"], entry["physical_id"], True)
            for stack in stacks
            if stack.name == name and phase(stack) != SHELL
            for entry in self._api.resources(stack.stack_id)
            if entry["physical_id"] and entry["status"] != "DELETE_COMPLETE"
        ]
        found += self._owned.history(self._leavings.deleted_stacks(name))
        # AWS forgets deleted stacks after 90 days; the key still has the stack's tag.
        known = {one.identifier for one in found}
        found += [one for one in self._tagged_keys() if one.identifier not in known]
        return list(dict.fromkeys(found))

    def _tagged_keys(self) -> list[Resource]:
        """Return the KMS keys that have the tag of the deployment, as far as that may be asked."""
        try:
            return model.keys(self._leavings.tagged(OWNER_TAG, self._deployment.name))
        except MlflowError:
            # At the end, the reason is told.
            return []

    def _key(self, name: str, snapshots: t.Sequence[str], one_comes: bool) -> Finding:
        """Return what becomes of the key: it stays as long as a snapshot that it encrypts does."""
        going = set(snapshots) if self._choices.snapshots else set()
        staying = [
            one
            for one, key in self._leavings.snapshot_keys().items()
            if one not in going and (key == name or (not key and one in snapshots))
        ]
        if one_comes and not self._choices.snapshots:
            staying.append("the final one")
        if staying:
            return Finding(
                model.KEY,
                name,
                KEEP,
                f"encrypts snapshots of the database ({', '.join(staying)}), which could not be restored without it",
                "keep it as long as these snapshots; afterwards rerun with mlflow_destroy_snapshots=true, or use `aws "
                "kms schedule-key-deletion`",
            )
        meaning = f"AWS deletes it after {_KEY_DAYS} days; until then `aws kms cancel-key-deletion` recovers it"
        return Finding(model.KEY, name, DELETE, meaning)

    def _snapshot(self, name: str) -> Finding:
        """Return what becomes of a snapshot of the database."""
        if self._choices.snapshots:
            return Finding(model.SNAPSHOT, name, DELETE, "snapshot of the database, which is lost")
        return Finding(
            model.SNAPSHOT,
            name,
            KEEP,
            "snapshot of the database, from which it can be restored",
            "it costs a little; to delete it, rerun with mlflow_destroy_snapshots=true",
        )

    def _secrets(self) -> list[Finding]:
        """Return secrets that outlived their stacks."""
        found = []
        for arn, ends in self._leavings.secrets(self._deployment.name).items():
            if not ends:
                found.append(Finding(model.SECRET, arn, DELETE, "password of a project"))
            elif self._choices.secrets_at_once:
                found.append(Finding(model.SECRET, arn, DELETE, "scheduled for deletion"))
        return found

    def _templates(self, everything: t.Iterable[Stack]) -> list[Finding]:
        """Return the bucket of templates, which stays if other deployments use it."""
        name = self._deployment.templates
        if not self._leavings.has_bucket(name):
            return []
        others = [stack.name for stack in model.sharers(everything, self._deployment.name)]
        if others:
            return [
                Finding(
                    model.TEMPLATES,
                    name,
                    KEEP,
                    f"used by other stacks ({', '.join(others)})",
                    f"other stacks use it ({', '.join(others)}); keep it",
                )
            ]
        return [Finding(model.TEMPLATES, name, DELETE, "copies of this collection's templates")]

    def _pending(self) -> list[Finding]:
        """Return what AWS deletes later."""
        found = []
        for item in model.kept(self._resources([])):
            ends = self._leavings.key_ends(item.name) if item.kind == model.KEY else ""
            if ends:
                remedy = f"AWS deletes it on {ends}; `aws kms cancel-key-deletion` recovers it"
                found.append(Finding(item.kind, item.name, KEEP, "", remedy))
        for arn, ends in self._leavings.secrets(self._deployment.name).items():
            if ends:
                remedy = f"it can be recovered until AWS deletes it, scheduled for {ends}"
                found.append(Finding(model.SECRET, arn, KEEP, "", remedy))
        return found

    def _policies(self) -> list[Finding]:
        """Return the stacks of cloudformation/policies.yml for this deployment, which an administrator made."""
        return [
            Finding(
                model.STACK,
                stack.name,
                KEEP,
                "",
                "policies that an administrator deployed; detach and delete them if nobody deploys here again",
            )
            for stack in self._api.stacks()
            if stack.parameters.get("StackName") == self._deployment.name
            and "BoundaryPolicyArn" in stack.outputs
        ]

    def _tagged(self) -> list[Finding]:
        """Return other resources that have the tag of the deployment."""
        try:
            arns = self._leavings.tagged(OWNER_TAG, self._deployment.name)
        except MlflowError as error:
            return [Finding(_RESOURCE, "unknown", KEEP, "", str(error).rstrip("."))]
        known = {one.name for one in [*self.found(), *self._pending()]}
        return [
            Finding(
                _RESOURCE,
                arn,
                KEEP,
                "",
                "has the tag of this deployment; AWS may list it for a while after its deletion, otherwise delete it",
            )
            for arn in arns
            if not any(arn.endswith(name) for name in known)
        ]

    def _of_stack(self, stack: Stack) -> str:
        """Return what the deletion of a stack means."""
        name = self._deployment.name
        if stack.name == f"{name}-hosts":
            return f"EC2 hosts ({stack.parameters.get('HostCount', 'some')}), which are terminated"
        if stack.name == f"{name}-budget":
            return "the budget"
        if model.project_stack(name, stack.name):
            names = ", ".join(projects_in(stack)) or "no project"
            return f"roles and secrets of {names}, whose servers lose access at once"
        existing = stack.parameters.get("ExistingDatabaseEndpoint", "")
        if existing:
            return f"network and roles; the database {existing} is your own and stays, without the projects' schemas"
        ending = (
            "no snapshot is kept" if self._choices.snapshots else "AWS makes a final snapshot of it"
        )
        return f"network, roles, and the database with the metadata of all projects; {ending}"

    def _delete_stack(self, stack: Stack) -> None:
        """Delete a stack, without the protection that mlflow_stack gave it."""
        if phase(stack) == BUSY:
            self._owned.watch(stack.name).others(stack)
        now = self._api.describe(stack.stack_id)
        if now is None or now.status == "DELETE_COMPLETE":
            return
        if phase(now) == SETTLED and now.parameters.get(PROTECTION_PARAMETER) == "true":
            self._unprotect(now)
        elif now.protected:
            self._api.protect(now.name, wanted=False)
        self._owned.delete(self._api.describe(now.stack_id) or now)

    def _unprotect(self, stack: Stack) -> None:
        """Update a stack with its own template and parameters, only without protection."""
        template = self._api.template(stack.stack_id)
        tags = {key: text for key, text in stack.tags.items() if not key.startswith("aws:")}
        del tags[OWNER_TAG]
        converge(
            self._api,
            self._bucket,
            StackSpec(
                name=stack.name,
                owner=self._deployment.name,
                body=template if isinstance(template, str) else json.dumps(template),
                given={},
                tags=tags,
                protection=False,
                replace=[],
            ),
            timeout=max(1.0, self._owned.deadline - time.monotonic()),
            check_mode=False,
            progress=self._show,
        )

    def _try(self, one: Finding, delete: t.Callable[[], None] | None = None) -> None:
        """Remove one thing that is to go; keep the error, so that others are removed."""
        if not one.goes:
            return
        self._show(f"Removing {one.kind} {one.name}")
        try:
            if delete:
                delete()
            else:
                self._delete(one)
            self.removed.append(one)
        except (MlflowError, OvertakenError) as error:
            self._errors.append(str(error))

    def _delete(self, one: Finding) -> None:
        """Delete a thing of its kind."""
        leavings = self._leavings
        if one.kind == model.BUCKET:
            leavings.bucket(one.name, self._show, self._owned.deadline).delete()
        elif one.kind == model.KEY:
            leavings.delete_key(one.name, _KEY_DAYS)
        elif one.kind == model.SECRET:
            leavings.delete_secret(one.name, at_once=self._choices.secrets_at_once)
        else:
            delete: dict[str, t.Callable[[str], None]] = {
                model.REPOSITORY: leavings.delete_repository,
                model.PARAMETER: leavings.delete_parameter,
                model.SNAPSHOT: leavings.delete_snapshot,
                model.LOG_GROUP: leavings.delete_log_group,
                model.TEMPLATES: leavings.delete_templates,
            }
            delete[one.kind](one.name)


def _repository(name: str, others: t.Sequence[str]) -> Finding:
    """Return what becomes of the repository, which stays if other deployments pull from it."""
    if others:
        return Finding(
            model.REPOSITORY,
            name,
            KEEP,
            f"hosts of other stacks pull from it ({', '.join(others)})",
            f"hosts of other stacks pull from it ({', '.join(others)}); keep it",
        )
    return Finding(model.REPOSITORY, name, DELETE, "all images, which `image` can build again")
