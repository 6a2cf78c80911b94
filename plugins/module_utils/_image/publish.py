# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: builds and pushes an image that ECR lacks, and looks again."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.errors import (
    BUILD,
    FIX,
    START,
    DockerError,
    EngineError,
    Unreachable,
    remedy,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.images import Login
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import ecr, wanted
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image.builders import Builder
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image.wanted import Image

_NO_REPOSITORY = "run the role mlflow_ecr first, or correct mlflow_ecr_name"


class Published(t.NamedTuple):
    """An image that is in the registry, and whether this run pushed it."""

    image: Image
    pushed: bool


def publish(client: t.Any, image: Image, builder: Builder) -> Published:
    """Build and push an image; it is no error where another run was faster.

    Raises MlflowError where the image is not in ECR afterwards.
    """
    if not image.uri:
        why = f"there is no ECR repository '{image.repository}'"
        raise _failure(image, builder, why, _NO_REPOSITORY)
    token = ecr.fetch_token(client)
    failure = None
    try:
        builder.publish(image, Login(token.username, token.password))
    except DockerError as error:
        failure = error
    found = wanted.look_up(client, image)
    if found.digest:
        return Published(found, pushed=failure is None)
    if failure is None:
        advice = (
            f"check that Docker and this machine reach the same registry {image.host}, then rerun"
        )
        raise _failure(image, builder, "no error was reported", advice)
    raise _failure(image, builder, failure.why, _advice(failure)) from failure


def _advice(error: DockerError) -> str:
    """Return what to do about an error of a build or a push."""
    if isinstance(error, Unreachable):
        return remedy(error.why, BUILD, START)
    if isinstance(error, EngineError):
        return remedy(error.why, BUILD, FIX)
    return error.remedy


def _failure(image: Image, builder: Builder, why: str, advice: str) -> MlflowError:
    """Return the sentence about an image that is not there."""
    return MlflowError(
        f"{image.name} could not be built and pushed by {builder.name} ({why}); {advice}."
    )
