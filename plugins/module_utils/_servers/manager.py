# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: brings all servers of a host to their wanted state, over any runtime."""

from __future__ import annotations

import concurrent.futures
import time
import typing as t
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import files
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import ports as host_ports
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.crontab import Boot
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import probe
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.env_files import EnvFiles
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import (
    KEEP,
    RESTART,
    START,
    Found,
    Step,
    Wanted,
    difference,
    plan,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.port_owners import (
    Plan,
    PortRecord,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.runtime import Runtime

_PROBE_SECONDS = 5.0
_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.1, 0.5


class Outcome(t.NamedTuple):
    """What was done: one record for each server, and Ansible's changed and diff."""

    servers: list[dict[str, t.Any]]
    changed: bool
    diff: dict[str, dict[str, t.Any]]


def converge(
    runtime: Runtime,
    wanted: t.Sequence[Wanted],
    *,
    unlisted: str,
    timeout: float,
    lock: Path,
    env_files: EnvFiles,
    ports: PortRecord,
    boot: Boot | None,
    check_mode: bool,
) -> Outcome:
    """Bring every server to its wanted state within timeout seconds; in check mode only say how.

    unlisted: what is done about servers that are not wanted, KEEP, STOP or REMOVE.
    Raises MlflowError where a port is held by somebody else or was another project's, before
    anything is touched, and where servers do not come up, after all others have.
    """
    if check_mode:
        return check(
            runtime,
            wanted,
            unlisted=unlisted,
            env_files=env_files,
            ports=ports,
            boot=boot,
            ask=_probe_once,
        )
    steps, owners = _read_plan(runtime, wanted, unlisted, ports)
    texts, reboots = env_files.differing(steps), _differs(boot, steps)
    deadline = time.monotonic() + timeout
    if texts or reboots or owners.changed or any(step.changed for step in steps):
        files.make_folder(lock.parent)
        with files.exclusive(lock, timeout, "changing the servers of this host"):
            # Another run may have done it meanwhile.
            steps, owners = _read_plan(runtime, wanted, unlisted, ports)
            texts, reboots = env_files.differing(steps), _differs(boot, steps)
            # First, so that a run that is killed has remembered what it takes away.
            ports.write(owners)
            if any(step.changed for step in steps):
                _apply(runtime, steps, deadline, env_files)
            env_files.write(texts)
            if boot and reboots:
                boot.write(_runs(steps))
    answers, ended = _await_answers(runtime, steps, deadline)
    # A server that was just started has another process than the one found.
    outcome = _outcome(runtime, steps, runtime.observe(), answers, env_files, texts)
    outcome = _with_ports(_with_boot(outcome, boot, reboots, _runs(steps)), owners)
    _require_healthy(runtime, outcome, {step.name for step in steps if step.runs}, ended)
    return outcome


def _apply(runtime: Runtime, steps: t.Sequence[Step], deadline: float, env_files: EnvFiles) -> None:
    """Take the steps; where some could not be taken, say how all servers are then."""
    try:
        runtime.apply(steps, deadline)
    except MlflowError as error:
        if not error.details:
            raise
        details = {**error.details, "servers": records(runtime, env_files)}
        raise MlflowError(str(error), details) from error


def check(
    runtime: Runtime,
    wanted: t.Sequence[Wanted],
    *,
    unlisted: str,
    env_files: EnvFiles,
    ports: PortRecord,
    boot: Boot | None,
    ask: t.Callable[[str, int], probe.Answer],
) -> Outcome:
    """Say what converge would do; `ask` asks a server by its host and port."""
    steps, owners = _read_plan(runtime, wanted, unlisted, ports)
    texts = env_files.differing(steps)
    found = {step.name: step.found for step in steps}
    outcome = _outcome(runtime, steps, found, _answers_now(steps, ask), env_files, texts)
    for record, step in zip(outcome.servers, steps):
        record["planned"] = step.changed
    return _with_ports(_with_boot(outcome, boot, _differs(boot, steps), _runs(steps)), owners)


def records(runtime: Runtime, env_files: EnvFiles) -> list[dict[str, t.Any]]:
    """Return a record for each server that is on the host."""
    found = runtime.observe()
    steps = [Step(name, KEEP, None, server) for name, server in sorted(found.items())]
    answers = _answers_now(steps, _probe_once)
    return _outcome(runtime, steps, found, answers, env_files, {}).servers


def _runs(steps: t.Iterable[Step]) -> bool:
    """Say whether any server runs when the steps are taken."""
    return any(step.runs for step in steps)


def _differs(boot: Boot | None, steps: t.Sequence[Step]) -> bool:
    """Say whether what the host starts at boot is not as it should be."""
    return boot is not None and boot.differs(_runs(steps))


def _with_boot(outcome: Outcome, boot: Boot | None, differs: bool, runs: bool) -> Outcome:
    """Return the outcome with the change of what the host starts at boot."""
    if not boot or not differs:
        return outcome
    starts = boot.wanted and runs
    diff = {
        "before": {**outcome.diff["before"], "started at boot": not starts},
        "after": {**outcome.diff["after"], "started at boot": starts},
    }
    return Outcome(outcome.servers, True, diff)


def _with_ports(outcome: Outcome, owners: Plan) -> Outcome:
    """Return the outcome with the change of which project has which port."""
    if not owners.changed:
        return outcome
    before, after = owners.difference()
    diff = {
        "before": {**outcome.diff["before"], "projects by port": before},
        "after": {**outcome.diff["after"], "projects by port": after},
    }
    return Outcome(outcome.servers, True, diff)


def _read_plan(
    runtime: Runtime, wanted: t.Sequence[Wanted], unlisted: str, ports: PortRecord
) -> tuple[list[Step], Plan]:
    """Read what is there and plan; refuse ports that are not free for us."""
    found = runtime.observe()
    steps = plan(wanted, found, unlisted)
    owners = ports.plan(found)
    runtime.require(steps)
    ours = {
        server.settings["port"] for server in found.values() if server.running and server.settings
    }
    for step in steps:
        if step.action in (START, RESTART) and step.wanted:
            server = step.wanted
            holder = host_ports.holder(server.host, server.port)
            if holder and server.port not in ours and not runtime.owns(holder):
                claim = runtime.claim(holder, server.host)
                raise host_ports.taken(server.name, server.port, *claim)
    return steps, owners


def _answers_now(
    steps: t.Sequence[Step], ask: t.Callable[[str, int], probe.Answer]
) -> dict[str, probe.Answer]:
    """Ask all servers that run and are to go on as they are, once."""
    running = [step for step in steps if step.action == KEEP and step.found.running]
    known = [step for step in running if step.wanted or step.found.settings]
    with concurrent.futures.ThreadPoolExecutor(max(1, len(known))) as pool:
        found = pool.map(lambda step: ask(*_address(step)), known)
        answers = dict(zip([step.name for step in known], found))
    return {step.name: answers.get(step.name, _unknown(step)) for step in steps}


def _await_answers(
    runtime: Runtime, steps: t.Sequence[Step], deadline: float
) -> tuple[dict[str, probe.Answer], dict[str, str]]:
    """Ask all servers that are to run until each answers as configured, died, or time is over.

    Returns the answers, and how those ended that did, both by name.
    """
    answers = {step.name: _unknown(step) for step in steps}
    ended: dict[str, str] = {}
    pending = [step for step in steps if step.runs]
    pause = _POLL_SECONDS
    with concurrent.futures.ThreadPoolExecutor(max(1, len(pending))) as pool:
        while pending:
            ended.update(runtime.dead())
            answers.update(zip([step.name for step in pending], pool.map(_ask, pending)))
            pending = [
                step
                for step in pending
                if not _is_up(step, answers[step.name]) and step.name not in ended
            ]
            if pending and time.monotonic() > deadline:
                break
            if pending:
                time.sleep(pause)
                # What many servers take to start must not go into asking them.
                pause = min(_LONGEST_POLL_SECONDS, pause * 1.1)
    return answers, ended


def _ask(step: Step) -> probe.Answer:
    """Probe the server of one step."""
    return _probe_once(*_address(step))


def _probe_once(host: str, port: int) -> probe.Answer:
    """Ask for what only the database can answer."""
    return probe.probe(host, port, _PROBE_SECONDS)


def _address(step: Step) -> tuple[str, int]:
    """Return where the server of one step listens."""
    settings = step.wanted.settings if step.wanted else step.found.settings or {}
    return settings["host"], settings["port"]


def _is_up(step: Step, answer: probe.Answer) -> bool:
    """Say whether the server answers from its database, and with the wanted configuration."""
    return answer.healthy and (
        step.wanted is None or answer.configuration == step.wanted.configuration
    )


def _unknown(step: Step) -> probe.Answer:
    """Return the answer of a server that was not asked."""
    return probe.Answer(False, step.found.configuration, "", "")


def _outcome(
    runtime: Runtime,
    steps: t.Sequence[Step],
    now: t.Mapping[str, Found],
    answers: t.Mapping[str, probe.Answer],
    env_files: EnvFiles,
    texts: t.Mapping[str, str | None],
) -> Outcome:
    """Return records, changed and diff of these steps and of the env files that differ.

    now: the servers as they are when the steps are taken.
    """
    return Outcome(
        [
            _record(runtime, step, now.get(step.name, Found(step.name)), answers[step.name])
            | {"env_file": str(env_files.path(step.name))}
            for step in steps
        ],
        any(step.changed for step in steps) or bool(texts),
        _with_env_files(difference(steps), env_files, texts),
    )


def _with_env_files(
    diff: dict[str, dict[str, t.Any]], env_files: EnvFiles, texts: t.Mapping[str, str | None]
) -> dict[str, dict[str, t.Any]]:
    """Return the diff with the env files that are written or removed."""
    for name, text in texts.items():
        path = str(env_files.path(name))
        diff["before"].setdefault(name, {})
        after = diff["after"].setdefault(name, {})
        after["env_file"] = f"{path} is removed" if text is None else f"{path}: {text.strip()}"
    return diff


def _record(runtime: Runtime, step: Step, now: Found, answer: probe.Answer) -> dict[str, t.Any]:
    """Return the record of one server; its form is the modules' documentation."""
    settings = step.wanted.settings if step.wanted else step.found.settings or {}
    return {
        "name": step.name,
        "action": step.action,
        "planned": False,
        "state": "running" if now.running else "stopped" if now.known else "absent",
        "url": probe.server_url(settings["host"], settings["port"]) if settings else "",
        "port": settings.get("port"),
        "pid": now.pid or None,
        "healthy": _is_up(step, answer),
        "version": answer.version,
        "configuration": settings.get("configuration", ""),
        "reason": answer.reason,
        "log_path": runtime.log_path(step.name),
        "listed": step.wanted is not None or step.action == KEEP,
    }


def _require_healthy(
    runtime: Runtime, outcome: Outcome, names: t.Container[str], ended: t.Mapping[str, str]
) -> None:
    """Fail for those of the named servers that do not answer, with the end of their logs."""
    sick = [
        record
        for record in outcome.servers
        if record["name"] in names and not record["healthy"] and record["state"] != "absent"
    ]
    if not sick:
        return
    causes = []
    for record in sick:
        record["log_tail"] = runtime.log_tail(record["name"])
        last = " | ".join(record["log_tail"][-3:]) or "its log is empty"
        what = ended.get(record["name"], f"does not answer ({record['reason'] or 'no answer'})")
        log = (
            record["log_path"] if record["log_path"].startswith("/") else f"({record['log_path']})"
        )
        causes.append(f"Server of project '{record['name']}' {what}; its log {log} ends: {last}")
    raise MlflowError(" ".join(causes), {"servers": outcome.servers, "changed": outcome.changed})
