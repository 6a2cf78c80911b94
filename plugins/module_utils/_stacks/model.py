# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: a CloudFormation stack as it should be, and what to do about it."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.parameters import Parameter

CREATE, UPDATE, KEEP, REMOVE = "create", "update", "keep", "remove"
OWNER_TAG = "mlflow_aws"
CHANGE_SET_PREFIX = "mlflow-aws-"
PROTECTION_PARAMETER = "DeletionProtection"
PROJECTS_PARAMETER = "Projects"


class StackSpec(t.NamedTuple):
    """A stack as it should be.

    given: parameters by name, as the user wrote them; protection: None leaves it as it is;
    replace: logical ids that may be replaced; foresee: a parameter that is given as None is
    known only later; watchful: what the plan does not remove stays, even if somebody else added
    it after the stack was read.
    """

    name: str
    owner: str
    body: str
    given: t.Mapping[str, t.Any]
    tags: t.Mapping[str, str]
    protection: bool | None
    replace: t.Sequence[str]
    foresee: bool = False
    watchful: bool = False


class Plan(t.NamedTuple):
    """What to do about a stack.

    action: create, update, keep or remove; parameters: all of the template's, with their source;
    tags: all of the stack's; reuse_template: the stack has it already; protect: the wanted
    termination protection where it is to change, else None.
    """

    action: str
    parameters: t.Mapping[str, Parameter]
    tags: t.Mapping[str, str]
    reuse_template: bool
    protect: bool | None
    changed_parameters: t.Sequence[str]

    @property
    def changed(self) -> bool:
        """Return whether the plan does anything."""
        return self.action != KEEP or self.protect is not None

    @property
    def values(self) -> dict[str, str]:
        """Return the parameters' values by name."""
        return {name: parameter.value for name, parameter in self.parameters.items()}


# For a stack that holds nothing any more.
REMOVAL = Plan(REMOVE, {}, {}, True, None, [])
