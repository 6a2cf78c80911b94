# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: refuses changes that would lose what a stack holds."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

# What must not be lost by a replacement that nobody asked for.
GUARDED_TYPES = ("AWS::RDS::DBCluster", "AWS::S3::Bucket", "AWS::KMS::Key")


def refuse_loss(
    name: str, records: t.Iterable[t.Mapping[str, t.Any]], allowed: t.Collection[str]
) -> None:
    """Refuse to replace or remove what holds data, unless it is allowed by name."""
    lost = [
        record
        for record in records
        if record["type"] in GUARDED_TYPES
        and record["logical_id"] not in allowed
        and (record["action"] == "Remove" or record["replacement"] in ("yes", "maybe"))
    ]
    if not lost:
        return
    words = [_loss(record) for record in lost]
    ids = ", ".join(record["logical_id"] for record in lost)
    raise MlflowError(
        f"Changing stack '{name}' {' and '.join(words)}, and its data would be lost; undo that in "
        f"template or parameters, or save the data and allow it with replace: [{ids}].",
        {"changes": list(records)},
    )


def _loss(record: t.Mapping[str, t.Any]) -> str:
    """Return how a resource would be lost, as part of a sentence."""
    what = f"{record['logical_id']} ({record['type']})"
    if record["action"] == "Remove":
        return f"would remove {what}"
    because = f" because of {', '.join(record['properties'])}" if record["properties"] else ""
    return f"{'would' if record['replacement'] == 'yes' else 'may'} replace {what}{because}"
