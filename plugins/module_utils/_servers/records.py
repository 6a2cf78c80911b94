# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: reports what was done to a host's servers, as records and as a diff."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.crontab import Boot
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import answers, probe
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.env_files import EnvFiles
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import (
    KEEP,
    FoundServer,
    Step,
    difference,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.port_owners import PortPlan
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.runtime import Runtime

Diff = dict[str, dict[str, t.Any]]


class ServersResult(t.NamedTuple):
    """One record for each server, and Ansible's changed and diff."""

    servers: list[dict[str, t.Any]]
    changed: bool
    diff: Diff

    def with_boot(self, boot: Boot | None, differs: bool, runs: bool) -> ServersResult:
        """Return the result with the change of what the host starts at boot."""
        if not boot or not differs:
            return self
        starts = boot.wanted and runs
        return self._with("started at boot", not starts, starts)

    def with_ports(self, owners: PortPlan) -> ServersResult:
        """Return the result with the change of which project has which port."""
        if not owners.changed:
            return self
        return self._with("projects by port", *owners.difference())

    def _with(self, key: str, before: t.Any, after: t.Any) -> ServersResult:
        """Return the result with one more change."""
        diff = {
            "before": {**self.diff["before"], key: before},
            "after": {**self.diff["after"], key: after},
        }
        return ServersResult(self.servers, True, diff)


def result(
    runtime: Runtime,
    steps: t.Sequence[Step],
    now: t.Mapping[str, FoundServer],
    answered: t.Mapping[str, probe.Answer],
    env_files: EnvFiles,
    texts: t.Mapping[str, str | None],
) -> ServersResult:
    """Return the result of these steps and of the env files that differ.

    now: the servers as they are when the steps are done; answered: what each said.
    """
    return ServersResult(
        [
            _record(runtime, step, now.get(step.name, FoundServer(step.name)), answered[step.name])
            | {"env_file": str(env_files.path(step.name))}
            for step in steps
        ],
        any(step.changed for step in steps) or bool(texts),
        _with_env_files(difference(steps), env_files, texts),
    )


def records(runtime: Runtime, env_files: EnvFiles, token: str) -> list[dict[str, t.Any]]:
    """Return a record for each server that is on the host; token: what its front door knows."""
    found = runtime.observe()
    steps = [Step(name, KEEP, None, server) for name, server in sorted(found.items())]
    answered = answers.ask_kept(steps, answers.asking(token))
    return result(runtime, steps, found, answered, env_files, {}).servers


def require_healthy(
    runtime: Runtime,
    found: ServersResult,
    names: t.Container[str],
    ended: t.Mapping[str, str],
) -> None:
    """Fail for those of the named servers that do not answer, with the end of their logs."""
    sick = [
        record
        for record in found.servers
        if record["name"] in names and not record["healthy"] and record["state"] != "absent"
    ]
    if not sick:
        return
    for record in sick:
        record["log_tail"] = runtime.log_tail(record["name"])
    sentences = " ".join(_sentence(record, ended) for record in sick)
    raise MlflowError(sentences, {"servers": found.servers, "changed": found.changed})


def _sentence(record: t.Mapping[str, t.Any], ended: t.Mapping[str, str]) -> str:
    """Return the sentence about a server that does not answer, or the one with which it refuses to serve."""
    if record["refused"]:
        return f"Server of project '{record['name']}' refuses to serve: {record['reason']}"
    last = " | ".join(record["log_tail"][-3:]) or "its log is empty"
    what = ended.get(record["name"], f"does not answer ({record['reason'] or 'no answer'})")
    path = record["log_path"]
    log = path if path.startswith("/") else f"({path})"
    return f"Server of project '{record['name']}' {what}; its log {log} ends: {last}"


def _with_env_files(diff: Diff, env_files: EnvFiles, texts: t.Mapping[str, str | None]) -> Diff:
    """Return the diff with the env files that are written or removed."""
    for name, text in texts.items():
        path = str(env_files.path(name))
        diff["before"].setdefault(name, {})
        after = diff["after"].setdefault(name, {})
        after["env_file"] = f"{path} is removed" if text is None else f"{path}: {text.strip()}"
    return diff


def _record(
    runtime: Runtime, step: Step, now: FoundServer, answer: probe.Answer
) -> dict[str, t.Any]:
    """Return the record of one server; its form is documented in plugins/doc_fragments/servers.py."""
    settings = step.wanted.settings if step.wanted else step.found.settings or {}
    return {
        "name": step.name,
        "action": step.action,
        "planned": False,
        "state": "running" if now.running else "stopped" if now.known else "absent",
        "url": probe.server_url(settings["host"], settings["port"]) if settings else "",
        "port": settings.get("port"),
        "pid": now.pid or None,
        "healthy": answers.is_up(step, answer),
        "version": answer.version,
        "configuration": settings.get("configuration", ""),
        "reason": answer.reason,
        "refused": answer.refused,
        "confined": answer.confined,
        "log_path": runtime.log_path(step.name),
        "listed": step.wanted is not None or step.action == KEEP,
    }
