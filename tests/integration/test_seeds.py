# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Projects of older releases of MLflow hold what tests of upgrades, restores and imports rely on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests import left_out
from ansible_collections.mlops.mlflow_aws.tests.parts import bulk, seeds

# The first test may have to install a release.
pytestmark = pytest.mark.timeout(600)

WHY = "An old release runs every time."
NAMES = left_out.params(
    [seeds.OLDER[0]], [*seeds.OLDER[1:], seeds.NEWEST], WHY
)  # fmt: skip
# Rows that every release makes.
COMMON = {
    "alembic_version": 1,
    "datasets": 2,
    "experiment_tags": 4,
    "experiments": 5,
    "input_tags": 3,
    "inputs": 3,
    "latest_metrics": 10,
    "metrics": 2_513,
    "model_version_tags": 10,
    "model_versions": 7,
    "params": 63,
    "registered_model_aliases": 3,
    "registered_model_tags": 4,
    "registered_models": 5,
    "runs": 15,
    "tags": 25,
    "trace_info": 4,
}
LOGGED_MODELS = {
    "datasets": 3,
    "inputs": 5,
    "latest_metrics": 11,
    "logged_model_metrics": 3,
    "logged_model_params": 30,
    "logged_model_tags": 3,
    "logged_models": 4,
    "metrics": 2_516,
    "model_versions": 8,
    "registered_models": 6,
    "runs": 16,
    "tags": 26,
}
YOUNG = {
    "assessments": 5,
    "entity_associations": 3,
    "evaluation_dataset_records": 5,
    "evaluation_dataset_tags": 2,
    "evaluation_datasets": 1,
    "model_version_tags": 18,
    "model_versions": 9,
    "registered_model_tags": 9,
    "registered_models": 7,
    "runs": 17,
    "spans": 27,
    "tags": 28,
    "workspaces": 1,
}
ROWS = {
    "mlflow-2.22": COMMON,
    "mlflow-3.0": COMMON | LOGGED_MODELS,
    "mlflow-3.16": COMMON | LOGGED_MODELS | YOUNG,
    seeds.NEWEST: COMMON | LOGGED_MODELS | YOUNG,
}
# Releases say different things about where a trace comes from.
VARYING = {"trace_request_metadata", "trace_tags"}
# Beside the artifacts of runs, models and, before they moved into tables, four traces.
FILES = {"mlflow-2.22": 17, "mlflow-3.0": 20, "mlflow-3.16": 17, seeds.NEWEST: 17}
KINDS = {"mlflow-2.22": 9, "mlflow-3.0": 10, "mlflow-3.16": 14, seeds.NEWEST: 14}
KINDS_IN_FILES = {"mlflow-2.22": 9, "mlflow-3.0": 10, "mlflow-3.16": 12, seeds.NEWEST: 12}


@dataclass(frozen=True)
class Seed:
    """A project that a release has made, the kinds of content it has, and what its server said, twice."""

    project: seeds.Project
    made: list[str]
    told: list[dict[str, Any]]


@pytest.fixture(scope="module")
def releases(
    environment: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], seeds.Release]:
    """Return a function that gives a release by name, which is installed where it is missing."""
    home = tmp_path_factory.mktemp("home")

    def release(name: str) -> seeds.Release:
        return seeds.Release(environment(*seeds.ENVIRONMENTS[name]) / "python", home)

    return release


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of one release after the other."""
    return str(request.param)


@pytest.fixture(scope="module")
def seed(
    name: str,
    releases: Callable[[str], seeds.Release],
    free_ports: Callable[[int], list[int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Seed:
    """Return the project that a release has made, told by its own server to the newest client."""
    project = seeds.in_folder(tmp_path_factory.mktemp("seed"))
    with seeds.serving(releases(name), project, free_ports(1)[0]) as url:
        made = seeds.make(releases(name), url)
        told = [seeds.tell(releases(seeds.NEWEST), url) for _time in range(2)]
    return Seed(project, made, told)


def test_a_seed_holds_what_it_says(name: str, seed: Seed) -> None:
    """Every row and every file, counted where they are."""
    assert len(seed.made) == KINDS[name]
    counted = seeds.counts(seed.project)
    assert {table: rows for table, rows in counted.items() if table not in VARYING} == ROWS[name]
    assert counted.keys() >= VARYING
    files = [path for path in seed.project.artifacts.rglob("*") if path.is_file()]
    assert len(files) == FILES[name]
    assert max(path.stat().st_size for path in files) == 6 * 1024 * 1024
    assert min(path.stat().st_size for path in files) == 0
    with closing(sqlite3.connect(seed.project.database)) as connection:
        places = "SELECT artifact_location FROM experiments UNION SELECT artifact_uri FROM runs"
        found = [place for (place,) in connection.execute(places)]
        assert all(place.startswith("mlflow-artifacts:/") for place in found)
        odd = "SELECT COUNT(*) FROM metrics WHERE is_nan OR value > 1.7e308 OR value < -1.7e308"
        # Two that are no number, two infinite ones, and of a logged model's another one.
        assert connection.execute(odd).fetchone() == (5 if "logged_models" in counted else 4,)
        keys = connection.execute("SELECT DISTINCT key FROM metrics WHERE lower(key) = 'acc'")
        assert sorted(keys) == [("ACC",), ("acc",)]


def test_it_is_told_alike_twice(name: str, seed: Seed) -> None:
    """The newest client reads all of it from the old server, and reading changes nothing."""
    first, second = seed.told
    assert seeds.differences(first, second) == []
    assert_whole(first, ROWS[name])


@pytest.mark.thorough("Migrations are MLflow's own; what they begin with is looked at every time.")
def test_it_is_told_alike_after_an_upgrade(
    seed: Seed,
    releases: Callable[[str], seeds.Release],
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
) -> None:
    """A server of the newest release has all that the old one had, behind a migration."""
    newest = releases(seeds.NEWEST)
    copy = seed.project.copy(tmp_path / "copy")
    seeds.upgrade(newest, copy)
    with seeds.serving(newest, copy, free_ports(1)[0]) as url:
        assert seeds.differences(seed.told[0], seeds.tell(newest, url)) == []


def assert_whole(told: dict[str, Any], rows: dict[str, int]) -> None:
    """Fail unless a document has what the database has."""
    runs, traces = told["runs"], told["traces"]
    assert len(told["experiments"]) == rows["experiments"]
    assert len(runs) == rows["runs"]
    assert sum(len(run["params"]) for run in runs) == rows["params"]
    histories = [len(points) for run in runs for points in run["histories"].values()]
    assert sum(histories) == rows["metrics"]
    assert sum(len(run["inputs"]) + len(run["model_outputs"]) for run in runs) == rows["inputs"]
    assert sum(len(trace["spans"]) for trace in traces) == 27
    assert sum(len(trace["assessments"]) for trace in traces) == rows.get("assessments", 0)
    # One logged model, and one version of another one, are deleted.
    assert len(told["logged_models"]) == max(rows.get("logged_models", 0) - 1, 0)
    models = [*told["models"], *told["prompts"]]
    assert sum(len(model["versions"]) for model in models) == rows["model_versions"] - 1
    assert len(told["evaluation_datasets"]) == rows.get("evaluation_datasets", 0)
    files = [file for run in runs for file in run["artifacts"].values()]
    assert all(listed == size for listed, size, _hash in files)
    assert len(files) >= 13


@pytest.mark.parametrize("kind", ["metrics", "artifacts"])
def test_a_difference_is_found(kind: str) -> None:
    """In a number that is none, and in a file's content."""
    one = {"runs": [{"metrics": {"a": "nan"}, "artifacts": {"x": [1, 1, "hash"]}}]}
    other = {"runs": [{"metrics": {"a": "nan"}, "artifacts": {"x": [1, 1, "hash"]}}]}
    assert seeds.differences(one, other) == []
    del other["runs"][0][kind]
    (line,) = seeds.differences(one, other)
    assert line.startswith(f"/runs/0/{kind}: ")


