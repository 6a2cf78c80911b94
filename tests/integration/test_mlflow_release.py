# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scripts/lock --mlflow asks a real index, by the real uv, and refuses what cannot be had before it writes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.scripts import _mlflow_release as release
from ansible_collections.mlops.mlflow_aws.tests.parts.package_index import serving
from ansible_collections.mlops.mlflow_aws.tests.support import (
    clean_environment,
    copy_collection,
    run,
)

pytestmark = pytest.mark.timeout(600)

SKINNY, TRACING = release.PARTS[1:]


@pytest.fixture(scope="module")
def uv(environment: Callable[..., Path]) -> Path:
    """Return uv, as scripts/lock has it."""
    return environment("lock") / "uv"


@pytest.fixture(scope="module")
def index_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return an index with three releases: two whole ones, and one that lacks a part."""
    with ExitStack() as stack:
        index = stack.enter_context(serving(tmp_path_factory.mktemp("index")))
        for version in ("90.9.0", "90.10.0", "91.0.0"):
            parts = [f"{part}=={version}" for part in (SKINNY, TRACING)]
            index.add("mlflow", version, {}, requires=parts)
            index.add("mlflow_tracing", version, {})
            if version != "91.0.0":
                index.add("mlflow_skinny", version, {})
        yield index.url


@pytest.fixture
def index(
    uv: Path, index_url: str, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> release.Index:
    """Return what asks that index and no other, and keeps nothing."""
    for name in [name for name in os.environ if name.startswith("UV_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_DEFAULT_INDEX", index_url)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return release.Index(str(uv), checkout)


def test_the_newest_release_is_a_whole_one(
    index: release.Index, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that lacks a part is named, and not taken."""
    assert release.choose("newest", "90.9.0", index) == "90.10.0"
    assert capsys.readouterr().out == f"MLflow 91.0.0 is in the index without {SKINNY} 91.0.0.\n"
    assert index.newest(below="90.10.0") == "90.9.0"
    assert index.newest(below="90.9.0") is None


@pytest.mark.parametrize("present", ["90.10.0", "92.0.0"])
def test_nothing_newer_is_nothing_to_do(
    index: release.Index, present: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so; it never goes down."""
    assert release.choose("newest", present, index) is None
    told = f"MLflow {present} is the newest release that the index has whole; nothing to do."
    assert capsys.readouterr().out.splitlines()[-1] == told


def test_a_release_that_is_named_is_taken(index: release.Index) -> None:
    """Older or newer."""
    assert release.choose("90.9.0", "90.10.0", index) == "90.9.0"


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (
            "91.0.0",
            f"The package index has MLflow 91.0.0 without {SKINNY} 91.0.0, which it requires",
        ),
        ("90.11.0", "The package index has no MLflow 90.11.0; nothing was changed."),
        ("90.9.0", "The package index has no release before MLflow 90.9.0; nothing was changed."),
        (
            "90",
            "'90' is not the version of an MLflow release; give three numbers with dots, or newest",
        ),
    ],
)
def test_what_cannot_be_had_is_refused(
    wanted: str, sentence: str, uv: Path, index_url: str, tmp_path: Path
) -> None:
    """In one sentence, and no file is touched."""
    root = copy_collection(tmp_path)
    git = ["git", "-c", "core.fileMode=true"]
    subprocess.run([*git, "add", "--all"], cwd=root, check=True, capture_output=True)
    env = clean_environment(tmp_path) | {"UV_DEFAULT_INDEX": index_url, "MLFLOW_AWS_UV": str(uv)}
    command = ["bash", "scripts/lock", "--mlflow", wanted]
    done = run(command, cwd=root, env=env, timeout=300, check=False)
    assert done.code == 1
    assert done.output.startswith(sentence)
    assert len(done.output.splitlines()) == 1
    told = subprocess.run(
        [*git, "status", "--porcelain"], cwd=root, capture_output=True, check=True
    )
    assert not [line for line in told.stdout.decode().splitlines() if not line.startswith("A ")]


def test_an_index_that_does_not_answer_is_named(uv: Path, checkout: Path, tmp_path: Path) -> None:
    """It is not taken for one that lacks a release."""
    env = clean_environment(tmp_path) | {"MLFLOW_AWS_UV": str(uv), "UV_HTTP_RETRIES": "0"}
    env |= {
        "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
        "UV_CACHE_DIR": str(tmp_path / "cache"),
    }
    command = ["bash", "scripts/lock", "--mlflow", "newest"]
    done = run(command, cwd=checkout, env=env, timeout=300, check=False)
    assert done.code == 1
    assert done.output.startswith("The package index cannot be asked for mlflow: error:")


@pytest.mark.parametrize("arguments", [[], [""], ["newest", "--upgrade"]])
def test_one_version_is_wanted(arguments: list[str], checkout: Path, tmp_path: Path) -> None:
    """Before anything is installed."""
    command = ["bash", "scripts/lock", "--mlflow", *arguments]
    done = run(command, cwd=checkout, env=clean_environment(tmp_path), timeout=60, check=False)
    assert done.code == 2
    assert done.output == (
        "scripts/lock --mlflow takes one version, or newest, and no other option.\n"
    )
