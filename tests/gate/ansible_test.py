# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs ansible-test of one release over a copy of the checkout, with an empty HOME."""

from __future__ import annotations

import configparser
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.tests.support import (
    Done,
    clean_environment,
    copy_collection,
    run,
)

MINUTES = 60
# The environment of requirements/test.txt: its shellcheck is the one that ansible-test runs.
TOOLS = Path(sys.prefix) / "bin"

# ansible-test fetches a get-pip script from its own site, which a machine with nothing but
# a package index cannot reach. In its cache this stand-in copies the pip that is beside Ansible: a dozen
# environments are made, and ensurepip takes five seconds of the processor for each.
GET_PIP = """\
import shutil
import sysconfig
from pathlib import Path

target = Path(sysconfig.get_path("purelib"))
for pattern in ("pip", "pip-*.dist-info"):
    (found,) = Path(%r).glob(pattern)
    shutil.copytree(found, target / found.name)
"""


class AnsibleTest:
    """Runs ansible-test in a copy of the collection, each time in the same HOME."""

    def __init__(self, folder: Path, ansible: Path = TOOLS) -> None:
        """Make the copy and the HOME; `ansible` is the bin folder of the release to run."""
        self.root = copy_collection(folder)
        self.program = ansible / "ansible-test"
        packages = next(ansible.parent.glob("lib/python3.*/site-packages"))
        self.python = packages.parent.name.removeprefix("python")
        home = folder / "home"
        cache = home / ".ansible" / "test" / "cache"
        cache.mkdir(parents=True)
        (cache / f"get_pip_{pip_version(packages).replace('.', '_')}.py").write_text(
            GET_PIP % str(packages)
        )
        self.env = clean_environment(home, ansible, TOOLS)
        write_pip_settings(home, self.env)

    def __call__(self, *arguments: str) -> Done:
        """Run one command of ansible-test; where it fails, show what it says, not what pip does."""
        command = [str(self.program), *arguments, "--venv", "--python", self.python]
        command += ["--color", "no", "--truncate", "0"]
        done = run(command, cwd=self.root, env=self.env, timeout=14 * MINUTES, check=False)
        if done.code != 0:
            pytest.fail(f"{' '.join(command)}\n{without_pip(done.output)}", pytrace=False)
        return done


def without_pip(output: str) -> str:
    """Leave out the lines in which pip tells what it installs."""
    noise = re.compile(
        r"\s*(Looking in|Collecting|Downloading|Processing|Requirement already|Using cached|━"
        r"|Installing|Successfully|Attempting|Found existing|Uninstalling|WARNING: Location)"
    )
    return "\n".join(line for line in output.splitlines() if not noise.match(line))


def write_pip_settings(home: Path, env: Mapping[str, str]) -> None:
    """Write down the pip settings of the environment, which ansible-test does not pass on."""
    settings = configparser.RawConfigParser()
    settings.read(env.get("PIP_CONFIG_FILE", ()))
    if not settings.has_section("global"):
        settings.add_section("global")
    for name, value in env.items():
        if name.startswith("PIP_") and name != "PIP_CONFIG_FILE":
            settings.set("global", name[4:].lower().replace("_", "-"), value)
    target = home / ".config" / "pip" / "pip.conf"
    target.parent.mkdir(parents=True)
    with target.open("w") as file:
        settings.write(file)


def pip_version(packages: Path) -> str:
    """Return the version of pip that the ansible-test installed in `packages` bootstraps."""
    text = (packages / "ansible_test" / "_internal" / "python_requirements.py").read_text()
    found = set(re.findall(r"\bpip='([0-9.]+)'", text))
    assert len(found) == 1, f"ansible-test names other versions of pip than one: {found}"
    return str(found.pop())


def check_sanity(ansible_test: AnsibleTest, *options: str) -> None:
    """All sanity tests pass, none is ignored, and none was left out for want of a tool."""
    assert not list((ansible_test.root / "tests").glob("sanity/ignore*"))
    output = ansible_test("sanity", *options).output
    ran = set(re.findall(r"^Running sanity test \W?([a-z0-9-]+)", output, re.MULTILINE))
    assert {"compile", "import", "pep8", "pylint", "shellcheck", "validate-modules"} <= ran
    left_out = [line for line in output.splitlines() if "WARNING" in line and "kip" in line]
    assert left_out == []
