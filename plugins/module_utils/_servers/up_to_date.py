# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: says of a host whether it has all that it needs, or what it lacks first.

A server is asked for the run that proves it, over one connection: an answer that holds it comes
from the database through the API, and so tells its health too.
"""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import probe, proof
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.manager import Outcome
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import KEEP

# A server that takes longer needs a closer look.
_ASK_SECONDS = 10.0


class Looked(t.NamedTuple):
    """What a host lacks first, empty where it lacks nothing; else its server records and their runs."""

    reason: str
    servers: t.Sequence[t.Mapping[str, t.Any]] = ()
    runs: t.Sequence[t.Mapping[str, t.Any]] = ()


class Proofs:
    """Asks servers for the run of their configuration, and remembers what it found."""

    def __init__(self, experiment: str) -> None:
        """Take the experiment that holds these runs."""
        self._experiment = experiment
        self._found: dict[str, dict[str, t.Any]] = {}

    def ask(self, host: str, port: int) -> probe.Answer:
        """Ask the server on host and port; it is healthy if it knows its run."""
        with probe.conversation(host, port, _ASK_SECONDS) as talk:
            try:
                run = proof.find(talk.call, lambda: talk.configuration, self._experiment)
                if run is None:
                    reason = "no run has proved its configuration"
                    return probe.Answer(False, talk.configuration, "", reason)
                self._found[probe.server_url(host, port)] = run
                return probe.Answer(True, talk.configuration, talk.version(), "")
            except probe.FAILURES as error:
                return probe.Answer(False, "", "", str(error) or type(error).__name__)

    def runs(self, servers: t.Iterable[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
        """Return the run records of servers that were asked and knew theirs, by their records."""
        requests = proof.requests_of(servers)
        return [proof.record(request, self._found[request.url], False) for request in requests]


def look(outcome: Outcome, proofs: Proofs, always: bool) -> Looked:
    """Judge what check mode says of servers that were asked for their proofs.

    always: a run is wanted in any case.
    """
    reason = lacking(outcome)
    if reason:
        return Looked(reason)
    runs = proofs.runs(outcome.servers)
    if always and runs:
        return Looked("a run is to be logged in any case")
    return Looked("", outcome.servers, runs)


def lacking(outcome: Outcome) -> str:
    """Return what would have to be done about the servers, empty for nothing."""
    for record in outcome.servers:
        about = f"the server of project '{record['name']}'"
        if record["action"] != KEEP:
            return f"{about} is to {record['action']}"
        if record["state"] == "running" and not record["healthy"]:
            return f"{about} is not as it should be: {record['reason'] or 'it runs with other settings'}"
    return "a file beside the servers is to change" if outcome.changed else ""
