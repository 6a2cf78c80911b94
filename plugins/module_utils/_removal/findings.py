# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what a removal finds, and what becomes of it, in words."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

DELETE, KEEP = "delete", "keep"


class Finding(t.NamedTuple):
    """One thing that exists: its kind and name, whether it is deleted or kept, and what that means.

    remedy: what to do about it if it is still there at the end.
    """

    kind: str
    name: str
    fate: str
    meaning: str
    remedy: str = "rerun, or delete it yourself"

    @property
    def goes(self) -> bool:
        """Return whether it is to be deleted."""
        return self.fate == DELETE


def as_found(findings: t.Iterable[Finding]) -> list[dict[str, str]]:
    """Return findings as a module returns them."""
    return [
        {"kind": one.kind, "name": one.name, "action": one.fate, "meaning": one.meaning}
        for one in findings
    ]


def as_removed(findings: t.Iterable[Finding]) -> list[dict[str, str]]:
    """Return what was removed as a module returns it."""
    return [{"kind": one.kind, "name": one.name} for one in findings]


def as_left(findings: t.Iterable[Finding]) -> list[dict[str, str]]:
    """Return findings that are still there, with what to do about them."""
    return [{"kind": one.kind, "name": one.name, "remedy": one.remedy} for one in findings]


def require_confirmed(confirm: str, word: str) -> None:
    """Refuse a removal that nobody confirmed, or for something else."""
    if confirm != word:
        given = f"confirm is '{confirm}'" if confirm else "confirm is not set"
        raise MlflowError(
            f"{given}, so nothing was removed; to remove all that is listed, set confirm={word}."
        )


def require_complete(
    what: str, left: t.Sequence[Finding], errors: t.Sequence[str], removed: t.Iterable[Finding]
) -> None:
    """Raise the sentence about a removal that left what was to go, with what it did."""
    if left or errors:
        names = ", ".join(f"{one.kind} {one.name}" for one in left) or "nothing is left"
        why = "; ".join(text.rstrip(".") for text in errors) or "no reason was given"
        raise MlflowError(
            f"{what} could not be removed completely ({why}); left: {names}. Fix the cause and rerun, which "
            "continues.",
            {"leftovers": as_left(left), "removed": as_removed(removed)},
        )