def test_a_folder_of_files_holds_the_same(
    name: str, releases: Callable[[str], seeds.Release], tmp_path: Path
) -> None:
    """But for what files do not keep: evaluation datasets, and links from traces to runs."""
    made = seeds.make_files(releases(name), tmp_path)
    assert len(made) == KINDS_IN_FILES[name]
    folder = tmp_path / "mlruns"
    rows = ROWS[name]
    # Logged models look like runs, in a folder of their own.
    runs = [
        path.parent
        for path in folder.rglob("meta.yaml")
        if (path.parent / "params").is_dir() and path.parents[1].name != "models"
    ]
    # Without the one that would be linked to traces.
    assert len(runs) == min(rows["runs"], 16)
    points = [
        line
        for run in runs
        for path in (run / "metrics").rglob("*")
        if path.is_file()
        for line in path.read_text().splitlines()
    ]
    assert len(points) == rows["metrics"]
    assert len(list(folder.rglob("traces.json"))) == rows["trace_info"]
    assert (folder / ".trash").is_dir()
    assert {path.name for path in (folder / "models").iterdir()} >= {"Wein 🍇", "greeting"}


SMALL = bulk.Size(runs=12, points=601, spans=45, objects=20)


def test_a_large_project_has_the_rows_that_were_asked_for(
    seed: Seed, name: str, tmp_path: Path
) -> None:
    """Beside those that there are; spans are refused where a revision has no table for them."""
    copy = seed.project.copy(tmp_path / "copy")
    before = seeds.counts(copy)
    if "spans" not in ROWS[name]:
        with pytest.raises(ValueError, match="keeps spans as artifacts"):
            bulk.bulk(copy, SMALL)
        assert seeds.counts(copy) == before
    size = SMALL if "spans" in ROWS[name] else replace(SMALL, spans=0)
    bulk.bulk(copy, size)
    added = {table: count - before.get(table, 0) for table, count in seeds.counts(copy).items()}
    assert (added["runs"], added["metrics"], added["latest_metrics"]) == (12, 601, 120)
    assert (added.get("spans", 0), added["trace_info"]) == (size.spans, size.traces)
    assert len(list(copy.artifacts.glob("1000/*/artifacts/**/*.bin"))) == 20


@pytest.mark.thorough("Its rows are counted every time.")
@pytest.mark.parametrize("release", [seeds.OLDER[2], seeds.NEWEST])
def test_a_large_project_is_one_for_mlflow(
    release: str,
    releases: Callable[[str], seeds.Release],
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
) -> None:
    """A server reads all of it."""
    project = seeds.in_folder(tmp_path)
    seeds.upgrade(releases(release), project)
    bulk.bulk(project, SMALL)
    with seeds.serving(releases(release), project, free_ports(1)[0]) as url:
        told = seeds.tell(releases(seeds.NEWEST), url)
    assert len(told["runs"]) == 12
    assert sum(len(one) for run in told["runs"] for one in run["histories"].values()) == 601
    for run in told["runs"]:
        newest = {key: max(each, key=itemgetter(2))[0] for key, each in run["histories"].items()}
        assert run["metrics"] == newest
    assert sum(len(trace["spans"]) for trace in told["traces"]) == 45
    assert sum(len(run["artifacts"]) for run in told["runs"]) == 20
