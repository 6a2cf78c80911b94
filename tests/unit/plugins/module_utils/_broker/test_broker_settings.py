# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a server finds its broker, what the broker is started with, and what of it is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._broker import options, settings
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._broker.process import ProcessBroker
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import container_spec
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import broker_sockets
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import target

ROLE = "arn:aws:iam::123456789012:role/demo"
STATE = Path("/s")
PARAMS: dict[str, Any] = {
    "region": "eu-west-1",
    "endpoint_url": "",
    "profile": "",
    "environment": {"TOKEN": "s3cr3t"},
    "projects": {"demo": ROLE},
}


@pytest.mark.parametrize(
    ("broker", "runtime", "path"),
    [
        ("none", "docker", ""),
        ("none", "process", ""),
        ("docker", "docker", "/run/mlflow-broker/own/aws.sock"),
        ("process", "docker", "/run/mlflow-broker/aws.sock"),
        ("process", "process", "/s/sockets/demo/aws.sock"),
    ],
)
def test_where_a_server_finds_its_socket(broker: str, runtime: str, path: str) -> None:
    """In its container it is the only one."""
    assert broker_sockets.server_socket(broker, runtime, STATE, "demo") == path


def test_a_process_cannot_reach_a_container() -> None:
    """Its socket is in a volume of the engine's."""
    with pytest.raises(MlflowError, match="set mlflow_server_broker to process"):
        broker_sockets.server_socket("docker", "process", STATE, "demo")


def test_a_socket_has_a_short_path() -> None:
    """Which the kernel limits."""
    with pytest.raises(MlflowError, match="choose a path that is 3 characters shorter"):
        broker_sockets.server_socket("process", "process", Path("/" + "s" * 83), "demo")


def test_settings_show_no_value() -> None:
    """But another value is another configuration."""
    made = settings.settings(PARAMS, "/s/{}/aws.sock", "/state", "id")
    assert settings.redacted(made)["environment"] == ["TOKEN"]
    assert made["projects"] == {"demo": {"role_arn": ROLE, "socket": "/s/demo/aws.sock"}}
    others = [
        settings.settings(
            {**PARAMS, "environment": {"TOKEN": "x"}}, "/s/{}/aws.sock", "/state", "id"
        ),
        settings.settings(PARAMS, "/s/{}/aws.sock", "/state", "another program"),
    ]
    assert len({item["configuration"] for item in (made, *others)}) == 3
    assert list(options.secrets(PARAMS)) == ["s3cr3t"]
    assert list(options.secrets({})) == []


def test_options_in_one_dictionary_are_checked() -> None:
    """As those of the module are."""
    found = options.validated({"projects": {"demo": ROLE}})
    assert (found["state"], found["runtime"], found["timeout"]) == ("present", "docker", 120)
    for wrong in ({"runtime": "vm"}, {"profil": "team"}):
        with pytest.raises(MlflowError, match=r"^broker_options: "):
            options.validated(wrong)


@pytest.mark.parametrize(
    ("server", "broker", "found"),
    [
        ({}, "docker", {}),
        ({"aws": {"role_arn": "", "profile": "team"}}, "none", {}),
        ({"aws": {"role_arn": ROLE}, "state": "absent"}, "docker", {}),
        ({"aws": {"role_arn": ROLE}}, "docker", "/run/mlflow-broker/own/aws.sock"),
    ],
)
def test_a_server_is_told_of_its_socket(server: dict[str, Any], broker: str, found: Any) -> None:
    """If it runs, and has an identity at AWS."""
    given = {"name": "demo", "state": "present", **server}
    params = {"state": "present", "broker": broker, "runtime": "docker"}
    made = target._identity(given, STATE, params)
    assert (made["aws"]["broker"] if made else {}) == found


def test_a_role_needs_a_broker() -> None:
    """Nothing else assumes it."""
    server = {"name": "demo", "state": "present", "aws": {"role_arn": ROLE}}
    params = {"state": "present", "broker": "none", "runtime": "docker"}
    with pytest.raises(MlflowError, match="Project 'demo': the credential broker of the host"):
        target._identity(server, STATE, params)


def test_the_folder_of_a_login_leads_to_its_files(tmp_path: Path) -> None:
    """For a process, which finds the user's own without it."""
    given = options.validated({**PARAMS, "aws_config_dir": str(tmp_path)})
    made = ProcessBroker(given, STATE).wanted
    assert made["environment"] == {
        "AWS_CONFIG_FILE": f"{tmp_path}/config",
        "AWS_SHARED_CREDENTIALS_FILE": f"{tmp_path}/credentials",
        "TOKEN": "s3cr3t",
    }
    plain = ProcessBroker(options.validated(PARAMS), STATE)
    assert plain.wanted["environment"] == {"TOKEN": "s3cr3t"}
    assert not plain.find().known


def test_what_a_container_mounts() -> None:
    """Its own volume, folders to read or write, and volumes that it shares."""
    spec = container_spec.Spec(
        image="i",
        command=("serve",),
        volume="v",
        user="7:8",
        writable=(("/a", "/b"),),
        volumes=(("other", "/c"),),
        shared=True,
        entrypoint=("python",),
        health=("python", "health"),
    )
    body = container_spec.creation(spec, {})
    _own, folder, volume = body["HostConfig"]["Mounts"]
    assert folder == {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": False}
    assert (volume["Source"], volume["ReadOnly"]) == ("other", True)
    assert body["Entrypoint"] == ["python"]
    assert body["Healthcheck"]["Test"] == ["CMD", "python", "health"]
