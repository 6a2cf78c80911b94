# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb `import` of the server's program as a process, the projects that it writes to, and what servers report."""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

from ansible_collections.mlops.mlflow_aws.tests.parts import seeds
from ansible_collections.mlops.mlflow_aws.tests.parts.tracking_gate import gate
from ansible_collections.mlops.mlflow_aws.tests.support import clean_environment

# Experiments of a project that have the IDs of the source's.
BUSY = ("mine", "also mine", "third")
# The metric of the seeds that does.
_WITH_DATASET = "f1"
_SECONDS = 300
# What a server does when it starts on an empty database.
_MAKE = (
    "import sys\n"
    "from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore\n"
    "store = SqlAlchemyStore(sys.argv[1], 'mlflow-artifacts:/')\n"
    "for name in sys.argv[2:]:\n"
    "    store.create_experiment(name)\n"
)


@dataclass
class Importer:
    """Runs the program, and keeps what it wrote to its log."""

    release: seeds.Release
    entry: Path
    folder: Path
    logs: list[str] = field(default_factory=list)

    def project(self, *experiments: str) -> seeds.Project:
        """Make a project that has these experiments and no runs."""
        folder = self.folder / f"p-{uuid.uuid4().hex[:8]}"
        (folder / "artifacts").mkdir(parents=True)
        template = self.folder / f"{len(experiments)}-{'-'.join(experiments)}.db"
        if not template.exists():
            self.release.run("-c", _MAKE, f"sqlite:///{template}", *experiments)
        project = seeds.in_folder(folder)
        shutil.copy(template, project.database)
        return project

    def bring(
        self, project: seeds.Project | Mapping[str, Any], source: str | Path, **more: Any
    ) -> dict[str, Any]:
        """Import into a project; return its record."""
        return self.finish(self.begin(project, source, **more))

    def refuse(self, project: seeds.Project, source: str | Path, **more: Any) -> str:
        """Import what must be refused, with the project untouched; return the sentence."""
        before = content(project)
        reason = str(self.bring(project, source, **more)["error"])
        assert reason
        assert content(project) == before
        return reason

    def begin(
        self, project: seeds.Project | Mapping[str, Any], source: str | Path, **more: Any
    ) -> subprocess.Popen[str]:
        """Start an import."""
        return self.start("import", project, {"from": str(source), **more})

    def sums(self, project: seeds.Project | Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Return the state of a project with its checksums."""
        process = self.start("info", project, {"sums": True, "objects": True, **more})
        return self.finish(process)

    def start(
        self, verb: str, project: seeds.Project | Mapping[str, Any], request: Mapping[str, Any]
    ) -> subprocess.Popen[str]:
        """Start a verb with one project."""
        folder = self.folder / f"request-{uuid.uuid4().hex}"
        folder.mkdir(0o700)
        whole = {"projects": [options(project)], **request}
        path = folder / "request.json"
        path.write_text(json.dumps(whole))
        own = clean_environment(self.release.home) | {"TMPDIR": str(folder), "LC_ALL": "C.UTF-8"}
        return subprocess.Popen(
            [self.release.python, "-I", self.entry, verb, path],
            env=own | {"AWS_EC2_METADATA_DISABLED": "true", "XDG_RUNTIME_DIR": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """Return the record of what was started."""
        output, errors = process.communicate(timeout=_SECONDS)
        self.logs += [output, errors]
        assert process.returncode == 0, errors
        assert "Traceback" not in errors, errors
        record: dict[str, Any] = json.loads(output)
        return record


def options(project: seeds.Project | Mapping[str, Any]) -> dict[str, Any]:
    """Return a project as the program takes it."""
    if isinstance(project, seeds.Project):
        # A fourth slash begins the path.
        uri = f"sqlite:///{project.database}"
        return {
            "name": "team",
            "backend_store_uri": uri,
            "artifacts_destination": str(project.artifacts),
        }
    return dict(project)


def content(project: seeds.Project) -> dict[str, bytes]:
    """Return every file of a project, without what locks it."""
    folder = project.database.parent
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


class _FilesAllowed(seeds.Release):
    """A release whose server serves a folder of files."""

    def environment(self, **more: str) -> dict[str, str]:
        """Return what its processes see."""
        return super().environment(MLFLOW_ALLOW_FILE_STORE="true", **more)


def tell_folder(release: seeds.Release, folder: Path, port: int) -> dict[str, Any]:
    """Return what a server of a folder `mlruns` tells, as comparable() does."""
    files = _FilesAllowed(release.python, release.home)
    source = seeds.Project(str(folder), folder.parent / "none")
    with seeds.serving(files, source, port) as url, gate(url) as door:
        # Which a server of files fails to answer.
        door.before = lambda path: (200, b"{}") if path.endswith("/datasets/search") else None
        return as_files_tell(comparable(seeds.tell(release, door.url)))


def as_files_tell(told: dict[str, Any]) -> dict[str, Any]:
    """Return what was told as a server of files tells it.

    Such a server forgets the steps of a metric that names a dataset, and of a logged model's metrics it has the latest
    points alone.
    """
    for run in told["runs"]:
        for point in run["histories"].get(_WITH_DATASET, []):
            point[2] = 0
    for model in told["logged_models"]:
        points = sorted(model["metrics"] or [], key=itemgetter("timestamp"))
        model["metrics"] = list({point["key"]: point for point in points}.values())
    return told


def comparable(told: dict[str, Any], but: Sequence[str] = ()) -> dict[str, Any]:
    """Return what a server told, with experiments by name and without what an import gives anew.

    but: names of experiments that are left out.
    """
    names = {one["experiment_id"]: one["name"] for one in told["experiments"]}
    experiments = [
        {key: value for key, value in one.items() if key not in _EXPERIMENT}
        for one in told["experiments"]
        # Every project has made its own.
        if one["name"] not in ("Default", *but)
    ]
    rest = {key: _named(value, names) for key, value in told.items() if key != "experiments"}
    rest["runs"].sort(key=lambda one: one["info"]["run_id"])
    rest["traces"].sort(key=lambda one: one["trace_id"])
    return {**rest, "experiments": sorted(experiments, key=lambda one: str(one["name"]))}


_INFINITE = {"inf": 1.7976931348623157e308, "-inf": -1.7976931348623157e308}
_EXPERIMENT = ("experiment_id", "artifact_location")
_PLACES = ("artifact_uri", "artifact_location", "mlflow.artifactLocation")


def _named(value: Any, names: Mapping[str, str]) -> Any:
    """Return a document with the names of experiments in place of their IDs."""
    if isinstance(value, dict):
        kept = {key: one for key, one in value.items() if key not in _PLACES}
        return {key: _field(key, one, names) for key, one in kept.items()}
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    # As databases keep what is infinite, folders of files do not.
    return _INFINITE.get(value, value) if isinstance(value, str) else value


def _field(key: str, value: Any, names: Mapping[str, str]) -> Any:
    """Return a field of a document."""
    if key == "experiment_id":
        return names[str(value)]
    if key == "experiment_ids":
        return [names[str(one)] for one in value]
    return _named(value, names)


def rows(project: seeds.Project, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Return the rows of a query of a project's database; a change is kept."""
    with seeds.connect(project) as connection:
        found: list[tuple[Any, ...]] = connection.execute(query, values).fetchall()
    connection.close()
    return found
