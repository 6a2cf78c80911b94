# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rerun of deploy that changes nothing, ten projects against one: tasks as a ratio, and time."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.benchmarks import _bench


def deploy(folder: Path, count: int, *options: str) -> str:
    """Run the playbook for a number of projects and return what it printed."""
    inventory = folder / "inventory.json"
    base = int((folder / "port").read_text())
    projects = [{"name": f"p{number}", "port": base + number} for number in range(count)]
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    variables = {"mlflow_projects": projects, "mlflow_state_dir": str(folder / f"state-{count}")}
    group = {"hosts": {"localhost": host}, "vars": variables}
    inventory.write_text(json.dumps({"mlflow_servers": group}))
    playbook = "deploy" if not options else "servers"
    command = [str(Path(sys.executable).with_name("ansible-playbook"))]
    command += [f"mlops.mlflow_aws.{playbook}", "-i", str(inventory), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    if done.returncode != 0:
        raise SystemExit(done.stdout + done.stderr)
    return done.stdout


def rerun(folder: Path, count: int) -> tuple[int, float]:
    """Return tasks and seconds of a run that changes nothing."""
    deploy(folder, count)
    try:
        began = time.monotonic()
        printed = deploy(folder, count)
        seconds = time.monotonic() - began
    finally:
        deploy(folder, count, "-e", "mlflow_server_state=stopped")
    if not re.search(r"changed=0 ", printed):
        raise SystemExit(f"The rerun changed something:\n{printed}")
    return printed.count("\nTASK ["), seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10, help="projects of the larger run (10)")
    count = parser.parse_args().count
    with _bench.workplace() as folder:
        (folder / "port").write_text(str(_bench.free_port() - count))
        one_tasks, one_seconds = rerun(folder, 1)
        many_tasks, many_seconds = rerun(folder, count)
    print(f"time: {many_seconds:.1f} s for {count} projects, {one_seconds:.1f} s for one")
    _bench.report("tasks of a rerun", many_tasks, one_tasks, "tasks", 1.0)


if __name__ == "__main__":
    main()
