# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lists of the playbook destroy, and the schemas that it drops."""

from __future__ import annotations

from ansible_collections.mlops.mlflow_aws.plugins.filter.mlflow_dropped_schemas import (
    mlflow_dropped_schemas,
)
from ansible_collections.mlops.mlflow_aws.plugins.filter.mlflow_removal_list import (
    mlflow_removal_list,
)


def test_each_record_is_a_line() -> None:
    """AWS first, then each host, then those that do not answer."""
    bucket = {"kind": "bucket", "name": "b", "action": "delete", "meaning": "all artifacts"}
    key = {"kind": "KMS key", "name": "k", "action": "keep", "meaning": "encrypts a snapshot"}
    server = {"kind": "server", "name": "demo", "action": "delete", "meaning": "running"}
    assert mlflow_removal_list({"a": {"found": [server]}}, [bucket, key], "found", ["c"]) == [
        "AWS: bucket b is deleted: all artifacts",
        "AWS: KMS key k is kept: encrypts a snapshot",
        "a: server demo is deleted: running",
        "c: not reachable, so what is there stays; rerun when it answers, unless the host is gone",
    ]
    left = {"kind": "KMS key", "name": "k", "remedy": "keep it"}
    assert mlflow_removal_list({}, [left], "leftovers", []) == ["AWS: KMS key k is left: keep it"]


def test_nothing_is_said_in_words() -> None:
    """Nobody has to wonder whether the list is missing."""
    assert mlflow_removal_list({}, [], "found", []) == ["There is nothing to remove."]
    assert mlflow_removal_list({"a": {}}, [], "leftovers", []) == ["Nothing is left."]


def test_schemas_are_named_to_be_dropped() -> None:
    """Each once, by the name that it has in the database."""
    assert mlflow_dropped_schemas(["a-b", "c", "a-b"]) == [
        {"name": "a-b", "state": "absent", "force_drop": "mlflow_a_b"},
        {"name": "c", "state": "absent", "force_drop": "mlflow_c"},
    ]
