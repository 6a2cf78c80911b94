# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the report of a verification, to paste into an issue, purely."""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account_check.catalog import (
    FAILED,
    NOT_HERE,
    NOT_REACHED,
    PASSED,
)

_OUTCOMES = (PASSED, FAILED, NOT_HERE, NOT_REACHED)
_ACCOUNT, _RESOURCE = "ACCOUNT", "RESOURCE"
# What names the account or a person in it: the number, and the end of an ARN.
_ARN = re.compile(r"(arn:aws[a-z-]*:[a-z0-9-]*:[a-z0-9-]*:)[0-9]{12}:([a-z-]+[/:])?[^\s,;)'\"]+")
_NUMBER = re.compile(r"(?<![0-9])[0-9]{12}(?![0-9])")
_KEY_ID = re.compile(r"\bA(?:KIA|SIA|ROA|IDA)[A-Z0-9]{12,}\b")
_ENDPOINT = re.compile(
    r"\b([a-z][a-z0-9-]*)\.(?:cluster-(?:ro-)?)?[a-z0-9]{12}\.([a-z0-9-]+\.rds\.amazonaws\.com)\b"
)


def mask(text: str) -> str:
    """Return a text without account IDs, names in ARNs, IDs of keys, and addresses of databases."""
    text = _ARN.sub(rf"\g<1>{_ACCOUNT}:\g<2>{_RESOURCE}", text)
    text = _ENDPOINT.sub(rf"\g<1>.{_RESOURCE}.\g<2>", text)
    return _KEY_ID.sub("KEY", _NUMBER.sub(_ACCOUNT, text))


def report(
    results: t.Sequence[t.Mapping[str, t.Any]],
    about: t.Mapping[str, t.Any],
    *,
    masked: bool,
) -> dict[str, t.Any]:
    """Return a report as text and as JSON, the number of each outcome, and the failed checks.

    about describes the run by name: versions, region, account and so on.
    """
    checks = [{key: value for key, value in entry.items() if key != "ended"} for entry in results]
    counts = {outcome: sum(entry["result"] == outcome for entry in checks) for outcome in _OUTCOMES}
    content = {**about, "counts": counts, "checks": checks}
    text = _text(content)
    document = json.dumps(content, indent=2)
    return {
        "text": mask(text) if masked else text,
        "json": (mask(document) if masked else document) + "\n",
        "counts": counts,
        "failed": [entry["name"] for entry in checks if entry["result"] == FAILED],
    }


def _text(content: t.Mapping[str, t.Any]) -> str:
    """Return a report as text, one check in two lines."""
    lines = ["Verification of mlops.mlflow_aws on an AWS account", ""]
    lines += [
        f"{name}: {value}" for name, value in content.items() if name not in ("counts", "checks")
    ]
    lines += ["", ", ".join(f"{count} {name}" for name, count in content["counts"].items()), ""]
    for entry in content["checks"]:
        took = f" ({entry['seconds']:g} s)" if entry["seconds"] else ""
        lines += [
            f"[{entry['result']}] {entry['name']}{took}: {entry['claim']}",
            f"    {entry['evidence']}",
        ]
    return "\n".join(lines) + "\n"
