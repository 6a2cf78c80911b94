# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring many MySQL schemas to the head revision, several at once.

The request of `migrate-all` (JSON, mode 0600) holds:

    schemas   list of `name`, `uri` (mysql+pymysql://HOST:PORT/SCHEMA) and `database`, the
              migrator's identity, in the form that a server's settings have
    aws       as in a server's settings: the identity that reads the secrets, or signs tokens
    workers   number of schemas to migrate at once
    timeout   time in seconds after which nothing is begun any more; what runs then goes on
    repair    whether to empty a half-migrated schema that holds no data, and start over

and one line of JSON comes out for each schema as it is done: `name`, `state` (what was
found, see schema_state.py), `before` and `after` (revisions, empty for an empty schema),
`repaired`, and `error`, one sentence, empty if all is well.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from . import aws
from .errors import EntryError
from .migrate_one import Job, work
from .option_file import OptionFile, require_plain
from .schema_state import UNKNOWN

_NOT_STARTED = "its migration was not started within the time limit; raise the timeout and rerun."
# What importing MLflow costs is paid once, in the process that the others are forked from.
_PRELOAD = ["alembic.command", "mlflow.db", "mlflow.store.db.utils", "pymysql"]
_RECORD: dict[str, Any] = {
    "state": UNKNOWN,
    "before": "",
    "after": "",
    "repaired": False,
    "error": "",
}


def migrate_all(request: dict[str, Any], request_path: Path, folder: Path) -> None:
    """Migrate all schemas of the request and print a line for each."""
    deadline = time.time() + float(request["timeout"])
    aws.use_identity(request.get("aws") or {}, request_path, folder)
    jobs = plan(request, folder, deadline)
    ready = []
    for job, error in zip(jobs, _write_secrets(jobs), strict=True):
        if error:
            _print(job.name, {"error": error})
        else:
            ready.append(job)
    _run(ready, max(1, int(request["workers"])), deadline)


def plan(request: dict[str, Any], folder: Path, deadline: float) -> list[Job]:
    """Return the job of each schema, with a folder of its own for the option file."""
    repair = bool(request.get("repair"))
    return [
        Job(
            schema["name"],
            schema["uri"],
            schema["database"],
            folder / str(number),
            deadline,
            repair,
            request.get("aws") or {},
        )
        for number, schema in enumerate(request["schemas"])
    ]


def _write_secrets(jobs: list[Job]) -> list[str]:
    """Write the option file of each schema; returns what went wrong with each, empty if nothing."""

    def write(job: Job) -> str:
        job.folder.mkdir(0o700)
        try:
            require_plain(job.uri)
            OptionFile(job.database, job.aws, job.folder).refresh()
        except EntryError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(write, jobs))


def _run(jobs: list[Job], workers: int, deadline: float) -> None:
    """Run each job in a process of its own, some at once, and begin none after the deadline."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    waiting = list(reversed(jobs))
    running: dict[Any, tuple[Job, Any]] = {}
    while waiting or running:
        while waiting and len(running) < workers and time.time() < deadline:
            job = waiting.pop()
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=work, args=(job, sender), daemon=True)
            process.start()
            sender.close()
            running[receiver] = (job, process)
        if not running:
            break
        # Without a limit: a migration that was ended at one would have to begin anew.
        done: list[Any] = wait(list(running))
        for receiver in done:
            job, process = running.pop(receiver)
            _print(job.name, _received(receiver))
            process.join()
    for job in waiting:
        _print(job.name, {"error": _NOT_STARTED})


def _received(receiver: Any) -> dict[str, Any]:
    """Return what a process sent before it ended."""
    try:
        received: dict[str, Any] = receiver.recv()
    except EOFError:
        return {"error": "the process that migrated it ended without a result; see the log above."}
    return received


def _print(name: str, part: dict[str, Any]) -> None:
    """Print the record of one schema."""
    record = {"name": name, **_RECORD, **part}
    if record["error"]:
        record["error"] = f"Project '{name}': {record['error']}"
    print(json.dumps(record), flush=True)
