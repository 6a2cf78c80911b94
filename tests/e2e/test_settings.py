# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job for somebody whose home, shell and folder hold settings of other work."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.tests.e2e._examples import api
from ansible_collections.mlops.mlflow_aws.tests.e2e._newcomer import Newcomer
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT, clean_environment, run

pytestmark = pytest.mark.timeout(1200)

CONFIGURATION = """\
[defaults]
stdout_callback = yaml
strategy = mitogen_linear
vault_password_file = ~/missing
any_errors_fatal = true
private_role_vars = true
forks = many
"""
DESCRIPTION = "Größe, naïve, 客戶"


def settle(user: Newcomer) -> dict[str, str]:
    """Put settings into the home; return what the shell sets besides."""
    older = user.home / ".ansible" / "collections" / "ansible_collections" / "mlops" / "mlflow_aws"
    files = {
        user.home / ".ansible.cfg": CONFIGURATION,
        user.home / ".config" / "pip" / "pip.conf": "[install]\nuser = true\n",
        user.home / ".ansible" / "plugins" / "callback" / "loud.py": "raise SystemExit('loud')\n",
        user.home / ".ansible" / "plugins" / "vars" / "loud.py": "raise SystemExit('loud')\n",
        older / "plugins" / "filter" / "mlflow_project_records.py": "raise SystemExit('older')\n",
        user.home / "python" / "ansible.py": "raise SystemExit('another ansible')\n",
        user.home / "python" / "mlflow.py": "raise SystemExit('another mlflow')\n",
        user.home / "python" / "yaml.py": "raise SystemExit('another yaml')\n",
        # Of the folder that the command is called from.
        user.home / "ansible.cfg": CONFIGURATION,
        user.home / "mine.yml": f"mlflow_base_port: {user.base_port}\n",
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return {
        "ANSIBLE_CONFIG": str(user.home / ".ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "yaml",
        "ANSIBLE_STRATEGY": "mitogen_linear",
        "ANSIBLE_VAULT_PASSWORD_FILE": str(user.home / "missing"),
        "ANSIBLE_COLLECTIONS_PATH": str(user.home / ".ansible" / "collections"),
        "CDPATH": str(user.home),
        "LANG": "de_DE.UTF-8",
        "LC_ALL": "tlh_QO.UTF-8",
        "PYTHONPATH": str(user.home / "python"),
    }


def dead_proxies() -> dict[str, str]:
    """Return a shell's proxies, which nobody answers for, without exceptions for loopback."""
    with socket.create_server(("127.0.0.1", 0)) as once:
        address = f"http://127.0.0.1:{once.getsockname()[1]}"
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    return {**dict.fromkeys(names, address), "NO_PROXY": "", "no_proxy": ""}


@pytest.mark.thorough("Each setting is dropped by what the tests below look at every time.")
def test_no_setting_of_the_user_decides(settled_user: Newcomer) -> None:
    """Deployed, rerun with proxies from a file of variables, and stopped, in any order of options."""
    variables = settle(settled_user)
    text = settled_user.projects.read_text()
    settled_user.projects.write_text(text.replace("First steps", DESCRIPTION))
    first = settled_user.quickstart(**variables)
    assert {row.health for row in first.servers.values()} == {"ok"}

    variables |= dead_proxies()
    second = settled_user.quickstart("-e", "@mine.yml", **variables)
    assert second.changed == 0
    assert second.servers == first.servers
    always = json.dumps({"mlflow_verify_always": True})
    again = settled_user.quickstart("-e", "@mine.yml", "-e", always, **variables)
    for name, row in again.servers.items():
        assert row.run != first.servers[name].run
        assert api(row.url, "runs/get", run_id=row.run)["run"]["info"]["status"] == "FINISHED"

    stopped = settled_user.quickstart("-e", "@mine.yml", "--stop", **variables)
    assert {row.health for row in stopped.servers.values()} == {"stopped"}
    assert settled_user.process_ids() == {}


def test_an_ansible_of_the_user_s_own_obeys(settled_user: Newcomer) -> None:
    """The same home stops ansible-playbook where the user calls it, as anybody expects."""
    variables = settle(settled_user)
    variables |= {"LC_ALL": "C.UTF-8"}
    del variables["PYTHONPATH"]
    command: list[str | Path] = [Path(sys.executable).with_name("ansible-playbook"), "--version"]
    environment = clean_environment(settled_user.home) | variables
    done = run(command, cwd=settled_user.home, env=environment, timeout=60, check=False)
    assert "forks" in done.output.lower()
    assert done.code != 0


def chosen(environment: dict[str, str]) -> tuple[str, str]:
    """Return LC_ALL as scripts/_ansible.sh leaves it, and how Python's locale then encodes."""
    script = """
    set -euo pipefail
    . scripts/_ansible.sh
    utf8_locale "$1" 2>/dev/null
    echo "${LC_ALL:-}"
    "$1" -I -c 'import locale; locale.setlocale(locale.LC_ALL, ""); print(locale.getlocale()[1])'
    """
    done = subprocess.run(
        ["bash", "-c", script, "chosen", sys.executable],
        cwd=CHECKOUT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        timeout=60,
    )
    name, encoding = done.stdout.splitlines()
    return name, encoding


@pytest.mark.parametrize(
    "setting",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX"},
        {"LANG": "tlh_QO.UTF-8"},
        {"LANG": "C.UTF-8", "LC_CTYPE": "tlh_QO.ISO-8859-1"},
        {"LANG": "C.UTF-8", "LC_MESSAGES": "tlh_QO.UTF-8"},
        {"LC_ALL": ""},
        {},
    ],
    ids=str,
)
def test_a_locale_that_does_not_work_is_replaced(
    setting: dict[str, str], clean_home: dict[str, str]
) -> None:
    """By one that this machine has, with UTF-8."""
    environment = {
        name: text for name, text in clean_home.items() if name not in ("LANG", "LC_ALL")
    }
    assert chosen(environment | setting)[1] == "UTF-8"


def test_a_locale_that_works_is_kept(clean_home: dict[str, str]) -> None:
    """Nothing is set, neither where the user sets LC_ALL nor where LANG suffices."""
    good = chosen(clean_home | {"LC_ALL": "C"})[0]
    environment = {name: text for name, text in clean_home.items() if name != "LC_ALL"}
    assert chosen(environment | {"LANG": good})[0] == ""
    assert chosen(environment | {"LANG": "tlh_QO.UTF-8", "LC_ALL": good})[0] == good


def test_of_the_environment_what_configures_ansible_and_python_goes(
    clean_home: dict[str, str],
) -> None:
    """All but how much is shown, and in which colours."""
    script = """
    . scripts/_ansible.sh
    private_ansible
    exec "$1" -c 'import json, os; print(json.dumps(dict(os.environ)))'
    """
    kept = {"ANSIBLE_VERBOSITY": "2", "ANSIBLE_NOCOLOR": "1", "NO_COLOR": "1"}
    gone = {"ANSIBLE_LIBRARY": "/x", "ANSIBLE_FORKS": "x", "PYTHONHOME": "/x", "PYTHONPATH": "/x"}
    done = subprocess.run(
        ["bash", "-euc", script, "private", sys.executable],
        cwd=CHECKOUT,
        env=clean_home | kept | gone,
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    found = json.loads(done.stdout)
    assert {name: found.get(name) for name in kept} == kept
    assert not set(gone).intersection(found)
    assert Path(found["ANSIBLE_CONFIG"]) == CHECKOUT / "scripts" / "_ansible.cfg"
