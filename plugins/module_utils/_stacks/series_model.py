# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what the stacks of a series should be, and one of them."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.model import (
    PROJECTS_PARAMETER,
    StackSpec,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.projects import project_item
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.series import (
    ROOM,
    Room,
    stack_name,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.template import (
    parse_template,
)


class SeriesSpec(t.NamedTuple):
    """The stacks of a series as they should be; name is that of the first.

    present and absent are the projects to have and to drop; what the stacks have besides stays.
    The others are as in StackSpec, for each of the stacks.
    """

    name: str
    owner: str
    body: str
    given: t.Mapping[str, t.Any]
    present: t.Sequence[str]
    absent: t.Sequence[str]
    tags: t.Mapping[str, str]
    protection: bool | None
    foresee: bool = False
    room: Room = ROOM


def member_spec(wanted: SeriesSpec, number: int, names: t.Iterable[str]) -> StackSpec:
    """Return one stack of a series as it should be, with these projects."""
    if PROJECTS_PARAMETER not in (parse_template(wanted.body).get("Parameters") or {}):
        raise MlflowError(
            f"The template has no parameter '{PROJECTS_PARAMETER}'; use the module mlflow_stack for it."
        )
    return StackSpec(
        name=stack_name(wanted.name, number),
        owner=wanted.owner,
        body=wanted.body,
        given={**wanted.given, PROJECTS_PARAMETER: [project_item(name) for name in names]},
        tags=wanted.tags,
        protection=wanted.protection,
        replace=(),
        foresee=wanted.foresee,
        watchful=True,
    )
