# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the specification of our containers, as pure functions.

The image's root stays read-only. What a container needs to know comes in files in a volume,
because `docker inspect` shows variables and arguments; secrets are kept on a tmpfs.
"""

from __future__ import annotations

import io
import os
import re
import stat
import tarfile
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import paths
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._sizes import size_in_bytes

LABEL = "io.github.mlops-collections.mlflow_aws."
# These paths and the user are the image's: see docker/Dockerfile.
VOLUME_PATH = "/var/lib/mlflow"
SETTINGS_PATH = f"{VOLUME_PATH}/settings.json"
IMAGE_USER = "65532:65532"
_PRIVATE_PATH = "/run/mlflow"
_HOME = "/home/mlflow"
# An upper bound: the metrics files of each worker take what they need.
_PRIVATE_BYTES = 16 << 20
_LOG_OPTIONS = {"max-size": "10m", "max-file": "4"}
_STOP_SECONDS = 60
# In nanoseconds.
_HEALTH = {"Interval": 30 * 10**9, "Timeout": 15 * 10**9, "Retries": 1}
# Docker's own minimum.
_LEAST_MEMORY = 6 << 20


class Spec(t.NamedTuple):
    """One container: image and command, its volume's name, user (UID:GID), network and limits.

    binds: (source, target) of folders mounted read-only; writable: the same, to be written; volumes:
    (name, target) of more volumes, read-only if `shared`; memory: bytes, 0 for no limit; processes:
    upper bound, threads included; entrypoint and health: commands in place of the image's own.
    """

    image: str
    command: tuple[str, ...]
    volume: str
    user: str
    network: str = "bridge"
    binds: tuple[tuple[str, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    memory: int = 0
    processes: int = 512
    writable: tuple[tuple[str, str], ...] = ()
    volumes: tuple[tuple[str, str], ...] = ()
    shared: bool = False
    entrypoint: tuple[str, ...] = ()
    health: tuple[str, ...] = ()


def creation(
    spec: Spec,
    labels: t.Mapping[str, str],
    publish: tuple[str, int] | None = None,
    *,
    restart: bool = False,
) -> dict[str, t.Any]:
    """Return the body of Docker's request to create a container.

    publish: the host's address and the port to publish there; the port is the same inside.
    restart: whether the engine starts it again when it ends, and after a reboot.
    """
    # No more than a server needs: names and paths, no secret, as `docker inspect` shows them.
    environment = {
        "HOME": _HOME,
        # Each thread's own arena would cost tens of MiB for nothing here.
        "MALLOC_ARENA_MAX": "2",
        "TMPDIR": f"{VOLUME_PATH}/tmp",
        **dict(spec.environment),
    }
    host = _host_config(spec, restart)
    body: dict[str, t.Any] = {
        "Image": spec.image,
        "Cmd": list(spec.command),
        "User": spec.user,
        "Env": [f"{name}={text}" for name, text in sorted(environment.items())],
        "Labels": dict(labels),
        "StopTimeout": _STOP_SECONDS,
        "HostConfig": host,
    }
    if spec.entrypoint:
        body["Entrypoint"] = list(spec.entrypoint)
    if spec.health:
        body["Healthcheck"] = {"Test": ["CMD", *spec.health], **_HEALTH}
    if publish:
        address, port = publish
        body["ExposedPorts"] = {f"{port}/tcp": {}}
        host["PortBindings"] = {f"{port}/tcp": [{"HostIp": address, "HostPort": str(port)}]}
    return body


def _host_config(spec: Spec, restart: bool) -> dict[str, t.Any]:
    """Return what a container may use of its host, and how it is confined."""
    uid, gid = spec.user.split(":")
    host: dict[str, t.Any] = {
        "NetworkMode": spec.network,
        "RestartPolicy": {"Name": "unless-stopped" if restart else "no"},
        "Init": True,
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": spec.processes,
        "Tmpfs": {
            _PRIVATE_PATH: f"rw,noexec,nosuid,nodev,size={_PRIVATE_BYTES},mode=0700,uid={uid},gid={gid}"
        },
        "Mounts": [
            {
                "Type": "volume",
                "Source": spec.volume,
                "Target": VOLUME_PATH,
                # The image's folder is for its own user alone, who may not be the container's.
                "VolumeOptions": {"NoCopy": True},
            },
            *_mounts(spec),
        ],
        "LogConfig": {"Type": "json-file", "Config": _LOG_OPTIONS},
    }
    if spec.memory:
        # The same number for both means no swap on top.
        host.update(Memory=spec.memory, MemorySwap=spec.memory)
    return host


def _mounts(spec: Spec) -> t.Iterator[dict[str, t.Any]]:
    """Return what is mounted besides the container's own volume."""
    for folders, read_only in ((spec.binds, True), (spec.writable, False)):
        for source, target in folders:
            yield {"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only}
    for name, target in spec.volumes:
        yield {
            "Type": "volume",
            "Source": name,
            "Target": target,
            "ReadOnly": spec.shared,
            "VolumeOptions": {"NoCopy": True},
        }


def archive(files: t.Mapping[str, str], user: str) -> bytes:
    """Return a tar archive of files for a volume, readable by the container's user alone.

    It contains the folder for temporary files, too: the volume's own may belong to another user.
    """
    uid, gid = map(int, user.split(":"))
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, mode, text in [("tmp", 0o700, None)] + [(n, 0o400, files[n]) for n in files]:
            entry = tarfile.TarInfo(name)
            entry.uid, entry.gid, entry.mode = uid, gid, mode
            data = b"" if text is None else text.encode("utf-8")
            entry.type = tarfile.DIRTYPE if text is None else tarfile.REGTYPE
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def aws_access(folder: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return binds and environment that give a container the host's AWS config directory."""
    if not folder:
        return {}, {}
    target = f"{_HOME}/.aws"
    return {folder: target}, {
        "AWS_CONFIG_FILE": f"{target}/config",
        "AWS_SHARED_CREDENTIALS_FILE": f"{target}/credentials",
        # The folder has the identity, not an EC2 role, whose lookup hangs elsewhere.
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def aws_folder(given: str | None) -> str:
    """Return the full path of the host's AWS config directory, empty if unset."""
    return paths.host_path("mlflow_server_aws_config_dir", given) if given else ""


def container_user(given: str, aws_config_dir: str, rootless: bool) -> str:
    """Return the user (UID:GID) of a container: given, else the AWS directory's owner, else the image's.

    The same on each run, whoever runs it: another user would mean another container.
    """
    owner = _folder(aws_config_dir) if aws_config_dir else None
    if given:
        match = re.fullmatch(r"(\d+)(?::(\d+))?", given)
        if not match:
            raise MlflowError(f"container_user is {given!r}; write numbers as UID or UID:GID.")
        return f"{match.group(1)}:{match.group(2) or match.group(1)}"
    if owner is None:
        return IMAGE_USER
    if rootless:
        # In its user namespace the engine's own user is 0, and nobody else can read its files.
        return "0:0"
    if owner.st_uid:
        return f"{owner.st_uid}:{owner.st_gid}"
    if owner.st_mode & 0o005 != 0o005:
        raise MlflowError(
            f"aws_config_dir {aws_config_dir} is readable by root only, and containers do not run as root; "
            "chown it to another user, or set container_user to one who can read it."
        )
    return IMAGE_USER


def own_user(given: str) -> str:
    """Return the user (UID:GID) of containers that share folders with this process: given, else its own.

    Root's containers run as the image's user.
    """
    if given or os.geteuid() == 0:
        return container_user(given, "", False)
    return f"{os.geteuid()}:{os.getegid()}"


def _folder(path: str) -> os.stat_result:
    """Return the status of a folder; raises MlflowError where there is none."""
    reason = "it is not a folder"
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            return found
    except OSError as error:
        reason = str(error.strerror)
    raise MlflowError(
        f"aws_config_dir {path} cannot be used ({reason}); correct it, or leave it empty if the host "
        "itself has an AWS identity."
    )


def memory_bytes(text: str) -> int:
    """Return a memory limit such as 512m or 2g in bytes, 0 for none."""
    if not text:
        return 0
    size = size_in_bytes(text)
    if size is None or size < _LEAST_MEMORY:
        raise MlflowError(
            f"memory is {text!r}; write a size of 6m or more, such as 512m or 2g; an idle server "
            "takes about 170m."
        )
    return size
