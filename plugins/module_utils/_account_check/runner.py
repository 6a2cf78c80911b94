# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: runs probes one after the other; one that fails does not stop the others."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account_check import (
    aurora,
    database,
    hosts,
    identities,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account_check.catalog import (
    FAILED,
    NOT_HERE,
    NOT_REACHED,
    PASSED,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account_check.results import (
    Result,
    Results,
    reason_against,
    result,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account_check.subject import (
    NotHereError,
    Subject,
)

Probe = t.Callable[[Subject], str]

PROBES: dict[str, Probe] = {
    "role_delay": identities.role_delay,
    "objects_refused": identities.objects_refused,
    "secret_refused": identities.secret_refused,
    "key_refused": identities.key_refused,
    "data_api": database.data_api,
    "tls": database.tls,
    "amazon_ca": database.amazon_ca,
    "schema_refused": database.schema_refused,
    "connections": database.connection_limit,
    "new_password": aurora.new_password,
    "password_rotation": database.password_rotation,
    "master_rotation": aurora.master_rotation,
    "log_retention": aurora.log_retention,
    "iam_login": aurora.iam_login,
    "platforms": hosts.platforms,
    "hosts": hosts.hosts,
    "host_managed": hosts.host_managed,
    "host_pulls": hosts.host_pulls,
    "metadata_refused": hosts.metadata_refused,
    "pause": aurora.pause,
    "wake": aurora.wake,
    "budget": aurora.budget,
}


def run(
    subject: Subject,
    names: t.Iterable[str],
    before: Results,
    skip: t.Container[str],
    deadline: float,
) -> list[Result]:
    """Return the results so far with those of the named probes; deadline is in seconds since the epoch."""
    results = [entry for entry in before if entry["name"] not in set(names)]
    for name in names:
        outcome, evidence = reason_against(name, results, skip, time.time(), deadline)
        seconds = 0.0
        if not outcome:
            begun = time.monotonic()
            outcome, evidence = _outcome(PROBES[name], subject)
            if outcome == FAILED and time.time() >= deadline:
                outcome = NOT_REACHED
                evidence = f"the time limit was reached while it was checked: {evidence}"
            seconds = time.monotonic() - begun
        results.append(result(name, outcome, evidence, seconds, time.time()))
    return results


def _outcome(probe: Probe, subject: Subject) -> tuple[str, str]:
    """Return what came of a probe, with the evidence."""
    try:
        return PASSED, probe(subject)
    except NotHereError as error:
        return NOT_HERE, str(error)
    # Whatever it is, it is evidence, and the next check does not depend on it.
    except Exception as error:  # noqa: BLE001
        return FAILED, str(error) or type(error).__name__
