# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: asks the servers of a host how they are, some at once."""

from __future__ import annotations

import concurrent.futures
import time
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers import probe
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.plan import KEEP, Step
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._servers.runtime import Runtime

_PROBE_SECONDS = 5.0
_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.1, 0.5

# Asks a server by its host and port.
Ask = t.Callable[[str, int], probe.Answer]


def asking(token: str) -> Ask:
    """Return what asks one server for what only its database can answer."""
    return lambda host, port: probe.probe(host, port, _PROBE_SECONDS, token)


def ask_kept(steps: t.Sequence[Step], ask: Ask) -> dict[str, probe.Answer]:
    """Ask all servers that run and are kept as they are, once; return their answers by name."""
    running = [step for step in steps if step.action == KEEP and step.found.running]
    known = [step for step in running if step.wanted or step.found.settings]
    with _pool(known) as pool:
        found = pool.map(lambda step: ask(*_address(step)), known)
        answers = dict(zip([step.name for step in known], found))
    return {step.name: answers.get(step.name, _not_asked(step)) for step in steps}


def await_answers(
    runtime: Runtime, steps: t.Sequence[Step], deadline: float, ask: Ask
) -> tuple[dict[str, probe.Answer], dict[str, str]]:
    """Ask all servers that should run until each answers as configured, refuses, has ended, or time is up.

    Returns the answers, and how those ended that did, both by name.
    """
    answers = {step.name: _not_asked(step) for step in steps}
    ended: dict[str, str] = {}
    pending = [step for step in steps if step.runs]
    pause = _POLL_SECONDS
    with _pool(pending) as pool:
        while pending:
            ended.update(runtime.dead())
            found = pool.map(lambda step: ask(*_address(step)), pending)
            answers.update(zip([step.name for step in pending], found))
            pending = [
                step
                for step in pending
                if not (is_up(step, answers[step.name]) or _refuses(step, answers[step.name]))
                and step.name not in ended
            ]
            if pending and time.monotonic() > deadline:
                break
            if pending:
                time.sleep(pause)
                # The processor time that many servers need to start must not go into asking them.
                pause = min(_LONGEST_POLL_SECONDS, pause * 1.1)
    return answers, ended


def is_up(step: Step, answer: probe.Answer) -> bool:
    """Return whether the server answers from its database, and with the wanted configuration."""
    return answer.healthy and (
        step.wanted is None or answer.configuration == step.wanted.configuration
    )


def _refuses(step: Step, answer: probe.Answer) -> bool:
    """Return whether the server refuses to serve, and with the wanted configuration."""
    return answer.refused and (
        step.wanted is None or answer.configuration == step.wanted.configuration
    )


def _pool(steps: t.Sequence[Step]) -> concurrent.futures.ThreadPoolExecutor:
    """Return what asks the servers of these steps, some at once."""
    return concurrent.futures.ThreadPoolExecutor(max(1, min(probe.AT_ONCE, len(steps))))


def _address(step: Step) -> tuple[str, int]:
    """Return where the server of one step listens."""
    settings = step.wanted.settings if step.wanted else step.found.settings or {}
    return settings["host"], settings["port"]


def _not_asked(step: Step) -> probe.Answer:
    """Return the answer of a server that was not asked."""
    return probe.Answer(False, step.found.configuration, "", "")
