# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a user's pip settings an installation gets, read by the pip of this Python."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import pip as pip_rules

INDEX = "https://pip.example.com/simple"
OTHER = "https://other.example.com/simple"


def read(tmp_path: Path, text: str, **variables: str) -> dict[str, str]:
    """Return pip's variables for a user with this pip.conf."""
    conf = tmp_path / "pip.conf"
    conf.write_text(text)
    environment = {"HOME": str(tmp_path), "PATH": os.defpath, "PIP_CONFIG_FILE": str(conf)}
    found = pip_rules.environment(sys.executable, environment | variables)
    assert (found["HOME"], found["PATH"]) == (str(tmp_path), os.defpath)
    assert found["PIP_CONFIG_FILE"] == os.devnull
    pip = {name: text for name, text in found.items() if name.startswith("PIP_")}
    return {name: text for name, text in pip.items() if name != "PIP_CONFIG_FILE"}


def test_how_the_index_is_reached_is_kept(tmp_path: Path) -> None:
    """From the file, its section for `install` before `global`, and variables before both."""
    text = f"""
[global]
index-url = {OTHER}
proxy = http://global.example.com:3128
cert = /ca.pem
trusted-host = a.example.com
    b.example.com
[install]
index-url = {INDEX}
proxy = http://install.example.com:3128
[freeze]
timeout = 1
"""
    found = read(tmp_path, text, PIP_PROXY="http://own.example.com:3128", PIP_RETRIES="7")
    assert found["PIP_INDEX_URL"] == INDEX
    assert found["PIP_PROXY"] == "http://own.example.com:3128"
    assert found["PIP_CERT"] == "/ca.pem"
    assert found["PIP_TRUSTED_HOST"].split() == ["a.example.com", "b.example.com"]
    assert found["PIP_RETRIES"] == "7"
    assert "PIP_TIMEOUT" not in found


def test_what_moves_or_changes_packages_is_dropped(tmp_path: Path) -> None:
    """From the file and from variables alike; what hinders reading does not."""
    lines = ["user=1", "target=/x", "prefix=/x", "root=/x", "constraint=/x", "python=/x", "quiet=3"]
    lines += ["require-virtualenv=maybe", "dry-run=1", "no-binary=:all:", "log=/nowhere/log"]
    text = "\n".join(["[global]", *lines, f"index-url={INDEX}", "[install]", *lines])
    variables = {f"PIP_{line.partition('=')[0].replace('-', '_').upper()}": "/y" for line in lines}
    found = read(tmp_path, text, **variables)
    assert found["PIP_INDEX_URL"] == INDEX
    kept = {"PIP_" + name.replace("-", "_").upper() for name in pip_rules.KEPT}
    assert set(found) <= kept


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """And what stands in it is not shown."""
    with pytest.raises(pip_rules.PipError) as caught:
        read(tmp_path, "[global\nindex-url = https://ada:s3cr3t@pip.example.com\n")
    assert str(tmp_path / "pip.conf") in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_the_pins_of_a_lock() -> None:
    """Those for every platform, by name; options, hashes and comments are none."""
    lock = (
        "# a comment==1\n--index-url x\na.b==1.0 \\\n    --hash=sha256:00\n    # via c==2\n"
        "d_e==2\nf==1 ; python_version < '3'\n"
    )
    assert pip_rules.pinned(lock, "g==1") == ["a.b", "d_e", "g"]


def test_a_package_is_missing_once_its_files_are(tmp_path: Path) -> None:
    """Names are compared as pip does; the metadata alone do not make a package."""
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    metadata = packages / "Ruamel_Yaml-1.0.dist-info"
    metadata.mkdir(parents=True)
    assert pip_rules.missing(tmp_path, ["ruamel.yaml", "other"]) == ["ruamel.yaml", "other"]
    (metadata / "RECORD").write_text('"a, b.py",sha256=x,1\nruamel.py,,\n../../../bin/x.py,,\n')
    assert pip_rules.missing(tmp_path, ["ruamel.yaml"]) == ["ruamel.yaml"]
    for name in ("a, b.py", "ruamel.py"):
        (packages / name).touch()
    assert pip_rules.missing(tmp_path, ["ruamel.yaml", "Ruamel-yaml"]) == []
