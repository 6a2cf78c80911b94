# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each linter over a copy of the checkout; .pre-commit-config.yaml runs the same tests."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.mlops.mlflow_aws.tests.support import (
    Done,
    clean_environment,
    copy_collection,
    new_environment,
    run,
)
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOOLS = Path(sys.prefix) / "bin"
MINUTES = 60
MLFLOW = {"mlflow", "mlflow-skinny", "mlflow-tracing"}
# Where another release of MLflow than the one that we serve is meant: the one before it, older ones that tests
# make data with, what earlier releases of the collection served, and other packages.
OTHER_RELEASES = (
    "requirements/previous.in",
    "requirements/mlflow-",
    "docs/upgrading.md",
    "CHANGELOG.md",
    "changelogs/",
    "docker/sbom.cdx.json",
)


class Linter:
    """Runs one tool of the test environment in a copy of the collection."""

    def __init__(self, root: Path, home: Path) -> None:
        """Keep the copy, and the environment that makes the collection resolve to it."""
        self.root = root
        self.env = clean_environment(home, TOOLS)
        self.env["ANSIBLE_COLLECTIONS_PATH"] = str(root.parents[2])

    def __call__(
        self, tool: str, *arguments: str | Path, cwd: Path | None = None, check: bool = True
    ) -> Done:
        """Run the tool and return how it ended."""
        command = [TOOLS / tool, *arguments]
        return run(command, cwd=cwd or self.root, env=self.env, timeout=8 * MINUTES, check=check)


@pytest.fixture
def lint(collection_root: Path, tmp_path: Path) -> Linter:
    """Return a linter over the session's copy."""
    return Linter(collection_root, tmp_path)


def python_files(root: Path) -> list[Path]:
    """Return all Python files of the copy, relative to it."""
    return sorted(path.relative_to(root) for path in root.rglob("*.py"))


def shell_files(root: Path) -> list[Path]:
    """Return all shell scripts of the copy, relative to it: by suffix or by first line."""
    scripts = []
    for path in root.rglob("*"):
        if not path.is_file() or ".git" in path.relative_to(root).parts:
            continue
        with path.open("rb") as file:
            first = file.readline(80)
        if path.suffix == ".sh" or re.match(rb"#!.*\b(ba)?sh\b", first):
            scripts.append(path.relative_to(root))
    return sorted(scripts)


def test_ruff_check(lint: Linter) -> None:
    """Ruff finds nothing to object to in any Python file."""
    lint("ruff", "check", "--no-cache", "--output-format", "concise", *python_files(lint.root))


def test_ruff_format(lint: Linter) -> None:
    """Ruff would not format any Python file differently."""
    lint("ruff", "format", "--no-cache", "--check", *python_files(lint.root))


@pytest.mark.timeout(10 * MINUTES)
def test_mypy(lint: Linter) -> None:
    """Types hold, strictly; from the folder in which files have their importable names."""
    top = lint.root.parents[2]
    files = [lint.root.relative_to(top) / path for path in python_files(lint.root)]
    settings = lint.root / "pyproject.toml"
    lint("mypy", "--config-file", settings, "--cache-dir", top / ".mypy_cache", *files, cwd=top)


def test_yamllint(lint: Linter) -> None:
    """Yamllint finds neither errors nor warnings."""
    lint("yamllint", "--strict", ".")


@pytest.mark.timeout(10 * MINUTES)
def test_ansible_lint(lint: Linter) -> None:
    """Ansible-lint agrees at its production profile, with the options of modules checked."""
    lint("ansible-lint", "--offline", "--nocolor")


