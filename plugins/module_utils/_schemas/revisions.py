# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: classifies a schema by what one MLflow knows of its revisions.

A schema is in one of these states:

    empty    no table in it
    current  at the head revision of the MLflow that will serve it
    behind   at an older revision of the same MLflow
    half     its tables are not those of its revision: a migration was interrupted
    unknown  its revision is not known to that MLflow, or MLflow is not installed yet
"""

from __future__ import annotations

import types
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

EMPTY, CURRENT, BEHIND, HALF, UNKNOWN = "empty", "current", "behind", "half", "unknown"
_NO_NUMBERS: t.Mapping[str, int] = types.MappingProxyType({})


class Revisions(t.NamedTuple):
    """What one MLflow knows: its head, all revisions that lead there, and their numbers of tables."""

    version: str
    head: str
    known: frozenset[str]
    tables: t.Mapping[str, int] = _NO_NUMBERS


def revisions_of(described: t.Mapping[str, t.Any] | None) -> Revisions | None:
    """Return what an MLflow says of itself by `describe`; None if there is none yet."""
    if not described:
        return None
    try:
        return Revisions(
            str(described["version"]),
            str(described["head"]),
            frozenset(map(str, described["revisions"])),
            dict(described.get("tables") or {}),
        )
    except (KeyError, TypeError, ValueError):
        raise MlflowError(
            "The description of MLflow lacks version, head or revisions; pass the content of "
            "docker/mlflow.json."
        ) from None


def state_of(tables: int, revision: str, revisions: Revisions | None) -> str:
    """Return the state of a schema with so many tables and this revision, empty for none."""
    if not tables:
        return EMPTY
    if not revision:
        return HALF
    if revisions is None or revision not in revisions.known:
        return UNKNOWN
    if revisions.tables.get(revision, tables) != tables:
        return HALF
    return CURRENT if revision == revisions.head else BEHIND
