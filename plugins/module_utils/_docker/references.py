# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: image references such as HOST:PORT/NAME:TAG@sha256:DIGEST."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

_REFERENCE = re.compile(
    r"(?P<name>(?:[\w.-]+(?::\d+)?/)?[\w.-]+(?:/[\w.-]+)*)"
    r"(?::(?P<tag>[\w.-]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


class Reference(t.NamedTuple):
    """An image's name, with the tag or the digest that says which one."""

    name: str
    tag: str
    digest: str

    @property
    def registry(self) -> str:
        """Return the host of its registry."""
        first, slash, _rest = self.name.partition("/")
        is_host = slash and ("." in first or ":" in first or first == "localhost")
        return first if is_host else "docker.io"

    def __str__(self) -> str:
        """Return the reference; the digest wins, as it does for Docker."""
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"


def reference(text: str) -> Reference:
    """Parse an image reference; raises MlflowError where it is not a valid one."""
    match = _REFERENCE.fullmatch(text)
    if not match:
        raise MlflowError(
            f"{text!r} is not a valid image reference; write NAME@sha256:DIGEST, or NAME:TAG."
        )
    return Reference(match["name"], match["tag"] or "latest", match["digest"] or "")
