# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that makes servers of projects and a backend."""

from __future__ import annotations

import typing as t

# A project that is to go needs no place for data.
_NOWHERE = {"backend_store_uri": "", "artifacts_destination": ""}


def mlflow_server_options(
    records: t.Sequence[t.Mapping[str, t.Any]],
    backend: t.Mapping[str, t.Any],
    host: str = "127.0.0.1",
    aws_profile: str = "",
) -> list[dict[str, t.Any]]:
    """Return the servers of these projects on this backend, as mlflow_server takes them."""
    return [
        {
            "name": record["name"],
            "state": record["state"],
            "host": host,
            "port": record["port"],
            **_place(backend["projects"].get(record["name"], _NOWHERE), aws_profile),
            **record["server"],
        }
        for record in records
    ]


def _place(place: t.Mapping[str, t.Any], aws_profile: str) -> dict[str, t.Any]:
    """Return a project's place; the profile belongs to the host, so no backend knows it."""
    if "aws" not in place:
        return dict(place)
    return {**place, "aws": {**place["aws"], "profile": aws_profile}}


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"mlflow_server_options": mlflow_server_options}
