# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of an inventory that refer to facts, through the play that begins every playbook."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, Done, run

GATHER = "TASK [Gather the facts that variables refer to]"
# What Linux and macOS both have.
FACT = "{{ ansible_facts.python.version.major }}"


def check(folder: Path, env: dict[str, str], **variables: Any) -> Done:
    """Run the play on two hosts, of which the first has variables of its own."""
    local = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
    }
    hosts = {"ada": local | variables, "bob": local}
    inventory = folder / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"mlflow_servers": {"hosts": hosts}}))
    command: list[str | Path] = [
        Path(sys.executable).with_name("ansible-playbook"),
        "-i",
        inventory,
    ]
    command += [CHECKOUT / "playbooks" / "inventory.yml"]
    return run(command, cwd=folder, env=env, timeout=120, check=False)


@pytest.mark.parametrize(
    "variables",
    [
        {"mlflow_server_host": FACT},
        {"address": FACT, "mlflow_server_host": "{{ address }}"},
        {"mlflow_projects": [{"name": "demo", "server": {"environment": {"HOST": FACT}}}]},
    ],
    ids=["a fact", "by another variable", "below a list"],
)
def test_facts_are_gathered_of_the_host_that_needs_them(
    variables: dict[str, Any], tmp_path: Path, clean_home: dict[str, str]
) -> None:
    """Of that one alone, and then its variables can be read."""
    done = check(tmp_path, clean_home, **variables)
    assert done.code == 0, done.output
    gathered = done.output.partition(GATHER)[2].partition("TASK [")[0]
    assert "ok: [ada]" in gathered
    assert "ok: [bob]" not in gathered


def test_no_facts_are_gathered_where_no_variable_needs_them(
    tmp_path: Path, clean_home: dict[str, str]
) -> None:
    """Neither for plain values nor for what a role will set."""
    variables = {"mlflow_server_host": "127.0.0.1", "mlflow_server_image": "{{ mlflow_reference }}"}
    done = check(tmp_path, clean_home, **variables)
    assert done.code == 0, done.output
    assert GATHER not in done.output


@pytest.mark.parametrize(
    "template", ["{{ ansible_facts.wlan9.address }}", "{{ ansible_facts['nope']['x'] }}"]
)
def test_a_fact_that_no_host_has_is_named_with_its_variable(
    template: str, tmp_path: Path, clean_home: dict[str, str]
) -> None:
    """In one sentence, before anything is touched; the other host goes on."""
    done = check(tmp_path, clean_home, mlflow_server_host=template)
    assert done.code != 0
    assert (
        "mlflow_server_host of host 'ada' cannot be read: object of type 'dict' has no attribute"
        in done.output
    )
    assert "correct the variable, or give it a value with `default(...)`" in done.output
    assert "fatal: [bob]" not in done.output