@pytest.mark.thorough("It proves a setting of ansible-lint, which seldom changes.")
@pytest.mark.timeout(5 * MINUTES)
def test_ansible_lint_sees_a_wrong_option(tmp_path: Path) -> None:
    """The rule that checks options is on, and knows our own modules: a typo is found."""
    root = copy_collection(tmp_path)
    play = root / "playbooks" / "typo.yml"
    play.write_text(
        "---\n- name: Look\n  hosts: localhost\n  tasks:\n    - name: Look at the servers\n"
        "      mlops.mlflow_aws.mlflow_server_info:\n        statee: stopped\n"
    )
    done = Linter(root, tmp_path)(
        "ansible-lint", "--offline", "--nocolor", "playbooks/typo.yml", check=False
    )
    assert done.code != 0
    assert "args[module]" in done.output
    assert "statee" in done.output


def test_shellcheck(lint: Linter) -> None:
    """Shellcheck finds nothing, in scripts without a suffix too."""
    scripts = shell_files(lint.root)
    assert Path("scripts/test") in scripts
    lint("shellcheck", "--external-sources", *scripts)


def test_workflows(lint: Linter, tmp_path: Path) -> None:
    """Zizmor finds no right too many and no action without a commit's hash; the scripts are as clean as others."""
    folder = lint.root / ".github" / "workflows"
    lint("zizmor", "--offline", "--no-progress", "--persona", "pedantic", folder)
    workflows = [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yml"))]
    jobs = [job for workflow in workflows for job in workflow["jobs"].values()]
    texts = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    scripts = [tmp_path / f"{number}.sh" for number in range(len(texts))]
    for script, text in zip(scripts, texts, strict=True):
        script.write_text(f"#!/usr/bin/bash -e\n{text}")
    assert len(scripts) > 2
    lint("shellcheck", *scripts)


@pytest.mark.timeout(5 * MINUTES)
def test_antsibull_docs(lint: Linter) -> None:
    """The documentation of modules, filters and roles is valid, references included."""
    lint(
        "antsibull-docs",
        "lint-collection-docs",
        "--plugin-docs",
        "--validate-collection-refs=self",
        ".",
    )


def test_antsibull_changelog(lint: Linter, tmp_path: Path) -> None:
    """The changelog is valid, and is what its sources and our modules make it.

    Remedy where it is not: antsibull-changelog generate --reload-plugins
    """
    root = copy_collection(tmp_path)
    lint("antsibull-changelog", "lint", cwd=root)
    lint.env["ANSIBLE_COLLECTIONS_PATH"] = str(tmp_path)
    lint("antsibull-changelog", "generate", "--reload-plugins", cwd=root)
    for name in ("CHANGELOG.md", "changelogs/changelog.yaml"):
        assert (root / name).read_text() == (lint.root / name).read_text(), name


def test_pre_commit(lint: Linter) -> None:
    """The configuration for pre-commit is valid, and each of its hooks is a test of this file."""
    lint("pre-commit", "validate-config", ".pre-commit-config.yaml")
    text = (lint.root / ".pre-commit-config.yaml").read_text()
    hooks = set(re.findall(r"-k (test_\w+)", text))
    assert hooks
    assert hooks <= set(globals())


def test_every_test_has_a_stage(lint: Linter) -> None:
    """No test file lies where scripts/test does not look."""
    found = re.findall(r'STAGES="([a-z0-9 ]+)"', (lint.root / "scripts" / "test").read_text())
    stages = {stage for names in found for stage in names.split()}
    assert {"unit", "aws"} <= stages
    files = [path.relative_to(lint.root / "tests") for path in lint.root.rglob("test_*.py")]
    assert files
    for file in files:
        stage = file.stem.removeprefix("test_") if file.parts[0] == "gate" else file.parts[0]
        assert stage in stages, f"tests/{file} belongs to no stage."


@pytest.mark.mlflow
def test_locks_pin_what_their_lists_name(lint: Linter) -> None:
    """Every requirement of a list is in its lock, at a version that the list allows, with hashes."""
    lists = lists_of(lint.root)
    assert lint.root / "programs/server/process.in" in lists
    for path in lists:
        lock = path.with_suffix(".txt")
        found = [Requirement(pin) for pin in pins(lock)]
        for wanted in requirements(path):
            fitting = [
                one
                for one in found
                if canonicalize_name(one.name) == canonicalize_name(wanted.name)
            ]
            assert fitting, f"{lock} lacks {wanted}: run scripts/lock."
            for one in fitting:
                (version,) = one.specifier
                assert wanted.specifier.contains(version.version, prereleases=True), (
                    f"{lock}: {one}"
                )
        text = lock.read_text()
        assert "scripts/lock\n" in text, f"{lock} was not made by scripts/lock."
        assert "://" not in text, f"{lock} names a place to download from."
        assert text.count(" --hash=") >= len(found), f"{lock} lacks hashes."


@pytest.mark.mlflow
def test_mlflow_has_one_version(lint: Linter) -> None:
    """What names a release of MLflow names the one that docker/requirements.in pins, or has its reason.

    Remedy: scripts/lock --mlflow VERSION, and in a new place a line that needs no version.
    """
    (pin,) = requirements(lint.root / "docker/requirements.in")[:1]
    (served,) = (one.version for one in pin.specifier)
    described = json.loads((lint.root / "docker/mlflow.json").read_text())
    assert described["version"] == served
    locks = {path.with_suffix(".txt") for path in lists_of(lint.root)}
    pinned = {
        lock.relative_to(lint.root).as_posix(): {
            str(one.specifier) for one in map(Requirement, pins(lock)) if one.name in MLFLOW
        }
        for lock in locks
    }
    assert pinned["docker/requirements.txt"] == {f"=={served}"}
    others = ("requirements/previous.txt", "requirements/mlflow-")
    pinned = {lock: found for lock, found in pinned.items() if not lock.startswith(others)}
    assert {lock: found for lock, found in pinned.items() if found - {f"=={served}"}} == {}
    major, minor, _patch = served.split(".")
    # Other packages have such a version rather by one digit.
    release = re.compile(rf"(?<![\w.]){major}\.\d{{{len(minor)},}}\.\d+(?!\w|\.\d)")
    elsewhere = []
    for path in sorted(set(lint.root.rglob("*")) - locks):
        name = path.relative_to(lint.root).as_posix()
        if not path.is_file() or name.startswith((".git/", *OTHER_RELEASES)):
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            # Pythons have such versions, too.
            foreign = "Measured with MLflow" in line or ("ython" in line and "lflow" not in line)
            if not foreign and set(release.findall(line)) - {served}:
                elsewhere.append(f"{name}:{number}: {line.strip()}")
    assert not elsewhere, "\n".join([f"Not MLflow {served}:", *elsewhere])


def lists_of(root: Path) -> list[Path]:
    """Return the lists of which scripts/lock makes locks."""
    return sorted(
        path for folder in ("*", "programs/*", "examples/*") for path in root.glob(f"{folder}/*.in")
    )


def requirements(path: Path) -> list[Requirement]:
    """Return what a list asks for, with what it includes."""
    found = []
    for line in path.read_text().splitlines():
        words = line.partition("#")[0].strip()
        if words.startswith("-r "):
            found += requirements(path.parent / words.removeprefix("-r ").strip())
        elif words and not words.startswith("-"):
            found.append(Requirement(words))
    return found


@pytest.mark.thorough("It asks the index for every package; the test above reads lists and locks.")
@pytest.mark.timeout(10 * MINUTES)
def test_locks(lint: Linter, tmp_path: Path) -> None:
    """Every lock is what scripts/lock makes of its list."""
    new_environment("lock")
    root = copy_collection(tmp_path)
    run(["bash", "scripts/lock"], cwd=root, env=lint.env, timeout=8 * MINUTES)
    for lock in (path.with_suffix(".txt").relative_to(root) for path in lists_of(root)):
        assert pins(root / lock) == pins(lint.root / lock), f"{lock} is stale: run scripts/lock."
    shutil.rmtree(root)


def pins(lock: Path) -> list[str]:
    """Return a lock's packages with version and marker.

    Not its hashes: a project may add a file to a release at any time.
    """
    return re.findall(r"^[A-Za-z0-9][^\\\n]*==[^\\\n]*", lock.read_text(), re.MULTILINE)
