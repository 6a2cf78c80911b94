# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What programs get of the environment that a module happens to have."""

from __future__ import annotations

import os

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import environ

OWN = {"HOME": "/home/ada", "PATH": "/usr/bin", "LC_ALL": "C.UTF-8"}
AWS = {
    "AWS_PROFILE": "team",
    "HTTPS_PROXY": "http://proxy:3128",
    "no_proxy": "localhost",
    "MLFLOW_AWS_DATABASE_WAIT": "5",
    "REQUESTS_CA_BUNDLE": "/etc/ca.pem",
}
NEVER = {
    "MLFLOW_TRACKING_URI": "http://elsewhere",
    "MLFLOW_WORKSPACE": "team",
    "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "1",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://elsewhere",
    "PYTHONPATH": "/elsewhere",
    "PYTHONWARNINGS": "error",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process all of these variables and no other."""
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, text in (OWN | AWS | NEVER).items():
        monkeypatch.setenv(name, text)


def test_a_program_knows_who_and_where_it_is() -> None:
    """And whatever else it is to have, by name; a name without a value gives none."""
    assert environ.clean() == OWN
    assert environ.clean("AWS_PROFILE", "TZ") == OWN | {"AWS_PROFILE": "team"}


def test_a_program_that_asks_aws_knows_the_way() -> None:
    """The identity and the network of whoever runs the module, but no settings of MLflow's."""
    assert environ.clean_for_aws() == OWN | AWS


def test_a_program_with_a_broker_has_no_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what names one, nothing; the way to AWS and its certificates, and our limits."""
    ca = {"AWS_CA_BUNDLE": "/etc/aws.pem"}
    monkeypatch.setenv("AWS_CA_BUNDLE", ca["AWS_CA_BUNDLE"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    way = {name: text for name, text in AWS.items() if not name.startswith("AWS_")}
    assert environ.clean_for_broker() == OWN | way | ca
