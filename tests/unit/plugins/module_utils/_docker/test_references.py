# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image references: name, tag, digest and registry."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.references import reference
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

DIGEST = f"sha256:{'a1' * 32}"


@pytest.mark.parametrize(
    ("text", "name", "tag", "digest", "registry"),
    [
        ("mlflow", "mlflow", "latest", "", "docker.io"),
        ("mlflow:1", "mlflow", "1", "", "docker.io"),
        ("team/mlflow:1", "team/mlflow", "1", "", "docker.io"),
        ("localhost/mlflow:1", "localhost/mlflow", "1", "", "localhost"),
        ("127.0.0.1:5000/mlflow", "127.0.0.1:5000/mlflow", "latest", "", "127.0.0.1:5000"),
        (f"r.example.com/a/b:1@{DIGEST}", "r.example.com/a/b", "1", DIGEST, "r.example.com"),
        (
            f"r.example.com:443/a@{DIGEST}",
            "r.example.com:443/a",
            "latest",
            DIGEST,
            "r.example.com:443",
        ),
    ],
)
def test_references_are_read(text: str, name: str, tag: str, digest: str, registry: str) -> None:
    """Name, tag, digest and registry; the digest wins."""
    found = reference(text)
    assert (found.name, found.tag, found.digest, found.registry) == (name, tag, digest, registry)
    assert str(found) == (f"{name}@{digest}" if digest else f"{name}:{tag}")


@pytest.mark.parametrize(
    "text", ["", "a b", "a:b:c", "mlflow@sha256:12", "https://r/x", "/x", "x/"]
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    """Before an engine is asked."""
    with pytest.raises(
        MlflowError, match=r"is not a valid image reference; write NAME@sha256:DIGEST"
    ):
        reference(text)
