# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: removes a backend with everything that its stacks leave, and says what is left.

The backend's own stack goes after what only its tag says to be ours: repository and parameters. So
a run that was interrupted is continued by the next one. What the stack itself retains is found by
the history of deleted stacks.
"""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal import model
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal.leavings import Leavings
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal.model import (
    Backend,
    Item,
    Resource,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._removal.stacks import OwnedStacks
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.api import (
    OvertakenError,
    StackApi,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.stack import Stack

Removal = t.Dict[str, t.Any]


class Remover:
    """One run over one backend."""

    def __init__(
        self,
        api: StackApi,
        leavings: Leavings,
        backend: Backend,
        timeout: float,
        progress: t.Callable[[str], None],
    ) -> None:
        """Begin the time that all deletions share."""
        self._api = api
        self._leavings = leavings
        self._backend = backend
        self._owned = OwnedStacks(api, backend, timeout, progress)
        self._show = progress
        self._errors: list[str] = []
        self.removed: list[Item] = []

    def found(self) -> list[Item]:
        """Return everything of the backend that is in the account; raises MlflowError for a foreign stack."""
        stacks = self._stacks()
        items = [Item(model.STACK, stack.name) for stack in stacks]
        return [*self._beside(), *items, *self._after()]

    def remove(self) -> list[Item]:
        """Remove everything; return what is left, and raise MlflowError if that is anything."""
        stacks = self._stacks()
        owned = any(stack.name == self._backend.name for stack in stacks)
        if owned:
            for item in self._beside():
                self._try(item)
        for stack in stacks:
            self._try(Item(model.STACK, stack.name), stack)
        for item in self._after():
            self._try(item)
        left = self.found()
        if left or self._errors:
            names = ", ".join(item.text() for item in left) or "nothing is left"
            why = "; ".join(text.rstrip(".") for text in self._errors) or "no reason was given"
            raise MlflowError(
                f"The backend '{self._backend.name}' could not be removed completely ({why}); left: "
                f"{names}. Rerun, or delete these yourself.",
                {"leftovers": as_dicts(left), "removed": as_dicts(self.removed)},
            )
        return left

    def _stacks(self) -> list[Stack]:
        """Return the backend's stacks, none of which another one created."""
        return self._owned.members(self._api.stacks())

    def _beside(self) -> list[Item]:
        """Return what belongs to the backend by its name only."""
        backend = self._backend
        items = []
        if backend.repository and self._leavings.has_repository(backend.repository):
            items.append(Item(model.REPOSITORY, backend.repository))
        names = self._leavings.parameters(f"/mlflow/{backend.name}/")
        return items + [Item(model.PARAMETER, name) for name in names]

    def _after(self) -> list[Item]:
        """Return what stacks of the backend have left, and the bucket of their templates."""
        resources = self._history()
        items = [item for item in model.kept(resources) if self._is_there(item)]
        for cluster in model.clusters(resources):
            items += [Item(model.SNAPSHOT, name) for name in self._leavings.snapshots(cluster)]
            items += [Item(model.LOG_GROUP, name) for name in self._leavings.log_groups(cluster)]
        templates = self._backend.templates
        if templates and self._leavings.has_bucket(templates):
            items.append(Item(model.TEMPLATES, templates))
        return items

    def _history(self) -> list[Resource]:
        """Return the resources of the backend's deleted stacks that had the tag, from their events."""
        return self._owned.history(self._leavings.deleted_stacks(self._backend.name))

    def _is_there(self, item: Item) -> bool:
        """Return whether a retained resource still exists."""
        if item.kind == model.BUCKET:
            return self._leavings.has_bucket(item.name)
        return self._leavings.has_key(item.name)

    def _try(self, item: Item, stack: Stack | None = None) -> None:
        """Remove one thing; keep the error, so that the others are removed."""
        leavings = self._leavings
        delete: dict[str, t.Callable[[str], None]] = {
            model.REPOSITORY: leavings.delete_repository,
            model.PARAMETER: leavings.delete_parameter,
            model.BUCKET: leavings.delete_bucket,
            model.KEY: leavings.delete_key,
            model.SNAPSHOT: leavings.delete_snapshot,
            model.LOG_GROUP: leavings.delete_log_group,
            model.TEMPLATES: leavings.delete_templates,
        }
        self._show(f"Removing {item.text()}")
        try:
            if stack is None:
                delete[item.kind](item.name)
            else:
                self._owned.delete(stack)
            self.removed.append(item)
        except (MlflowError, OvertakenError) as error:
            self._errors.append(str(error))


def as_dicts(items: t.Iterable[Item]) -> list[dict[str, str]]:
    """Return items as a module returns them."""
    return [item._asdict() for item in items]
