# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which images of a repository may go."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.prune import (
    Image,
    superseded,
)

REPOSITORY = "registry.example.com/mlflow"


def image(number: int, *names: str) -> Image:
    """Return an image that was made at a time of its own, by default with one name of ours."""
    return Image(f"i{number}", names or (f"{REPOSITORY}:{number}",), number, 10)


def going(
    images: list[Image], current: str = "i9", used: frozenset[str] = frozenset(), keep: int = 1
) -> list[str]:
    """Return the ids of the images that may go."""
    return [found.id for found in superseded(images, current, used, REPOSITORY, keep)]


@pytest.mark.parametrize(
    ("numbers", "current", "keep", "gone"),
    [
        ([9], "i9", 1, []),
        ([8, 9], "i9", 1, []),
        ([7, 9, 8, 6], "i9", 1, ["i6", "i7"]),
        ([7, 9, 8, 6], "i9", 0, ["i6", "i7", "i8"]),
        ([7, 9, 8, 6], "i9", 5, []),
        ([7, 9, 8, 6], "i7", 1, ["i6", "i8"]),
        ([8, 7], "i9", 1, ["i7"]),
    ],
)
def test_the_newest_of_the_others_stay(
    numbers: list[int], current: str, keep: int, gone: list[str]
) -> None:
    """Whichever runs: after a step back, the newer one is what was before."""
    assert going([image(number) for number in numbers], current, keep=keep) == gone


def test_what_a_container_uses_stays() -> None:
    """It counts as one that is kept where it is the newest, and is no reason to keep more."""
    images = [image(number) for number in (5, 6, 7, 8, 9)]
    assert going(images, used=frozenset({"i5", "i7"})) == ["i6"]


@pytest.mark.parametrize(
    "names",
    [
        ("registry.example.com/mlflow-dev:1",),
        ("mlflow:1",),
        (f"{REPOSITORY}:1", "ours:latest"),
        (f"other.example.com/mlflow@sha256:{'0' * 64}",),
        (),
    ],
)
def test_what_is_not_ours_stays(names: tuple[str, ...]) -> None:
    """An image with a second name is somebody's, and one without a name may be being built."""
    stranger = Image("s", names, 0, 10)
    assert going([stranger, image(1), image(2), image(9)]) == ["i1"]


def test_every_name_of_ours_counts() -> None:
    """By tag and by digest."""
    both = image(1, f"{REPOSITORY}:1", f"{REPOSITORY}@sha256:{'0' * 64}")
    assert going([both, image(2), image(9)]) == ["i1"]
