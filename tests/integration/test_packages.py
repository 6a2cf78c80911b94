# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of a user's own beside the locked set: with real pip, and with LiteLLM as MLflow calls it."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import packaging
import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _requirements
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import installation, venv
from ansible_collections.mlops.mlflow_aws.tests.parts import server_program
from ansible_collections.mlops.mlflow_aws.tests.parts.host import (
    HOST_PYTHON,
    Host,
    Modules,
    by_name,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.judges import call, expect
from ansible_collections.mlops.mlflow_aws.tests.parts.model import KEY, model
from ansible_collections.mlops.mlflow_aws.tests.parts.package_index import Index, serving

pytestmark = pytest.mark.timeout(600)

# In place of programs/server/mlflow_entry.py: what a user adds is checked as there.
ENTRY = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path(__file__).parent))
import mlflow
from mlflow_aws_server import errors, packages
if sys.argv[1] == "describe":
    print('{"version": "1.0", "head": "h", "revisions": ["h"]}')
if sys.argv[1] == "packages":
    try:
        packages.require(Path(sys.argv[2]))
    except errors.EntryError as error:
        errors.say(str(error))
        sys.exit(2)
"""


@dataclass(frozen=True)
class User:
    """Somebody with an index of their own, and small packages in place of MLflow's hundred."""

    modules: Modules
    index: Index
    locks: list[str]
    folder: Path

    def lock(self, *lines: str) -> str:
        """Write a requirements file; return its packages as the role's filter reads them."""
        path = self.folder / "mine.txt"
        path.write_text("".join(lines))
        return _requirements.read(str(path), self.locks)

    def options(self, additional: str = "") -> dict[str, Any]:
        """Return the options of mlflow_installation."""
        programs = server_program.installation_files()["programs"]
        assert isinstance(programs, dict)
        return {
            "state_dir": str(self.folder / "state"),
            "requirements": self.locks,
            "programs": programs | {"mlflow_entry.py": ENTRY},
            "python": HOST_PYTHON,
            **({"additional_requirements": additional} if additional else {}),
        }

    @property
    def environment(self) -> dict[str, str]:
        """Return how their pip reaches the index, and nothing of this machine's settings."""
        return {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": self.index.url}

    def install(self, additional: str = "", *, check: bool = False) -> dict[str, Any]:
        """Run mlflow_installation, which must succeed, and return its result."""
        options = self.options(additional)
        how: dict[str, Any] = {"check": check, **self.environment}
        return self.modules.call("mlflow_installation", options, **how)

    def refuse(self, additional: str) -> str:
        """Run mlflow_installation, which must fail, and return its sentence."""
        how: dict[str, Any] = self.environment
        return self.modules.refuse("mlflow_installation", self.options(additional), **how)


@pytest.fixture
def user(modules: Modules, tmp_path: Path) -> Iterator[User]:
    """Return a user whose locked set has two packages."""
    source = Path(packaging.__file__).parent
    files = {f"packaging/{path.name}": path.read_text() for path in source.glob("*.py")}
    with ExitStack() as stack:
        index = stack.enter_context(serving(tmp_path / "index"))
        # The locked set leaves out what MLflow's server does without.
        locks = [
            index.add("mlflow", "1.0", {"mlflow/__init__.py": ""}, ["nowhere>=1", "limited<3"]),
            index.add("packaging", packaging.__version__, files),
        ]
        yield User(modules, index, locks, tmp_path)


def test_packages_are_installed_beside_the_locked_set(user: User) -> None:
    """Foretold, told with their size, part of what makes the environment, and looked for later."""
    plain = user.install(check=True)["installation"]
    assert plain["additional_size"] == 0
    limited = user.index.add("limited", "2.1", {"limited.py": "ONE = 1\n"})
    tool = user.index.add("own_tool", "1.5", {"own_tool.py": "TWO = 2\n" * 500}, ["limited>=2"])
    additional = user.lock("# mine\r\n", user.locks[1], tool, limited)
    assert "packaging" not in additional
    foretold = user.install(additional, check=True)
    assert (foretold["changed"], foretold["installation"]["additional_size"]) == (True, 0)
    made = user.install(additional)
    record = made["installation"]
    assert (made["changed"], record["path"]) == (True, foretold["installation"]["path"])
    assert record["path"] != plain["path"]
    packages = next(Path(record["path"]).glob("venv/lib/*/site-packages"))
    assert (packages / "own_tool.py").exists()
    # With the bytecode, as nobody knows what a server will import of them.
    assert list(packages.glob("__pycache__/own_tool.*.pyc"))
    assert 4000 < record["additional_size"] < 20_000
    again = user.install(additional)
    assert (again["changed"], again["installation"]) == (False, record)
    # The check of a whole host finds it by digests alone.
    runtimes = Path(record["path"]).parent
    files = venv.files_digest(user.locks, user.options()["programs"])
    digest = installation.additional_digest(additional)
    found = installation.find(runtimes, files, HOST_PYTHON, digest)
    assert found is not None
    assert str(found.folder) == record["path"]
    assert installation.find(runtimes, files, HOST_PYTHON) is None
    # Another version is another environment; one that lost a package is made again.
    other = user.index.add("limited", "2.2", {"limited.py": "ONE = 1\n"})
    assert user.install(user.lock(other, tool), check=True)["changed"] is True
    shutil.rmtree(next(packages.glob("limited-*.dist-info")))
    assert user.install(additional, check=True)["changed"] is True


def test_packages_that_lack_what_they_require_are_refused(user: User) -> None:
    """Named with what they require, for an extra, too; the tests of single functions have the rest."""
    lonely = user.index.add("lonely", "1.0", {"lonely.py": ""}, ["absent>=1 ; extra == 'more'"])
    assert user.refuse(user.lock(lonely.replace("lonely==", "lonely[more]=="))) == (
        "MLflow could not be installed: lonely 1.0 requires absent>=1, which neither the file nor the "
        "locked set has; lock mlflow_image_requirements again, as the documentation on packages of your "
        "own shows."
    )


def test_a_file_that_is_not_the_one_of_the_lock_is_refused(user: User) -> None:
    """The hash decides, whatever the index offers."""
    user.index.add("swapped", "1.0", {"swapped.py": ""})
    sentence = user.refuse(user.lock(f"swapped==1.0 --hash=sha256:{'0' * 64}\n"))
    assert sentence.startswith("MLflow could not be installed (THESE PACKAGES DO NOT MATCH")


def test_nothing_is_built_from_its_source(user: User) -> None:
    """Tools of no lock would run for that, and the package's own program."""
    trace = user.folder / "ran"
    program = f"open({str(trace)!r}, 'w').close()\n".encode()
    place = user.index.folder / "simple" / "sourced" / "sourced-1.0.tar.gz"
    place.parent.mkdir()
    with tarfile.open(place, "w:gz") as archive:
        entry = tarfile.TarInfo("sourced-1.0/setup.py")
        entry.size = len(program)
        archive.addfile(entry, io.BytesIO(program))
    digest = hashlib.sha256(place.read_bytes()).hexdigest()
    sentence = user.refuse(user.lock(f"sourced==1.0 --hash=sha256:{digest}\n"))
    assert sentence.startswith("MLflow could not be installed (Could not find a version that")
    assert not trace.exists()


def test_the_example_fits_the_locked_set() -> None:
    """It adds LiteLLM and no package that the set has; remedy: scripts/lock."""
    locked = server_program.installation_files()["requirements"]
    assert isinstance(locked, list)
    found = _requirements.read(str(server_program.LITELLM), locked)
    assert "\nlitellm==" in found
    names = {pin.name for pin in _requirements.locked_pins(locked)}
    added = {pin.name for pin in _requirements.parse(found, "found")}
    # One that the set pins for Windows alone.
    assert not names & added - {"tzdata"}


def endpoint(url: str) -> None:
    """Let MLflow's gateway call a model of a provider that only LiteLLM knows."""
    root = "/api/3.0/mlflow/gateway"
    secret = {"secret_name": "own", "secret_value": {"api_key": KEY}, "provider": "hosted_vllm"}
    made = expect(url, "POST", f"{root}/secrets/create", secret)["secret"]
    definition = {"name": "m", "secret_id": made["secret_id"], "provider": "hosted_vllm"}
    definition |= {"model_name": "small"}
    model_id = expect(url, "POST", f"{root}/model-definitions/create", definition)
    linked = {"model_definition_id": model_id["model_definition"]["model_definition_id"]}
    linked |= {"linkage_type": "PRIMARY", "weight": 1.0}
    wanted = {"name": "chat", "model_configs": [linked], "usage_tracking": False}
    expect(url, "POST", f"{root}/endpoints/create", wanted)


@pytest.mark.thorough("It installs MLflow once more, with LiteLLM; small packages do every time.")
@pytest.mark.timeout(2400)
def test_the_gateway_calls_a_model_by_litellm(
    new_host: Callable[..., Host], runtime_files: dict[str, Any], short_folder: Path
) -> None:
    """With the example's file it does, and without it MLflow says what is missing."""
    host = new_host("demo")
    ask = {"messages": [{"role": "user", "content": "Hello"}]}
    with model() as asked:
        # MLflow keeps addresses of HTTPS only; and LiteLLM is to call nobody else.
        environment = {
            "HOSTED_VLLM_API_BASE": asked.environment["OPENAI_BASE_URL"],
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        server = host.server("demo", environment=environment)
        url = by_name(host.converge(server))["demo"]["url"]
        endpoint(url)
        status, answer = call(url, "POST", "/gateway/chat/mlflow/invocations", ask)
        assert status >= 400
        assert "The `litellm` package is required" in json.dumps(answer)
        assert asked.asked == 0
        added = _requirements.read(str(server_program.LITELLM), runtime_files["requirements"])
        options = {"state_dir": str(short_folder), **runtime_files, "timeout": 1800}
        process = host.modules.start(
            "mlflow_installation", options | {"additional_requirements": added}
        )
        result = host.modules.finish(process, seconds=1800)
        assert not result.get("failed"), result
        assert result["installation"]["additional_size"] > 50_000_000
        with_packages = dataclasses.replace(host, runtime=result["installation"])
        changed = by_name(with_packages.change(server))["demo"]
        assert changed["action"] == "restart"
        answer = expect(url, "POST", "/gateway/chat/mlflow/invocations", ask)
        assert "It says so." in answer["choices"][0]["message"]["content"]
        assert (asked.asked, asked.strangers) == (1, 0)
