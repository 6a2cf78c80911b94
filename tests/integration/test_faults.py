# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input to the playbooks: one sentence, before anything is touched, and no secret in it."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.mlops.mlflow_aws.tests import left_out
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Installation, files
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, clean_environment

pytestmark = pytest.mark.timeout(600)

PLAYBOOK_SECONDS = 100
SECRET = "s3cr3t-value-of-a-token"
DEMO = {"name": "demo"}
HOSTS = {
    "mlflow_servers": {
        "hosts": {
            "localhost": {
                "ansible_connection": "local",
                "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            }
        }
    }
}
# From linux/prctl.h and linux/capability.h.
PR_CAPBSET_DROP = 24
OVERRIDE_PERMISSIONS = (1, 2, 3)


@dataclass(frozen=True)
class Ran:
    """A finished playbook: its exit code, all of its output, and the results of failed tasks."""

    code: int
    output: str

    @property
    def failure(self) -> dict[str, Any]:
        """Return the result of the task that failed; at the end the host fails with its reason."""
        lines = re.findall(r"^fatal: \[\w+\]: FAILED! => (\{.*\})$", self.output, re.MULTILINE)
        assert 1 <= len(lines) <= 2, self.output
        result, *last = map(json.loads, lines)
        for told in last:
            first = result["msg"].splitlines()[0].rpartition(" failed: ")[2]
            first = "; ".join(result.get("argument_errors") or [first])
            assert told["msg"].endswith(first.removeprefix("Task failed: ")), self.output
            assert "The filter plugin" not in told["msg"], self.output
        found: dict[str, Any] = result
        return found

    @property
    def sentence(self) -> str:
        """Return what the failed task says, without what Ansible puts before it."""
        result = self.failure
        errors = result.get("argument_errors")
        sentence = "; ".join(errors) if errors else str(result["msg"])
        assert "\n" not in sentence
        assert "Traceback" not in self.output
        return sentence.removeprefix(
            "Task failed: The filter plugin 'mlops.mlflow_aws.mlflow_project_records' failed: "
        )


@dataclass(frozen=True)
class Team:
    """A team with an inventory of its own outside the checkout."""

    folder: Path

    @property
    def state(self) -> Path:
        """Return the state folder, which is there only when something made it."""
        return self.folder / "home" / ".local" / "state" / "mlflow_aws"

    def play(
        self,
        playbook: str,
        variables: dict[str, Any],
        *options: str,
        hosts: dict[str, Any] | None = None,
        before: Callable[[], None] | None = None,
    ) -> Ran:
        """Run a playbook over an inventory with these variables."""
        inventory = self.folder / "inventory"
        (inventory / "group_vars").mkdir(parents=True, exist_ok=True)
        (self.folder / "home").mkdir(exist_ok=True)
        (inventory / "hosts.yml").write_text(yaml.safe_dump(HOSTS if hosts is None else hosts))
        text = yaml.safe_dump(variables)
        (inventory / "group_vars" / "mlflow_servers.yml").write_text(text)
        environment = clean_environment(self.folder / "home")
        environment["ANSIBLE_HOME"] = str(self.folder / "ansible")
        process = subprocess.Popen(
            [
                str(Path(sys.executable).parent / "ansible-playbook"),
                str(CHECKOUT / "playbooks" / f"{playbook}.yml"),
                "--inventory",
                str(inventory),
                *options,
            ],
            env=environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=before,
        )
        try:
            output, _errors = process.communicate(timeout=PLAYBOOK_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        return Ran(process.returncode, output)


@pytest.fixture
def team(short_folder: Path) -> Team:
    """Return a team whose hosts nothing was done to yet."""
    return Team(short_folder)


NO_DEMO = "no folder for demo; run the deploy playbook first."
FAULTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "no list": ("deploy", {}, "^mlflow_projects is not set; list at least one project "),
    "empty list": (
        "deploy",
        {"mlflow_projects": []},
        "^mlflow_projects is empty; list at least one project",
    ),
    "typo": (
        "servers",
        {"mlflow_projects": [DEMO, {"name": "churn", "prot": 5001}]},
        r"^mlflow_projects\[1\] 'churn': unknown key 'prot'; did you mean 'port'\?$",
    ),
    "backend": (
        "deploy",
        {"mlflow_projects": [DEMO], "mlflow_backend": "azure"},
        "^value of mlflow_backend must be one of: local, aws, got: azure$",
    ),
    "runtime": (
        "deploy",
        {"mlflow_projects": [DEMO], "mlflow_server_runtime": "podman"},
        "^value of mlflow_server_runtime must be one of: docker, process, got: podman$",
    ),
    "base port": (
        "deploy",
        {"mlflow_projects": [DEMO], "mlflow_base_port": "50x1"},
        "^mlflow_base_port is a string; write an integer without quotes.$",
    ),
    "python": (
        "deploy",
        {"mlflow_projects": [DEMO], "mlflow_server_base_python": "/bin/false"},
        "^/bin/false is not a Python 3.11 or newer with venv and ensurepip; .*base_python to its path.$",
    ),
    "packages": (
        "deploy",
        {"mlflow_projects": [DEMO], "mlflow_image_requirements": "{folder}"},
        "^mlflow_image_requirements is the folder .*; set it to the path of a file.$",
    ),
    "address": (
        "deploy",
        {"mlflow_projects": [DEMO], "mlflow_server_host": "192.0.2.1"},
        r"^No server can listen on 192.0.2.1 port 5001 \(Cannot assign requested address\); ",
    ),
    "bad character": (
        "deploy",
        {"mlflow_projects": [DEMO], "mlflow_state_dir": "{folder}/home/a?b"},
        r"^mlflow_state_dir contains the character '\?' \(.*/home/a\?b\); choose a path without it.$",
    ),
    "too long": (
        "deploy",
        {"mlflow_projects": [DEMO], "mlflow_state_dir": "{folder}/home/" + "x" * 100},
        r"^mlflow_state_dir is too long for a socket in it \(.*x\); choose a path of \d+ char",
    ),
    "below a file": (
        "deploy",
        {"mlflow_projects": [DEMO], "mlflow_state_dir": "{folder}/inventory/hosts.yml/state"},
        "^.*/hosts.yml/state cannot be used, since .*/hosts.yml is not a folder; choose another mlflow_s",
    ),
    "servers before deploy": ("servers", {"mlflow_projects": [DEMO]}, NO_DEMO),
    "verify before deploy": (
        "verify",
        {"mlflow_projects": [DEMO]},
        "^No MLflow is installed in .*; run the deploy playbook first.$",
    ),
}


# One for each place where a fault is found; what each says is in unit tests, too.
EVERY_TIME = ("no list", "typo", "runtime", "below a file", "servers before deploy")


@pytest.mark.parametrize(
    "fault",
    left_out.params(
        EVERY_TIME, sorted({*FAULTS} - {*EVERY_TIME}), "Five of the kind run every time."
    ),
)
def test_one_sentence_before_anything_is_touched(fault: str, team: Team) -> None:
    """It names what is wrong and the remedy; no folder was made and no change reported."""
    playbook, variables, pattern = FAULTS[fault]
    text = json.dumps(variables).replace("{folder}", str(team.folder))
    ran = team.play(playbook, json.loads(text))
    assert ran.code == 2
    assert re.search(pattern, ran.sentence), ran.sentence
    assert re.search(r"^localhost +: ok=\d+ +changed=0 .*failed=1", ran.output, re.MULTILINE)
    assert files(team.folder / "home") == {}


def test_an_inventory_without_hosts(team: Team) -> None:
    """Ansible itself would pass over it in silence."""
    ran = team.play("deploy", {}, hosts={"all": {"hosts": {"localhost": None}}})
    assert ran.code == 2
    assert ran.sentence.startswith("The inventory has no host in the group mlflow_servers; ")


def drop_privileges() -> None:
    """Make root obey permissions like everybody else; runs in the child, before the program.

    Another user might not be allowed to run this Python.
    """
    library = ctypes.CDLL(None, use_errno=True)
    for capability in OVERRIDE_PERMISSIONS:
        if library.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def test_a_folder_that_this_user_may_not_write(team: Team) -> None:
    """The user and the folder are named."""
    locked = team.folder / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    variables = {"mlflow_projects": [DEMO], "mlflow_state_dir": f"{locked}/state"}
    before = drop_privileges if os.geteuid() == 0 else None
    ran = team.play("deploy", variables, before=before)
    assert ran.code == 2
    assert re.fullmatch(
        rf"{locked}/state cannot be written, since user \S+ has no permission to write to {locked}; choose "
        "another mlflow_state_dir or change its owner.",
        ran.sentence,
    )
    assert list(locked.iterdir()) == []


@pytest.mark.parametrize(
    "fault",
    [
        {
            "mlflow_projects": [
                {"server": {"environment": {"TOKEN": SECRET}}, "name": "demo", "x": 1}
            ]
        },
        {
            "mlflow_projects": [{"server": {"environment": {"TOKEN": SECRET}}, "name": "demo"}],
            "mlflow_backend": "azure",
        },
    ],
    ids=["unknown key", "unknown backend"],
)
def test_a_fault_shows_no_secret_at_any_verbosity(fault: dict[str, Any], team: Team) -> None:
    """Neither in the sentence nor in what Ansible shows around it."""
    ran = team.play("deploy", fault, "-vvvvv", "--diff")
    assert ran.code == 2
    assert "TASK" in ran.output
    assert SECRET not in ran.output


def test_check_mode_shows_no_secret_at_any_verbosity(
    team: Team, installation: Installation, free_ports: Callable[[int], list[int]]
) -> None:
    """Every task of deploy, with all that Ansible can show of it; check mode makes nothing."""
    variables = {
        "mlflow_projects": [{"server": {"environment": {"TOKEN": SECRET}}, "name": "demo"}],
        "mlflow_base_port": free_ports(1)[0],
        "mlflow_state_dir": installation.options["state_dir"],
    }
    before = files(Path(installation.options["state_dir"]))
    ran = team.play("deploy", variables, "-vvvvv", "--diff", "--check")
    assert ran.code == 0, ran.output
    assert "TOKEN" in ran.output
    assert SECRET not in ran.output
    assert files(Path(installation.options["state_dir"])) == before
