# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs about data, each in a child of one process that has loaded MLflow, and killed where one asks for it.

Run by a Python that has MLflow installed, with the folder of mlflow_entry.py:
    python data_program.py FOLDER
It reads a JSON object a line, and answers each with one:
    verb        of mlflow_entry.py; `request` is what its file holds
    kill        the number of the call at which the verb's process kills itself, if any; calls are those of
                functions of the package's `data`, in the main thread
    change      statements of Python that are carried out in the child before, such as those that fail something
The answer has the printed `records`, the number of `calls`, the `last` of them by name, the exit `status`
(-9 if killed), the `log`, and the most `memory` in MiB that the child had.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any


class Calls:
    """Counts calls of functions of one folder, and kills this process at one of them."""

    def __init__(self, folder: str, kill: int, note: Path) -> None:
        """Take the folder, the number of the call, and the file for the name of the last one."""
        self._folder, self._kill, self._note = folder, kill, note
        self.count = 0
        self.last = ""

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        """Count one call."""
        code = frame.f_code
        named = not code.co_name.startswith("<")
        if event != "call" or not (named and code.co_filename.startswith(self._folder)):
            return
        self.count += 1
        self.last = f"{Path(code.co_filename).stem}.{code.co_qualname}"
        if self.count == self._kill:
            self._note.write_text(self.last)
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Load MLflow, then serve requests until the input ends."""
    root = Path(sys.argv[1])
    sys.path.append(str(root))
    for name in ("verbs", "replacement"):
        importlib.import_module(f"mlflow_aws_server.data.{name}")
    # What the verbs import when they need it.
    for name in ("mlflow.db", "mlflow.store.db.utils", "pymysql", "boto3"):
        importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line), root)), flush=True)


def answer(wanted: dict[str, Any], root: Path) -> dict[str, Any]:
    """Carry out one verb in a child, and return what became of it."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        request = folder / "request.json"
        request.touch(0o600)
        request.write_text(json.dumps(wanted["request"]))
        pid = os.fork()
        if pid == 0:
            child(wanted, root, folder, request)
        _pid, status, used = os.wait4(pid, 0)
        texts = {path.name: path.read_text(errors="replace") for path in folder.glob("*.txt")}
    return {
        "status": os.waitstatus_to_exitcode(status),
        "records": [json.loads(line) for line in texts["out.txt"].splitlines()],
        "log": texts["log.txt"],
        "calls": int(texts.get("calls.txt") or 0),
        "last": texts.get("last.txt", ""),
        "memory": used.ru_maxrss / 1024,
        "seconds": used.ru_utime + used.ru_stime,
    }


def child(wanted: dict[str, Any], root: Path, folder: Path, request: Path) -> None:
    """Carry out one verb, and end."""
    for number, name in ((1, "out.txt"), (2, "log.txt")):
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(descriptor, number)
    code = 1
    with contextlib.suppress(BaseException):
        from mlflow_aws_server import cli

        exec(wanted.get("change") or "", {})
        calls = Calls(
            str(root / "mlflow_aws_server" / "data"), wanted.get("kill") or 0, folder / "last.txt"
        )
        sys.setprofile(calls)
        try:
            code = cli.main([wanted["verb"], str(request)])
        finally:
            sys.setprofile(None)
            sys.stdout.flush()
        (folder / "calls.txt").write_text(str(calls.count))
    resource.getrusage(resource.RUSAGE_SELF)
    os._exit(code)


if __name__ == "__main__":
    main()
