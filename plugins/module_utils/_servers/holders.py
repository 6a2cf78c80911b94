# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: finds whose a port in use is, and how to free it.

To the system a server is some python, and a container's port that of Docker or of a process in
it. So the holder's command line and folder are asked for a server's settings, and the engine for
a container. All of it only when a port is refused.
"""

from __future__ import annotations

import contextlib
import os
import re
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import ports
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import (
    claims,
    container_records,
)

if t.TYPE_CHECKING:
    from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine

_PLACE = r"(?P<state>/[^\0]*)/(?P<kind>servers|tunnel)/(?P<name>[^/\0]+)"
_SETTINGS = re.compile(rf"{_PLACE}/settings-[0-9a-f]{{16}}\.json")
_FOLDER = re.compile(rf"{_PLACE}\Z")
_CONTAINER = re.compile(r"[0-9a-f]{64}")


def claim(holder: ports.Holder, host: str, engine: Engine | None = None) -> claims.Claim:
    """Return whose the port is that a holder keeps from servers on host; engine is the one in use."""
    return (
        _of_server(holder)
        or _of_container(holder, host, engine)
        or claims.Claim(str(holder), "end it")
    )


def _of_server(holder: ports.Holder) -> claims.Claim | None:
    """Return the claim of a server or tunnel that is a process, None for any other process."""
    process = Path("/proc", str(holder.pid))
    if not holder.pid or not process.is_dir():
        return None
    match = None
    with contextlib.suppress(OSError):
        match = _SETTINGS.search((process / "cmdline").read_text("utf-8", "surrogateescape"))
        # A worker, and what carries a tunnel, has other arguments and works in its folder.
        match = match or _FOLDER.match(os.readlink(process / "cwd"))
    if match is None or not any(_settings(match)):
        return None
    state = match["state"].encode("utf-8", "replace").decode("utf-8")
    if match["kind"] == "tunnel":
        return claims.tunnel(str(holder), state)
    return claims.ours(str(holder), match["name"], "mlflow_state_dir", state)


def _settings(match: re.Match[str]) -> t.Iterator[Path]:
    """Return the settings files of what may be a server's folder, none where it is another's."""
    folder = Path(match["state"], match["kind"], match["name"])
    with contextlib.suppress(OSError):
        yield from folder.glob("settings-*.json")


def _of_container(holder: ports.Holder, host: str, engine: Engine | None) -> claims.Claim | None:
    """Return the claim of a container, None where no engine that this user may ask has one."""
    # Most runs find no port in use, and need no Docker client.
    from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import client

    inside = _container_of(holder.pid)
    with contextlib.suppress(MlflowError):
        for container in (engine or client.Engine()).containers():
            if container["State"] != "running":
                continue
            if container["Id"] == inside or container_records.listens(container, host, holder.port):
                return container_records.claim(container)
    return None


def _container_of(pid: int) -> str:
    """Return the id of the container that a process is in, empty for none."""
    with contextlib.suppress(OSError):
        found = _CONTAINER.findall(Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8"))
        return found[-1] if found else ""
    return ""
