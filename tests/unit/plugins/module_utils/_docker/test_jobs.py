# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One-shot jobs, and what killed runs left of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import jobs
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.errors import EngineError
from ansible_collections.mlops.mlflow_aws.tests.parts.fake_engine import FakeEngine, say


def test_a_job_cleans_up_behind_itself_and_others(fake: FakeEngine) -> None:
    """Whatever fails; what killed runs left goes, what runs or has an owner stays."""
    gone, here = {jobs.OWNER_LABEL: "4194305"}, {jobs.OWNER_LABEL: "1"}
    containers = [
        {"Names": ["/left"], "State": "exited", "Labels": gone},
        {"Names": ["/runs"], "State": "running", "Labels": gone},
        {"Names": ["/owned"], "State": "created", "Labels": here},
    ]
    volumes = [{"Name": n, "Labels": gone} for n in ("left", "runs", "alone")]
    fake.answers["GET", "/v1.41/containers/json"] = (200, json.dumps(containers))
    fake.answers["GET", "/v1.41/volumes"] = (200, json.dumps({"Volumes": volumes}))
    fake.answers["POST", "/v1.41/volumes/create"] = (201, "{}")
    fake.answers["POST", "/v1.41/containers/create"] = (404, say("No such image: x"))
    how: dict[str, Any] = {"binds": {}, "network": "none", "user": "", "environment": {}}
    with pytest.raises(EngineError, match="No such image"):
        jobs.run_once(Engine(fake.host), "x", ["describe"], {}, timeout=5, **how)
    deleted = [
        path.partition("?")[0].rpartition("/")[2]
        for method, path, _headers, _body in fake.requests
        if method == "DELETE"
    ]
    assert deleted[:3] == ["left", "left", "alone"]
    assert len(deleted) == 5
    assert deleted[3] == deleted[4]
    assert deleted[4].startswith("mlflow-job-")
