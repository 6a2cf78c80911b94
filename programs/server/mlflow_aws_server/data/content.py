# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a project is compared before and after: content that no migration changes.

MLflow's releases add tables and columns, and rewrite some of their own, such as the status of traces. The
columns below exist since MLflow 2.22 and keep their values, so that a project has the same checksums
before and after an upgrade, in SQLite and in MySQL, and after a restore.
"""

from __future__ import annotations

from collections.abc import Iterable

from .tables import Table

# By the table, the columns that count.
CORE: dict[str, tuple[str, ...]] = {
    "experiments": (
        "experiment_id",
        "name",
        "artifact_location",
        "lifecycle_stage",
        "creation_time",
    ),
    "experiment_tags": ("key", "value", "experiment_id"),
    "runs": (
        "run_uuid",
        "name",
        "user_id",
        "status",
        "start_time",
        "end_time",
        "lifecycle_stage",
        "artifact_uri",
        "experiment_id",
    ),
    "metrics": ("key", "value", "timestamp", "run_uuid", "step", "is_nan"),
    "params": ("key", "value", "run_uuid"),
    "tags": ("key", "value", "run_uuid"),
    "datasets": ("dataset_uuid", "experiment_id", "name", "digest", "dataset_source"),
    "inputs": ("input_uuid", "source_type", "source_id", "destination_type", "destination_id"),
    "input_tags": ("input_uuid", "name", "value"),
    "logged_models": ("model_id", "experiment_id", "name", "artifact_location", "status"),
    "logged_model_params": ("model_id", "param_key", "param_value"),
    "logged_model_tags": ("model_id", "tag_key", "tag_value"),
    "registered_models": ("name", "creation_time", "description"),
    "registered_model_tags": ("key", "value", "name"),
    "registered_model_aliases": ("alias", "version", "name"),
    "model_versions": (
        "name",
        "version",
        "creation_time",
        "description",
        "source",
        "run_id",
        "status",
    ),
    "model_version_tags": ("key", "value", "name", "version"),
    "trace_info": ("request_id", "experiment_id", "timestamp_ms"),
    "trace_request_metadata": ("key", "value", "request_id"),
    "assessments": ("assessment_id", "trace_id", "name", "assessment_type", "value", "error"),
    "spans": ("trace_id", "span_id", "name", "start_time_unix_nano", "end_time_unix_nano"),
}
# What a project is said to hold, by the table that is counted.
COUNTED = {
    "experiments": "experiments",
    "runs": "runs",
    "metric_points": "metrics",
    "params": "params",
    "tags": "tags",
    "datasets": "datasets",
    "traces": "trace_info",
    "spans": "spans",
    "assessments": "assessments",
    "logged_models": "logged_models",
    "registered_models": "registered_models",
    "model_versions": "model_versions",
}


def core(tables: Iterable[Table]) -> list[Table]:
    """Return the tables that count, with the columns that count."""
    return [table.only(CORE[table.name]) for table in tables if table.name in CORE]


def differing(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return the tables whose content differs."""
    return sorted(name for name in {*before, *after} if before.get(name, "") != after.get(name, ""))
