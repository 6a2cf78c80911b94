# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: one-shot jobs in containers that are thrown away."""

from __future__ import annotations

import contextlib
import os
import re
import time
import typing as t
import uuid

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import container_spec
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.client import Engine
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.container_spec import (
    LABEL,
    VOLUME_PATH,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.transport import accepting
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import commands, process_table

# Of a job that did not end in time.
_LOG_LINES = 20
_STOP_SECONDS = 10
_LOOK_SECONDS = 3.0
_JOB_LABEL = f"{LABEL}job"
OWNER_LABEL = f"{LABEL}owner"
_UP = ("running", "restarting", "paused")


class Ran(t.NamedTuple):
    """What a job left: its exit code and all it printed."""

    code: int
    stdout: str
    stderr: str


def run_once(
    engine: Engine,
    image: str,
    command: t.Sequence[str],
    files: t.Mapping[str, str],
    *,
    binds: t.Mapping[str, str],
    network: str,
    user: str,
    environment: t.Mapping[str, str],
    timeout: float,
    volumes: t.Mapping[str, str] | None = None,
    show: t.Callable[[str], None] | None = None,
) -> Ran:
    """Run a command of an image to its end, in a container and a volume that are thrown away.

    files: texts by their names below /var/lib/mlflow, which only the container's user can
    read; binds: folders of the host by the paths at which the container reads them; volumes:
    more volumes, likewise; user: UID:GID, or empty for the image's; show gets each line of its
    errors soon after it is written. What a killed run left behind is removed by the next.
    """
    _sweep(engine)
    name = f"mlflow-job-{uuid.uuid4().hex[:12]}"
    labels = {_JOB_LABEL: "true", OWNER_LABEL: str(os.getpid())}
    spec = container_spec.Spec(
        image=image,
        command=tuple(command),
        volume=name,
        user=user or container_spec.IMAGE_USER,
        network=network,
        binds=tuple(binds.items()),
        volumes=tuple((volumes or {}).items()),
        shared=True,
        environment=tuple(environment.items()),
    )
    try:
        engine.create_volume(name, labels)
        engine.create(name, container_spec.creation(spec, labels))
        engine.put_archive(name, VOLUME_PATH, container_spec.archive(files, spec.user))
        engine.start(name)
        code = _wait(engine, name, timeout, show) if show else engine.wait(name, timeout)
        if code is None:
            raise _overdue(engine, name, " ".join(command[:1]) or image, timeout)
        return Ran(code, *engine.logs(name))
    finally:
        engine.remove(name)
        engine.remove_volume(name)


def _wait(engine: Engine, name: str, timeout: float, show: t.Callable[[str], None]) -> int | None:
    """Wait for a job's end, and show what it writes meanwhile; return its exit code, or None if that takes longer."""
    end, shown = time.monotonic() + timeout, 0
    while True:
        left = end - time.monotonic()
        code = engine.wait(name, max(min(_LOOK_SECONDS, left), 0.1))
        whole = engine.logs(name)[1].rpartition("\n")[0].splitlines()
        for line in whole[shown:]:
            show(line)
        shown = len(whole)
        if code is not None or left <= 0:
            return code


def _overdue(engine: Engine, name: str, what: str, timeout: float) -> MlflowError:
    """Stop a job that did not end in time, and return the sentence about it."""
    engine.stop(name, _STOP_SECONDS)
    last = commands.reason("\n".join(engine.tail(name, _LOG_LINES)))
    return MlflowError(
        f"{what} did not end within {timeout:.0f} seconds in its container ({last}); fix that, or raise "
        "the timeout."
    )


def _sweep(engine: Engine) -> None:
    """Remove what killed runs left, but no job that still runs: a migration must not be cut."""
    used = set()
    for found in engine.containers([_JOB_LABEL]):
        # One that is being removed has no name any more.
        name = (found["Names"] or [found["Id"]])[0].lstrip("/")
        if found["State"] in _UP or _is_alive(found["Labels"]):
            used.add(name)
        else:
            engine.remove(name)
    for volume in engine.volumes([_JOB_LABEL]):
        if volume["Name"] not in used and not _is_alive(volume["Labels"]):
            # Its container may have come from another run just now.
            with accepting(409):
                engine.remove_volume(volume["Name"])


def _is_alive(labels: t.Mapping[str, str]) -> bool:
    """Return whether the process that created a job still exists."""
    owner = labels.get(OWNER_LABEL, "")
    if not re.fullmatch(r"[1-9]\d*", owner):
        return False
    with contextlib.suppress(OverflowError):
        return process_table.exists(int(owner))
    return False
