# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What scripts/lock --mlflow writes into which file, and what it makes of the guards' report."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.scripts import _mlflow_release as release
from ansible_collections.mlops.mlflow_aws.tests.support import CHECKOUT

RELEASED = ("examples", "full", "previous", "mlflow-2.22", "mlflow-3.0", "mlflow-3.16")
SCHEMA = {"head": "b", "revisions": ["b", "a"], "tables": {"b": 65, "a": 40}}
NEWER = {"version": "9.9.9", "head": "c", "revisions": ["c", "b", "a"], "tables": {"c": 66}}
JUNIT = """<testsuites><testsuite>
<testcase classname="tests.integration.test_jobs" name="test_a" />
<testcase classname="tests.integration.test_jobs" name="test_b[1]">
  <failure message="AssertionError: MLflow 9.9.9 lacks x&#10;assert 1 == 2">long</failure></testcase>
<testcase classname="tests.gate.test_lint" name="test_c"><error>no message
more</error></testcase>
<testcase classname="tests.integration.test_jobs" name="test_d">
  <failure message="AssertionError: MLflow 9.9.9 lacks x" /><error message="at its end" /></testcase>
<testcase classname="tests.integration.test_jobs" name="test_e"><skipped message="LONG" /></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a copy of the files that follow from the version."""
    paths = [path.relative_to(CHECKOUT) for path in CHECKOUT.glob("*/*.in")]
    paths += [path.relative_to(CHECKOUT) for path in CHECKOUT.glob("programs/*/*.in")]
    paths += [path.with_suffix(".txt") for path in paths]
    paths += [release.DOCKERFILE, release.KNOWN, release.BILL, *release.PAGES]
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CHECKOUT / path, tmp_path / path)
    return tmp_path


@pytest.mark.parametrize("text", ["1.20.3", "10.0.0", "1.100.12"])
def test_versions(text: str) -> None:
    """A release has three numbers."""
    assert release.require_version(text) == text


@pytest.mark.parametrize(
    "text", ["", "1", "1.20", "v1.20.3", "1.20.3rc1", "1.20.3\n", "../x", "-h", "==1.0.0", "latest"]
)
def test_what_is_not_a_version_is_refused(text: str) -> None:
    """In one sentence that says what is wanted."""
    with pytest.raises(release.Problem, match=r"is not the version of an MLflow release; give thr"):
        release.require_version(text)


def test_versions_are_ordered_by_their_numbers() -> None:
    """Not as texts."""
    assert release.key("1.9.0") < release.key("1.10.0") < release.key("10.0.0")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("pip install mlflow-skinny==1.20.3\n", "pip install mlflow-skinny==9.9.9\n"),
        ("demo  ok  1.20.3  2af2\n", "demo  ok  9.9.9  2af2\n"),
        ("MLflow 1.20.3.", "MLflow 9.9.9."),
        ("11.20.3 1.20.31 1.20.3.1 1.20.3b1 v1.20.3 2.1.20.3", None),
        ("1.20.2 and 1.20.3", "9.9.9 and 9.9.9"),
    ],
)
def test_a_version_in_a_page(text: str, wanted: str | None) -> None:
    """The version alone is replaced, wherever it stands, and not what looks like a part of it."""
    assert release.with_version(text, {"1.20.3", "1.20.2"}, "9.9.9") == (wanted or text)


@pytest.mark.parametrize("text", ["", "mlflow>=3\n", "mlflow==1.0.0\nmlflow==1.0.1\n", "boto3\n"])
def test_a_list_without_its_pin_is_refused(text: str) -> None:
    """It names the list."""
    with pytest.raises(
        release.Problem, match=r"docker/requirements.in has no single line mlflow=="
    ):
        release.pin_of(text, release.HOME)


def test_a_dockerfile_without_its_argument_is_refused() -> None:
    """It names the argument."""
    with pytest.raises(release.Problem, match="docker/Dockerfile has no single line ARG HEAD="):
        release.with_arguments("ARG VERSION=1\n", {"VERSION": "2", "HEAD": "a"})


