# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the events of a stack: records, the first failure, the end of an operation."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._aws_errors import denied
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.answers import tidy

_CANCELLED = re.compile(r"Resource \w+ cancelled")
_STACK_TYPE = "AWS::CloudFormation::Stack"
# CREATE_FAILED and UPDATE_FAILED are events on the way to a rollback.
_ENDS = {
    "CREATE_COMPLETE",
    "DELETE_COMPLETE",
    "DELETE_FAILED",
    "ROLLBACK_COMPLETE",
    "ROLLBACK_FAILED",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "UPDATE_ROLLBACK_FAILED",
}


def first_failure(events: t.Iterable[t.Mapping[str, t.Any]]) -> dict[str, t.Any] | None:
    """Return the event in which an operation went wrong; events are in order of time.

    What AWS cancels because of it, and the stack's own event that only sums up, come after.
    """
    failed = [event for event in events if event["status"].endswith("_FAILED")]
    own = [event for event in failed if event["type"] != _STACK_TYPE]
    causes = [event for event in own if event["reason"] and not _CANCELLED.search(event["reason"])]
    return dict((causes or own or failed or [{}])[0]) or None


def describe_failure(event: t.Mapping[str, t.Any]) -> str:
    """Return a failed event as part of a sentence."""
    reason = denied(event["reason"]) or event["reason"] or "no reason given"
    if event["type"] == _STACK_TYPE:
        return str(reason)
    return f"{event['logical_id']} ({event['type']}) {event['status']}: {reason}"


def event_record(event: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the record of one stack event of AWS."""
    moment = event["Timestamp"]
    return {
        "id": event["EventId"],
        "time": moment.isoformat() if hasattr(moment, "isoformat") else str(moment),
        "logical_id": event["LogicalResourceId"],
        "physical_id": event.get("PhysicalResourceId", ""),
        "type": event.get("ResourceType", ""),
        "status": event["ResourceStatus"],
        "reason": tidy(event.get("ResourceStatusReason", "")),
        "detail": event.get("DetailedStatus", ""),
    }


def shown_events(events: t.Iterable[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return events without what only we need of them."""
    return [
        {key: text for key, text in event.items() if key not in ("id", "detail")}
        for event in events
    ]


def event_line(event: t.Mapping[str, t.Any]) -> str:
    """Return an event as a line of progress."""
    reason = f": {event['reason']}" if event["reason"] else ""
    return f"{event['time'][11:19]} {event['status']} {event['type']} {event['logical_id']}{reason}"


def end_status(events: t.Iterable[t.Mapping[str, t.Any]], stack_id: str) -> str:
    """Return the status in which an operation ended, from its events; empty if it goes on."""
    own = [event["status"] for event in events if event["physical_id"] == stack_id]
    return own[-1] if own and own[-1] in _ENDS else ""


def current_resource(events: t.Iterable[t.Mapping[str, t.Any]]) -> str:
    """Return which resource an operation is at, as a part of a sentence."""
    last = {event["logical_id"]: event for event in events}
    open_ = [
        event
        for event in last.values()
        if event["status"].endswith("_IN_PROGRESS") and event["type"] != _STACK_TYPE
    ]
    if not open_:
        return ""
    return f", at {open_[0]['logical_id']} ({open_[0]['type']} {open_[0]['status']})"
