# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A project's server as a process, from the locked environment of the image and the program of the checkout."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.tests.parts import server_program
from ansible_collections.mlops.mlflow_aws.tests.parts.host import ask
from ansible_collections.mlops.mlflow_aws.tests.support import clean_environment

_START_SECONDS = 120


@contextmanager
def server(python: Path, port: int, folder: Path) -> Iterator[str]:
    """Run a server on SQLite; give its HOST:PORT when it answers, and end it."""
    entry = server_program.lay_out(folder / "program")
    environment = clean_environment(folder)
    uri = f"sqlite:///{folder}/mlflow.db"
    subprocess.run(
        [python, "-I", entry, "migrate"],
        input=json.dumps({"uri": uri}),
        env=environment,
        text=True,
        capture_output=True,
        check=True,
    )
    settings = folder / "settings.json"
    settings.write_text(
        json.dumps(
            {
                "configuration": "test",
                "host": "127.0.0.1",
                "port": port,
                "workers": 1,
                "backend_store_uri": uri,
                "artifacts_destination": str(folder / "artifacts"),
                "allowed_hosts": [],
                "environment": {},
                "jobs": False,
            }
        )
    )
    log = folder / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [python, "-I", entry, "serve", settings],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        body = {"max_results": 1}
        while ask(f"http://127.0.0.1:{port}", "/api/2.0/mlflow/experiments/search", body)[0] != 200:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
