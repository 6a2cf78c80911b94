# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that judges the servers of a host by their verification runs."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import verification_results


def mlflow_verified_servers(
    servers: t.Sequence[t.Mapping[str, t.Any]],
    expected: t.Iterable[str] = (),
    verification: t.Mapping[str, t.Any] | None = None,
) -> dict[str, t.Any]:
    """Return the servers with what is wrong about each, and one sentence about all of it, or ""."""
    return verification_results.judge(servers, expected, verification or {})._asdict()


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_verified_servers": mlflow_verified_servers}
