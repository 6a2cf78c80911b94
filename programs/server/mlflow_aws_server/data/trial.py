# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Try a migrated copy with MLflow's own store before it takes a project's place.

What a server would do with it: read a run that is there, write one, and read that. The run is
removed again, so that the copy holds what it held.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

from ..errors import EntryError

# Never used: nothing is written as an artifact.
_ARTIFACTS = "mlflow-artifacts:/"
_METRIC = "mlflow-aws-trial"
_VALUE = 0.5


def try_out(uri: str, project: str) -> None:
    """Raise EntryError if MLflow cannot read and write runs in a database."""
    from mlflow.exceptions import MlflowException
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy.exc import SQLAlchemyError

    try:
        store = SqlAlchemyStore(uri, _ARTIFACTS)
        try:
            _read_oldest(store)
            _write(store)
        finally:
            store._dispose_engine()
    except (MlflowException, SQLAlchemyError) as error:
        text = " ".join(str(error).split())[:300].rstrip(".")
        raise EntryError(
            f"MLflow cannot work with the migrated copy of project '{project}' ({text}), so it was not put in "
            "place, and the project is as it was; report this."
        ) from error


def _read_oldest(store: Any) -> None:
    """Read a run that is there, with its metrics."""
    from mlflow.entities import ViewType

    experiments = [found.experiment_id for found in store.search_experiments(ViewType.ALL)]
    runs = store.search_runs(
        experiments, "", ViewType.ALL, max_results=1, order_by=["attributes.start_time ASC"]
    )
    for run in runs:
        for key in list(run.data.metrics)[:1]:
            store.get_metric_history(run.info.run_id, key)


def _write(store: Any) -> None:
    """Write a run, read it back, and remove it."""
    from mlflow.entities import Metric, ViewType

    experiments = store.search_experiments(ViewType.ACTIVE_ONLY, max_results=1)
    if not experiments:
        return
    now = int(time.time() * 1000)
    run = store.create_run(experiments[0].experiment_id, "mlflow", now, [], uuid.uuid4().hex)
    run_id = run.info.run_id
    try:
        store.log_metric(run_id, Metric(_METRIC, _VALUE, now, 0))
        if store.get_run(run_id).data.metrics.get(_METRIC) != _VALUE:
            raise EntryError(
                "A run that was written to the migrated copy reads otherwise; report this."
            )
    finally:
        store.delete_run(run_id)
        store._hard_delete_run(run_id)