def test_locks_with_mlflow() -> None:
    """Whole or in part, and not what only has a similar name."""
    names = {
        path.with_suffix("").relative_to(CHECKOUT).as_posix()
        for path in CHECKOUT.glob("*/*.in")
        if release.has_mlflow(path.with_suffix(".txt").read_text())
    }
    assert names == {"docker/requirements", *(f"requirements/{n}" for n in RELEASED)}
    assert not release.has_mlflow("mlflow-other==1.20.3\n    # via mlflow\n")


def test_package_changes() -> None:
    """MLflow's own packages are what it is about; the others are for a human to look at."""
    before = "mlflow==1.20.2\nnumpy==1.0 ; python_version < '3.12' \\\nold==1\nsame==1 \\\n"
    after = "mlflow==1.20.3\nnumpy==2.0 ; python_version < '3.12' \\\nnew-one==1.5\nsame==1 \\\n"
    told = ["new-one new -> 1.5", "numpy 1.0 -> 2.0", "old 1 -> gone"]
    assert release.package_changes(before, after) == told


def test_schema_changes() -> None:
    """Down and up."""
    assert release.schema_changes(SCHEMA, SCHEMA) == "head b, as before"
    told = "head b -> c, +1 revisions, 65 -> 66 tables"
    assert release.schema_changes(SCHEMA, NEWER) == told
    told = "head c -> b, -1 revisions, 66 -> 65 tables"
    assert release.schema_changes(NEWER, SCHEMA) == told


def test_verdict() -> None:
    """A line for each reason why guards did not pass, with one of them; one that was skipped did not."""
    found = release.verdict(JUNIT.replace("LONG", "x" * 1000))
    assert (found.passed, found.failed) == (1, 4)
    assert found.reasons == [
        "tests/integration/test_jobs.py::test_b[1] and 1 more: MLflow 9.9.9 lacks x",
        "tests/gate/test_lint.py::test_c: no message",
        f"tests/integration/test_jobs.py::test_e: {'x' * 300} [...]",
    ]


def test_an_interrupted_run_is_finished_by_another(root: Path) -> None:
    """Whatever release that goes to: the files name it, and neither the first one nor the interrupted one."""
    began = release.Repository(root, "uv")
    served = began.known["version"]
    began.pin("9.9.8", "9.9.7")
    page = root / "README.md"
    first = page.read_text()
    # Of the pages the first alone was written.
    page.write_text(release.with_version(first, {served}, "9.9.8"))
    assert page.read_text() != first
    again = release.Repository(root, "uv")
    assert again.known["version"] == served
    again.pin("9.9.9", "9.9.8")
    again.describe(NEWER)
    for path in (*release.PAGES, release.HOME, release.DOCKERFILE, release.KNOWN):
        text = (root / path).read_text()
        assert "9.9.9" in text, path
        assert "9.9.8" not in text, path
        assert served not in text, path
    assert "\nmlflow==9.9.8\n" in (root / release.PREVIOUS).read_text()
    assert "\nARG HEAD=c\n" in (root / release.DOCKERFILE).read_text()
    # And back, without a trace.
    last = release.Repository(root, "uv")
    last.pin(served, release.pin_of((CHECKOUT / release.PREVIOUS).read_text(), release.PREVIOUS))
    last.describe(began.known)
    for path in (*release.PAGES, release.HOME, release.PREVIOUS, release.DOCKERFILE, release.KNOWN):
        assert (root / path).read_text() == (CHECKOUT / path).read_text(), path


def test_changes_name_the_files(root: Path) -> None:
    """Of all that may change those that did."""
    repository = release.Repository(root, "uv")
    found = repository.known | {"version": "9.9.9"}
    repository.pin("9.9.9", "9.9.8")
    repository.describe(found)
    schema, packages, files = repository.changes(found)
    assert schema == f"Schema: head {found['head']}, as before."
    assert packages == "The server's other packages: as before."
    names = "docker/requirements.in, requirements/previous.in, README.md, docs/hosts.md"
    assert files == f"Changed files: {names}, docker/Dockerfile, docker/mlflow.json."
