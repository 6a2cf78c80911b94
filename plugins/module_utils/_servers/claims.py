# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what is said of who holds a port."""

from __future__ import annotations

import typing as t


class Claim(t.NamedTuple):
    """Who holds a port, as part of a sentence, and what ends that."""

    who: str
    end: str


def ours(who: str, project: str, option: str, value: str) -> Claim:
    """Return the claim of a server of this collection, by the option that sets it apart."""
    return Claim(
        f"{who}, the server of project '{project}' that another inventory or runtime started with "
        f"{option} {value}",
        "stop that server there (mlflow_server_state=stopped)",
    )


def tunnel(who: str, state: str) -> Claim:
    """Return the claim of a tunnel of this collection."""
    return Claim(
        f"{who}, the tunnel to the database that another inventory opened with mlflow_state_dir {state}",
        "end that tunnel there (mlflow_database_tunnel=none)",
    )
