# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image's tag: the same for the same build, another for anything that goes into it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import context, tags
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image.context import File

FILES = {
    "Dockerfile": File(b"FROM scratch\n"),
    "requirements.txt": File(b"mlflow==1.20.3\n"),
}
PLATFORMS = ["linux/amd64"]
DESCRIPTION = {"version": "1.20.3", "head": "b", "revisions": ["a", "b"]}


def tag(
    files: dict[str, File] | None = None,
    arguments: dict[str, str] | None = None,
    platforms: list[str] | None = None,
    version: str = "1.20.3",
) -> str:
    """Return a tag that differs from the usual one by what is given."""
    return tags.image_tag(version, files or FILES, arguments or {}, platforms or PLATFORMS)


def test_a_tag_holds_the_version_and_is_one_that_docker_takes() -> None:
    """So a reader sees which MLflow it is."""
    assert re.fullmatch(r"1\.20\.3-[0-9a-f]{12}", tag())


def test_the_same_build_has_the_same_tag() -> None:
    """In whichever order files, arguments and platforms were found."""
    turned = dict(reversed(FILES.items()))
    assert tag(turned) == tag()
    one, other = {"A": "1", "B": "2"}, {"B": "2", "A": "1"}
    assert tag(arguments=one) == tag(arguments=other)
    both = ["linux/amd64", "linux/arm64"]
    assert tag(platforms=both) == tag(platforms=[*reversed(both), both[0]])


def test_everything_that_goes_in_changes_it() -> None:
    """Content, names, further files, arguments, platforms and the version."""
    tags = {
        tag(),
        tag(FILES | {"Dockerfile": File(b"FROM other\n")}),
        tag({"Dockerfile": FILES["Dockerfile"], "other.txt": FILES["requirements.txt"]}),
        tag(FILES | {"entry.py": File(b"")}),
        tag(FILES | {"entry.py": File(b"", executable=True)}),
        tag(arguments={"BASE_IMAGE": "python@sha256:1"}),
        tag(arguments={"BASE_IMAGE": "python@sha256:2"}),
        tag(platforms=["linux/arm64"]),
        tag(platforms=["linux/amd64", "linux/arm64"]),
        tag(version="1.20.2"),
    }
    assert len(tags) == 10


@pytest.mark.parametrize(
    "name",
    ["HTTP_PROXY", "https_proxy", "NO_PROXY", "ALL_PROXY", "PIP_INDEX_URL", "PIP_CERT"],
)
def test_how_the_network_is_reached_does_not(name: str) -> None:
    """Two operators behind different proxies get one image; what is locked has hashes."""
    assert tag(arguments={name: "http://10.0.0.1:3128"}) == tag()


def test_a_number_in_an_argument_is_its_text() -> None:
    """YAML reads 1 as a number and Docker passes a text."""
    assert tag(arguments={"A": 1}) == tag(arguments={"A": "1"})  # type: ignore[dict-item]


def test_the_shipped_folder_has_a_tag() -> None:
    """Its description and its files are there, and the lock is among them."""
    folder = Path(__file__).resolve().parents[5] / "docker"
    files = context.read(folder)
    program = "programs/server"
    assert {"Dockerfile", "requirements.txt", f"{program}/mlflow_entry.py"} <= set(files)
    assert f"{program}/mlflow_aws_server/cli.py" in files
    version = tags.describe(folder).version
    assert f"mlflow=={version} ".encode() in files["requirements.txt"].data


def test_the_description_is_read(tmp_path: Path) -> None:
    """Version, head and revisions."""
    (tmp_path / "mlflow.json").write_text(json.dumps(DESCRIPTION))
    assert tags.describe(tmp_path) == ("1.20.3", "b", ["a", "b"])


@pytest.mark.parametrize(
    "text",
    [
        None,
        "{",
        "[]",
        json.dumps({"version": "1.20.3"}),
        json.dumps(DESCRIPTION | {"version": "1.20.3 beta"}),
        json.dumps(DESCRIPTION | {"version": ""}),
    ],
)
def test_a_faulty_description_is_refused_in_one_sentence(tmp_path: Path, text: str | None) -> None:
    """The file is named."""
    if text is not None:
        (tmp_path / "mlflow.json").write_text(text)
    with pytest.raises(MlflowError, match=r"mlflow\.json [^\n]*\.$"):
        tags.describe(tmp_path)


@pytest.mark.parametrize(
    ("platforms", "builder", "sentence"),
    [
        (["linux/amd64"], "classic", None),
        (["linux/amd64", "linux/amd64"], "classic", None),
        (["linux/amd64", "linux/arm64"], "buildx", None),
        (["linux/arm/v7"], "buildx", None),
        (["linux/amd64", "linux/arm64"], "classic", "install Docker's buildx plugin, or name one"),
        ([], "buildx", "mlflow_image_platforms is empty"),
        (["amd64"], "buildx", "write platforms like linux/amd64"),
        (["linux/amd64,linux/arm64"], "buildx", "write platforms like linux/amd64"),
    ],
)
def test_platforms_that_cannot_be_built_are_refused(
    platforms: list[str], builder: str, sentence: str | None
) -> None:
    """Before anything is built."""
    if sentence is None:
        require(platforms, builder)
        return
    with pytest.raises(MlflowError, match=sentence):
        require(platforms, builder)


def require(platforms: list[str], builder: str) -> None:
    """Check platforms as a build does."""
    tags.require_platforms(platforms)
    tags.require_builder(platforms, builder)
