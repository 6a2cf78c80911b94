# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs about data as tests call them: by the one process of data_program.py.

with started(python, folder_of_mlflow_entry, environment) as verbs:
    record = verbs.call("backup", request)
    sentence = verbs.refuse("restore", request)
    verbs.kill("restore", request, at=17)
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT

PROGRAM = CHECKOUT / "tests" / "parts" / "data_program.py"
# For a project of a million rows and 3 GiB on a busy machine.
_SECONDS = 900


@dataclass
class Verbs:
    """The process, which carries out one verb at a time; others may have another."""

    process: subprocess.Popen[str]
    _alone: threading.Lock = field(default_factory=threading.Lock)

    def run(
        self, verb: str, request: Mapping[str, Any], kill: int = 0, change: str = ""
    ) -> dict[str, Any]:
        """Carry out a verb; return the program's whole answer."""
        assert self.process.stdin
        assert self.process.stdout
        wanted = {"verb": verb, "request": request, "kill": kill, "change": change}
        with self._alone:
            self.process.stdin.write(json.dumps(wanted) + "\n")
            self.process.stdin.flush()
            ready = select.select([self.process.stdout], [], [], _SECONDS)[0]
            assert ready, f"{verb} does not end"
            line = self.process.stdout.readline()
        assert line, f"{verb} ended the program"
        answer: dict[str, Any] = json.loads(line)
        assert "Traceback" not in answer["log"], answer["log"]
        return answer

    def records(
        self, verb: str, request: Mapping[str, Any], change: str = ""
    ) -> list[dict[str, Any]]:
        """Carry out a verb to its end; return its records."""
        answer = self.run(verb, request, change=change)
        assert answer["status"] == 0, answer
        records: list[dict[str, Any]] = answer["records"]
        assert len(records) == len(request["projects"]), answer
        return records

    def call(self, verb: str, request: Mapping[str, Any], change: str = "") -> dict[str, Any]:
        """Carry out a verb, which must succeed, with one project; return its record."""
        (record,) = self.records(verb, request, change)
        assert record["error"] == "", record
        return record

    def refuse(self, verb: str, request: Mapping[str, Any], change: str = "") -> str:
        """Carry out a verb that must fail for its one project; return its sentence."""
        (record,) = self.records(verb, request, change)
        error = str(record["error"])
        assert error.endswith("."), record
        assert "\n" not in error
        return error

    def kill(self, verb: str, request: Mapping[str, Any], at: int, change: str = "") -> str:
        """Carry out a verb that is killed at a call; return the name of that, empty if it ended before."""
        answer = self.run(verb, request, kill=at, change=change)
        if answer["status"] == -signal.SIGKILL:
            return str(answer["last"])
        assert answer["status"] == 0, answer
        return ""

    def sums(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a project holds: counts, checksums, and the artifacts' number and bytes."""
        told = self.call("info", {**request, "sums": True, "objects": True})
        return {key: told[key] for key in ("revision", "counts", "checksums", "artifacts")}


@contextlib.contextmanager
def started(
    python: str | Path, folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Verbs]:
    """Start the program, and end it."""
    process = subprocess.Popen(
        [python, "-I", PROGRAM, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(environment or os.environ),
        start_new_session=True,
    )
    try:
        yield Verbs(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def contents(folder: Path) -> dict[str, str]:
    """Return the files below a folder, each with a hash of its content; links are not followed."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
