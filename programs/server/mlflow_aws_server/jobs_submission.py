# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What MLflow's engine for jobs in the database lacks: the credentials of a model's provider.

Whoever lets issues be detected may choose an API key that is kept with the AI gateway. MLflow reads it
while it answers, and hands it on in its other engine's queue. Here the job keeps the key's ID, and its
process reads the key.
"""

from __future__ import annotations

import json
import os
from typing import Any

_SECRET = "mlflow_aws_secret_id"
_PARAMETERS = "_MLFLOW_SERVER_JOB_PARAMS"


def adapt() -> None:
    """Let MLflow's handlers submit jobs that need credentials."""
    from mlflow.server import jobs

    theirs = jobs.submit_job

    def submit_job(
        function: Any,
        params: dict[str, Any],
        timeout: float | None = None,
        extra_envs: dict[str, str] | None = None,
        creator: str | None = None,
    ) -> Any:
        if extra_envs:
            from flask import request

            params = params | {_SECRET: request.get_json()["secret_id"]}
        return theirs(function, params, timeout, None, creator)

    jobs.submit_job = submit_job


def take_credentials() -> None:
    """Put the credentials of this process's job, if it names any, into the environment."""
    parameters = json.loads(os.environ[_PARAMETERS])
    secret = parameters.pop(_SECRET, None)
    if secret is None:
        return
    os.environ[_PARAMETERS] = json.dumps(parameters)
    from mlflow.genai.discovery.job import _fetch_provider_credentials
    from mlflow.server.handlers import _get_tracking_store

    provider = str(parameters["model"]).partition(":")[0]
    os.environ.update(_fetch_provider_credentials(_get_tracking_store(), provider, secret))
