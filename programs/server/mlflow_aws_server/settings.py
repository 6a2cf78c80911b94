# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings file of a server (JSON, mode 0600).

    configuration          text; sent back as a header with each answer, so that a probe
                           knows which configuration it is talking to
    host, port             address to listen on
    workers                number of processes; 1 serves in this process
    backend_store_uri      SQLAlchemy URI of the project's database
    artifacts_destination  folder or URI that holds proxied artifacts
    allowed_hosts          Host headers to accept; empty keeps MLflow's default
    allowed_origins        optional: origins whose pages may change data, besides local ones
    metrics                optional: whether to serve Prometheus metrics at /metrics
    jobs                   optional: whether MLflow's job runner runs beside the server
    assistant              optional: whether MLflow's assistant answers requests of this host
    trace_archival         optional: MLflow's settings of trace archival, without its location
    max_upload_size        optional: largest body of a request in bytes
    presigned_only         optional: whether clients transfer artifacts by presigned URLs only
    door                   optional: the secret of the host's front door, without which no request is answered
    environment            further variables for the server, name to text
    database               null, or for mysql+pymysql://HOST:PORT/SCHEMA: `secret`, the name
                           or ARN of a secret whose JSON holds "password"; `login`, "iam" if
                           `secret` may be empty or missing; `user`; `ca`, the
                           text of the CA, empty for the RDS bundle beside this program;
                           `tunnel`, empty or HOST:PORT of the local end of a tunnel
    aws                    null, or `region`, `endpoint_url`, `profile`; for what is empty AWS's
                           own defaults apply. `broker`, path of the socket on which the host's
                           broker gives the credentials of the project's role, in place of a
                           profile; `key_parameter`, the name of the SSM parameter that holds
                           the project's root key
    key_file               if there is no such parameter, the file that holds that key; created
                           if it is missing, mode 0600

MLflow encrypts what it keeps in its database with keys that are derived from that root key,
except for those that `environment` sets itself: see keys.py. Without a root key they are
MLflow's own.

It holds no password, and no secret but the front door's. A password goes into a file of mode
0400 in a private folder in memory, never into an argument, an environment variable or the log.
These variables, also in `environment`, change limits, in seconds:

    MLFLOW_AWS_SECRET_POLL       interval between two reads of the secret (300)
    MLFLOW_AWS_DATABASE_TIMEOUT  timeout for an answer of a MySQL database (90)
    MLFLOW_AWS_DATABASE_RETRY    time for which a request tries to connect to a MySQL database (45)
    MLFLOW_AWS_DATABASE_WAIT     timeout for a database to wake up when a server starts (180)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

from .errors import EntryError


def read(path: Path) -> dict[str, Any]:
    """Read a settings file, or the request of another verb."""
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EntryError(f"{path} cannot be read ({error}); run the servers playbook.") from None
    if not isinstance(settings, dict):
        raise EntryError(f"{path} holds no JSON object; run the servers playbook.")
    return settings


def own_host(settings: dict[str, Any]) -> str:
    """Return the address under which this machine reaches the server that the settings describe."""
    host = str(settings["host"])
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)


def requested_uri(stream: TextIO) -> str:
    """Return the URI of the database to migrate, from a JSON object with a "uri"."""
    try:
        return str(json.load(stream)["uri"])
    except (ValueError, LookupError, TypeError) as error:
        raise EntryError(
            f'Standard input is not a JSON object with a "uri" ({error}); run the deploy playbook.'
        ) from None
