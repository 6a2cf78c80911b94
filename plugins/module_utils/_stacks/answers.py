# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what CloudFormation says in words, and what it means."""

from __future__ import annotations

import re

_UNCHANGED = re.compile(
    r"didn.t contain changes|no updates are to be performed|no changes", re.IGNORECASE
)
_OVERTAKEN = re.compile(
    r"_IN_PROGRESS\b|stack\b.* (already exists|does not exist)|cannot be executed", re.IGNORECASE
)
_OVERTAKEN_CODES = {
    "AlreadyExistsException",
    "ChangeSetNotFound",
    "ChangeSetNotFoundException",
    "InvalidChangeSetStatus",
    "OperationInProgressException",
    "StaleRequestException",
    "TokenAlreadyExistsException",
}
_HANDLER = re.compile(r'Resource handler returned message: "?(?P<text>.*?)"?(?: \(RequestToken|$)')
_REQUEST = re.compile(r"\s*\((?:Service|RequestToken|Status Code)\b[^()]*\)")


def tidy(reason: str | None) -> str:
    """Return a reason of AWS on one line, without the ids of its requests and its full stop."""
    text = " ".join(str(reason or "").split())
    handled = _HANDLER.search(text)
    text = handled["text"] if handled else text
    return _REQUEST.sub("", text).strip().rstrip(".")


def is_unchanged(reason: str) -> bool:
    """Return whether a change set failed only because there is nothing to change."""
    return _UNCHANGED.search(reason) is not None


def is_overtaken(code: str, text: str) -> bool:
    """Return whether AWS refused because somebody else changed the stack meanwhile."""
    return code in _OVERTAKEN_CODES or (
        code == "ValidationError" and _OVERTAKEN.search(text) is not None
    )
