# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container of ours is made of."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import container_spec
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.container_spec import Spec
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError


def spec(**changes: Any) -> Spec:
    """Return a container as wanted."""
    base = Spec(image="mlflow:1", command=("serve", "/x"), volume="mlflow-a", user="7:8")
    return base._replace(**changes)


def test_a_container_is_confined() -> None:
    """By what the engine is asked for, with and without a limit and binds."""
    body = container_spec.creation(spec(), {"label": "x"})
    host = body["HostConfig"]
    assert (body["Image"], body["Cmd"], body["User"]) == ("mlflow:1", ["serve", "/x"], "7:8")
    assert (body["Labels"], body["StopTimeout"]) == ({"label": "x"}, 60)
    assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges"])
    assert host["ReadonlyRootfs"] is True
    assert host["Init"] is True
    assert host["RestartPolicy"] == {"Name": "no"}
    assert "mode=0700,uid=7,gid=8" in host["Tmpfs"]["/run/mlflow"]
    (volume,) = host["Mounts"]
    assert (volume["Source"], volume["Target"]) == ("mlflow-a", "/var/lib/mlflow")
    assert volume["VolumeOptions"] == {"NoCopy": True}
    assert not {"Memory", "PortBindings", "Binds", "Privileged"} & set(host)
    assert "ExposedPorts" not in body
    wide = spec(memory=1 << 29, network="host", binds=(("/a", "/b"),), environment=(("N", "1"),))
    body = container_spec.creation(wide, {}, restart=True)
    host = body["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 1 << 29
    assert host["NetworkMode"] == "host"
    assert host["RestartPolicy"] == {"Name": "unless-stopped"}
    assert host["Mounts"][1] == {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True}
    assert "N=1" in body["Env"]


def test_a_port_is_published_on_one_address() -> None:
    """And nowhere else."""
    body = container_spec.creation(spec(), {}, ("127.0.0.1", 5001))
    assert body["ExposedPorts"] == {"5001/tcp": {}}
    assert body["HostConfig"]["PortBindings"] == {
        "5001/tcp": [{"HostIp": "127.0.0.1", "HostPort": "5001"}]
    }


def test_files_are_for_the_containers_user_alone() -> None:
    """In an archive that is the same for the same files."""
    data = container_spec.archive({"settings.json": "{ä}"}, "7:8")
    assert data == container_spec.archive({"settings.json": "{ä}"}, "7:8")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        folder, settings = tar.getmembers()
        stream = tar.extractfile(settings)
        assert stream is not None
        assert stream.read().decode() == "{ä}"
    assert (folder.name, folder.isdir(), folder.mode) == ("tmp", True, 0o700)
    assert (settings.name, settings.isreg(), settings.mode) == ("settings.json", True, 0o400)
    assert {(entry.uid, entry.gid) for entry in (folder, settings)} == {(7, 8)}


def test_an_aws_folder_comes_with_what_leads_to_it() -> None:
    """Without one a container gets nothing, so that an instance's role holds."""
    assert container_spec.aws_access("") == ({}, {})
    binds, environment = container_spec.aws_access("/home/me/.aws")
    assert binds == {"/home/me/.aws": "/home/mlflow/.aws"}
    assert environment["AWS_CONFIG_FILE"] == "/home/mlflow/.aws/config"
    assert environment["AWS_EC2_METADATA_DISABLED"] == "true"


@pytest.mark.parametrize(
    ("given", "user"), [("7", "7:7"), ("7:8", "7:8"), ("0:0", "0:0"), ("", "65532:65532")]
)
def test_a_user_by_number(given: str, user: str) -> None:
    """Or the image's, also where the engine is rootless."""
    assert container_spec.container_user(given, "", False) == user
    assert container_spec.container_user(given, "", True) == user


@pytest.mark.parametrize("given", ["mlflow", "7:mlflow", ":7", "-1", "7:8:9"])
def test_a_user_by_name_is_refused(given: str) -> None:
    """Files are put into the volume for a number."""
    with pytest.raises(
        MlflowError, match=r"^container_user is .*; write numbers as UID or UID:GID"
    ):
        container_spec.container_user(given, "", False)


def test_an_aws_folder_is_read_by_its_owner(tmp_path: Path) -> None:
    """The owner; in a rootless engine's namespace that is user 0; a given one before all."""
    folder = tmp_path / "aws"
    folder.mkdir()
    owner = folder.stat()
    if owner.st_uid == 0:
        os.chown(folder, 1234, 1235)
        owner = folder.stat()
    own = f"{owner.st_uid}:{owner.st_gid}"
    assert container_spec.container_user("", str(folder), False) == own
    assert container_spec.container_user("", str(folder), True) == "0:0"
    assert container_spec.container_user("7", str(folder), False) == "7:7"


def test_a_folder_of_root_makes_no_container_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that all may read is read by the image's user, another is refused."""
    modes = {"/open": 0o040755, "/closed": 0o040700, "/file": 0o100644}
    monkeypatch.setattr(os, "stat", lambda path: os.stat_result((modes[path], *[0] * 9)))
    assert container_spec.container_user("", "/open", False) == "65532:65532"
    with pytest.raises(MlflowError, match=r"^aws_config_dir /closed is readable by root only, and"):
        container_spec.container_user("", "/closed", False)
    assert container_spec.container_user("0", "/closed", False) == "0:0"
    for given in ("", "7"):
        with pytest.raises(
            MlflowError, match=r"^aws_config_dir /file cannot be used \(it is not a"
        ):
            container_spec.container_user(given, "/file", False)
    monkeypatch.undo()
    with pytest.raises(
        MlflowError, match=r"cannot be used \(No such file or directory\); correct it"
    ):
        container_spec.container_user("7", str(tmp_path / "none"), False)


@pytest.mark.parametrize(
    ("text", "size"),
    [("", 0), ("512m", 512 << 20), ("2G", 2 << 30), (" 7000k ", 7000 << 10), ("8388608", 8 << 20)],
)
def test_memory_is_read_as_docker_reads_it(text: str, size: int) -> None:
    """Binary units; nothing means no limit."""
    assert container_spec.memory_bytes(text) == size


@pytest.mark.parametrize("text", ["1q", "m", "-1g", "1.5g", "5m", "0", "100", "1gb"])
def test_a_bad_memory_limit_is_refused(text: str) -> None:
    """So is one that no container gets."""
    with pytest.raises(MlflowError, match=r"^memory is '.*'; write a size of 6m or more, such as"):
        container_spec.memory_bytes(text)
