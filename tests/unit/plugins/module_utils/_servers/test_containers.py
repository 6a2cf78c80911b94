# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes containers anew, and what is read from an engine's lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.container_spec import LABEL
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import ports
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import container_records
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.containers import (
    DockerRuntime,
    Placement,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import (
    KEEP,
    FoundServer,
    WantedServer,
    difference,
    plan,
    redacted,
    wanted_server,
)

FIRST, SECOND = f"r.example.com/mlflow@sha256:{'1' * 64}", f"r.example.com/mlflow@sha256:{'2' * 64}"


class Shelf(Engine):
    """An engine of which only lists are asked."""

    def __init__(self, images: dict[str, str] | None = None, **containers: dict[str, Any]) -> None:
        """Take image ids by name, and containers by project."""
        super().__init__("unix:///nowhere.sock")
        self.images = images or {}
        self.shelf = containers

    def containers(self, labels: Any = ()) -> list[dict[str, Any]]:
        """Return all containers, whatever their labels."""
        del labels
        return list(self.shelf.values())

    def container(self, name: str) -> dict[str, Any] | None:
        """Return the details of a container."""
        found: dict[str, Any] | None = self.shelf[name].get("Details")
        return found

    def volumes(self, labels: Any = ()) -> list[dict[str, Any]]:
        """Return one volume, whose container is gone."""
        del labels
        return [{"Name": "mlflow-old", "Labels": {f"{LABEL}project": "old"}}]

    def image(self, name: str) -> dict[str, Any] | None:
        """Return an image by its name."""
        return {"Id": self.images[name]} if name in self.images else None


def runtime(engine: Engine | None = None, **place: Any) -> DockerRuntime:
    """Return a runtime whose placement is this."""
    return DockerRuntime(engine or Shelf(), Placement(**{"image": FIRST, **place}), "mlflow")


def wanted(name: str = "demo", **changes: Any) -> WantedServer:
    """Return a server as wanted."""
    options = {
        "name": name,
        "state": "present",
        "host": "127.0.0.1",
        "port": 5001,
        "workers": 1,
        "backend_store_uri": "mysql+pymysql://db/mlflow_demo",
        "artifacts_destination": "s3://b/demo",
        "allowed_hosts": [],
        "environment": {},
        **changes,
    }
    return wanted_server(options, "present", "r")


def listed(name: str, state: str, **more: Any) -> dict[str, Any]:
    """Return a container as the engine lists it."""
    settings = {**wanted(name).settings, "environment": ["TOKEN"]}
    labels = {
        f"{LABEL}instance": "mlflow",
        f"{LABEL}project": name,
        f"{LABEL}configuration": settings["configuration"],
        f"{LABEL}settings": json.dumps(settings),
    }
    return {"Id": name, "Names": [f"/mlflow-{name}"], "State": state, "Labels": labels, **more}


def test_what_all_servers_share_makes_one_identity(tmp_path: Path) -> None:
    """Each part of it another one; the same again the same."""
    tmp_path.chmod(0o755)
    places: list[dict[str, Any]] = [
        {},
        {"image": SECOND},
        {"network": "host"},
        {"memory": 1 << 30},
        {"user": "7:8"},
        {"aws_config_dir": str(tmp_path), "user": "65532:65532"},
    ]
    identities = [runtime(**place).identity() for place in places]
    assert len(set(identities)) == len(places)
    assert identities == [runtime(**place).identity() for place in places]


def test_a_tag_stands_for_the_image_that_it_means_here() -> None:
    """Where it means none yet, nothing can run from it."""
    name = "mlflow:1"
    first, second = (
        runtime(Shelf({name: f"sha256:{digit * 64}"}), image=name).identity() for digit in "12"
    )
    missing = runtime(Shelf(), image=name).identity()
    assert len({first, second, missing}) == 3
    pinned = f"r.example.com/mlflow:1@sha256:{'1' * 64}"
    assert runtime(image=pinned).identity() == runtime().identity()


def test_the_engines_words_become_ours() -> None:
    """Only one that runs does; a volume that was left alone is known."""
    states = ("running", "restarting", "paused", "created", "exited", "dead")
    shelf = Shelf(**{state: listed(state, state) for state in states})
    found = runtime(shelf).observe()
    assert {name for name, server in found.items() if server.running} == {"running"}
    assert {name for name, server in found.items() if server.known} == {*states, "old"}
    assert found["old"] == FoundServer("old", known=True)
    assert found["exited"].configuration == wanted("exited").configuration
    assert found["exited"].settings is not None
    assert found["exited"].settings["port"] == 5001


def test_what_a_label_shows_is_redacted_once() -> None:
    """A container that is made anew for another setting shows that one alone as changed."""
    changes: dict[str, Any] = {
        "database": {"secret": "s", "user": "u", "ca": "-----BEGIN CERTIFICATE-----"}
    }
    was, will = (wanted(**changes, workers=number) for number in (1, 2))
    container = listed("demo", "running")
    container["Labels"][f"{LABEL}settings"] = json.dumps(redacted(was.settings))
    found = runtime(Shelf(demo=container)).observe()
    shown = difference(plan([will], found, KEEP))
    before, after = (shown[key]["demo"] for key in ("before", "after"))
    differing = {key for key in after if before[key] != after[key]}
    assert differing == {"workers", "configuration"}


def test_a_broken_label_does_no_harm() -> None:
    """The server is made anew, as its configuration is none."""
    container = listed("demo", "running")
    for text in ("{", "[]", None):
        labels = {k: v for k, v in container["Labels"].items() if "settings" not in k}
        if text is not None:
            labels[f"{LABEL}settings"] = text
        found = runtime(Shelf(demo={**container, "Labels": labels})).observe()
        assert found["demo"].settings is None


def test_the_dead_are_told_from_those_that_come_back() -> None:
    """One that the engine restarts for the third time is given up, or one that said why it ended."""
    shelf = Shelf(
        well=listed("well", "running"),
        ended=listed("ended", "exited"),
        once=listed("once", "restarting", Details={"RestartCount": 1, "State": {}}),
        often=listed("often", "restarting", Details={"RestartCount": 3, "State": {}}),
        greedy=listed(
            "greedy", "restarting", Details={"RestartCount": 9, "State": {"OOMKilled": True}}
        ),
        refused=listed("refused", "restarting", Details={"State": {"ExitCode": 2}}),
        gone=listed("gone", "restarting"),
    )
    assert runtime(shelf).dead() == {
        "ended": "was stopped",
        "often": "died at start",
        "refused": "died at start",
        "greedy": "was killed: out of memory (raise its limit)",
    }


def test_our_ports_are_known_by_our_containers() -> None:
    """Whatever their state."""
    engine = Shelf(demo=listed("demo", "restarting"))
    assert runtime(engine).owns(ports.Holder(1, "docker-proxy", 5001))
    assert not runtime(engine).owns(ports.Holder(1, "docker-proxy", 5002))


@pytest.mark.parametrize(
    ("address", "host", "meets"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("10.0.0.5", "127.0.0.1", False),
        ("10.0.0.5", "0.0.0.0", True),
        ("::", "127.0.0.1", True),
    ],
)
def test_a_port_is_held_only_on_an_address_that_we_want(
    address: str, host: str, meets: bool
) -> None:
    """Another interface of the host is another matter."""
    port = {"IP": address, "PrivatePort": 80, "PublicPort": 5001, "Type": "tcp"}
    container = {"Ports": [{"PrivatePort": 81, "Type": "tcp"}, port]}
    assert container_records.publishes(container, host, 5001) is meets
    assert not container_records.publishes(container, host, 5002)
    assert not container_records.publishes({"Ports": None}, host, 5001)


def test_whose_a_container_is() -> None:
    """A server of another inventory is not to be ended as something that strayed in."""
    labels = {f"{LABEL}instance": "team-b", f"{LABEL}project": "demo"}
    container = {"Id": "0" * 64, "Names": ["/team-b-demo"], "Labels": labels}
    assert container_records.claim(container) == (
        (
            "container team-b-demo, the server of project 'demo' that another inventory or runtime "
            "started with mlflow_server_docker_instance team-b"
        ),
        "stop that server there (mlflow_server_state=stopped)",
    )
    assert container_records.claim({**container, "Labels": None}) == (
        "container team-b-demo",
        "end it",
    )


def test_a_container_in_the_host_s_network_listens_too() -> None:
    """It publishes nothing, and its label says on what port it serves."""
    settings = {"host": "127.0.0.1", "port": 5001}
    container: dict[str, Any] = {
        "Labels": {f"{LABEL}settings": json.dumps(settings)},
        "NetworkSettings": {"Networks": {"host": {}}},
        "Ports": [],
    }
    assert container_records.listens(container, "127.0.0.1", 5001)
    assert not container_records.listens(container, "127.0.0.1", 5002)
    container["NetworkSettings"] = {"Networks": {"bridge": {}}}
    assert not container_records.listens(container, "127.0.0.1", 5001)
    assert not container_records.listens({"Labels": None}, "127.0.0.1", 5001)


def test_the_log_is_shown_by_a_command_that_works_as_it_stands() -> None:
    """Where the engine is not the usual one, it is named."""
    engine = Engine("unix:///var/run/docker.sock")
    assert runtime(engine).log_path("demo") == "docker logs mlflow-demo"
    other = Engine("unix:///run/user/1000/docker.sock")
    assert runtime(other).log_path("demo") == (
        "docker --host unix:///run/user/1000/docker.sock logs mlflow-demo"
    )


@pytest.mark.parametrize("instance", ["", "A", "a b", "a_b", "-a", "a-", "a--b", "a/b"])
def test_an_instance_names_containers(instance: str) -> None:
    """So it is as strict as a project's name."""
    with pytest.raises(
        MlflowError, match=r"^docker_instance is '.*'; use lowercase letters, digits"
    ):
        DockerRuntime(Shelf(), Placement(image=FIRST), instance)
