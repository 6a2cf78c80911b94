# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which paths of a host are accepted, on the host and as early as on the control node."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.filter.mlflow_path_fault import FilterModule
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import container_spec, hosts
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files, paths, venv

INSTALLED = "/home/ada/.ansible/collections/ansible_collections/mlops/mlflow_aws"
RELATIVE = ["state", "./state", "../state", "a/b", " ", "$NOT_SET/state", "~nobody-of-that-name/x"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a HOME of its own, and be in another folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NOT_SET", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return tmp_path


@pytest.mark.parametrize("given", RELATIVE)
def test_a_relative_state_folder_is_refused(given: str) -> None:
    """The sentence has the variable, the value as it came, and an example."""
    with pytest.raises(MlflowError) as caught:
        files.state_folder(given)
    assert str(caught.value) == (
        f"mlflow_state_dir is {given!r}, which is not an absolute path; write the full path on the host, "
        "such as /srv/mlflow."
    )


@pytest.mark.parametrize("given", [".aws", "$NOT_SET/.aws"])
def test_a_relative_aws_folder_is_refused(given: str) -> None:
    """Docker would take it for the name of a volume, or from where a module happens to run."""
    with pytest.raises(MlflowError, match=r"^mlflow_server_aws_config_dir is .*/home/ada/\.aws\.$"):
        container_spec.aws_folder(given)
    assert container_spec.aws_folder("") == container_spec.aws_folder(None) == ""


def test_a_relative_python_is_refused_and_a_name_is_not(home: Path) -> None:
    """A name is looked up on the PATH; what has a slash is a path."""
    with pytest.raises(
        MlflowError, match=r"^mlflow_server_base_python is 'venv/bin/python', which"
    ):
        venv.base_python("venv/bin/python")
    assert paths.host_program("mlflow_server_base_python", "python3.11") == "python3.11"
    expanded = paths.host_program("mlflow_server_base_python", "~/bin/python")
    assert expanded == str(home / "bin" / "python")


@pytest.mark.parametrize("name", ["python", "entrypoint"])
def test_a_relative_runtime_is_refused(name: str) -> None:
    """Also in what a module is called with."""
    options = {"python": "/v/bin/python", "entrypoint": "/v/mlflow_entry.py"}
    assert paths.runtime_paths(options) == tuple(options.values())
    assert paths.runtime_paths(dict.fromkeys(options)) == ("", "")
    with pytest.raises(MlflowError, match=f"^{name} is 'v/x', which is not an absolute path"):
        paths.runtime_paths(options | {name: "v/x"})


@pytest.mark.parametrize(
    "given", [INSTALLED, f"{INSTALLED}/playbooks/state", f"{INSTALLED}/x/../y"]
)
def test_a_state_folder_in_the_collection_is_refused(given: str) -> None:
    """The next installation of the collection would delete it."""
    with pytest.raises(MlflowError, match=r"^mlflow_state_dir is .*, inside the installed coll"):
        files.state_folder(given)
    assert str(files.state_folder(f"{INSTALLED}_state")) == f"{INSTALLED}_state"


@pytest.mark.parametrize("variable", ["state", "./x", ""])
def test_a_relative_xdg_home_is_ignored(
    variable: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its specification has it."""
    monkeypatch.setenv("XDG_STATE_HOME", variable)
    assert files.state_folder(None) == home / ".local" / "state" / "mlflow_aws"
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", variable)
    assert hosts.default_host().startswith("unix:///")


def test_the_control_node_refuses_what_no_host_would_accept() -> None:
    """What begins with ~ or $ is the host's to read."""
    fault = FilterModule().filters()["mlflow_path_fault"]
    for given in ("", None, "/s", "~/s", "~ada/s", "$HOME/s", "${X}/s"):
        assert fault({"mlflow_state_dir": given}) == ""
    assert fault({"mlflow_state_dir": "/s", "mlflow_server_base_python": "python3"}) == ""
    for variable in ("mlflow_state_dir", "mlflow_server_aws_config_dir"):
        assert fault({variable: "a/b"}).startswith(f"{variable} is 'a/b', which is not an absolute")
    assert fault({"mlflow_server_base_python": "a/b"}).endswith("such as /usr/bin/python3.11.")
    assert "the installed collection" in fault({"mlflow_state_dir": f"{INSTALLED}/s"})
