# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: whether an account has room and permissions for a deployment."""

from __future__ import annotations

import re
import textwrap
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account import permissions, quotas
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account.api import AccountApi
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account.quotas import Reading
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

_AT_ONCE = 8
_HALF_LINE = 80
_DENIED = re.compile(r"AWS denied [\w-]+:\w+")
_T = t.TypeVar("_T")


class Question(t.NamedTuple):
    """What a deployment adds, by resource type, and under which names; simulate: whether to."""

    adds: t.Mapping[str, int]
    simulate: bool
    stack: str
    repository: str


def survey(api: AccountApi, question: Question) -> dict[str, t.Any]:
    """Return the result of mlflow_account_info; its form is the documentation of that module.

    Raises MlflowError if a quota has no room for what is added. What cannot be read is unknown.
    """
    # First and alone: without credentials this is the one sentence.
    account, identity = api.caller()
    needed = quotas.limited(question.adds)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        readers = {read for kind, read in _READERS.items() if kind in needed}
        answers = [pool.submit(read, api) for read in readers]
        simulated = _simulated(api, pool, question, account, identity)
        readings = {kind: one for answer in answers for kind, one in answer.result().items()}
    records = quotas.judged(needed, readings)
    quotas.require_room(records, account, api.region)
    return {
        "account": account,
        "region": api.region,
        "identity": identity,
        "quotas": records,
        "permissions": simulated,
    }


def _known(read: t.Callable[[], _T]) -> tuple[_T | None, str]:
    """Return what a call reads, or None and half a line that says why it cannot."""
    try:
        return read(), ""
    except MlflowError as error:
        said = str(error).partition(": ")[2].partition("; ")[0].rstrip(".")
        denied = _DENIED.match(said)
        return None, denied[0] if denied else textwrap.shorten(said, _HALF_LINE, placeholder="...")
    except KeyError as error:
        return None, f"the answer has no {error}"


def _counted(kind: str, count: t.Callable[[AccountApi], int], api: AccountApi) -> Reading:
    """Return the reading of what is counted here and limited by Service Quotas."""
    used, why = _known(lambda: count(api))
    quota = quotas.QUOTAS[kind]
    limit, also = _known(lambda: api.quota(quota.service, quota.code))
    return Reading(used, limit, why or also)


def _vpcs(api: AccountApi) -> dict[str, Reading]:
    """Return the reading of VPCs."""
    return {quotas.VPC: _counted(quotas.VPC, AccountApi.vpcs, api)}


def _gateways(api: AccountApi) -> dict[str, Reading]:
    """Return the reading of internet gateways."""
    return {quotas.GATEWAY: _counted(quotas.GATEWAY, AccountApi.internet_gateways, api)}


def _databases(api: AccountApi) -> dict[str, Reading]:
    """Return the readings of clusters and instances."""
    names = {quotas.CLUSTER: "DBClusters", quotas.INSTANCE: "DBInstances"}
    found, why = _known(api.databases)
    if found is None:
        return dict.fromkeys(names, Reading(None, None, why))
    readings = {}
    for kind, name in names.items():
        used, limit = found.get(name, (None, None))
        readings[kind] = Reading(used, limit, "RDS does not report it")
    return readings


def _stacks(api: AccountApi) -> dict[str, Reading]:
    """Return the reading of stacks."""
    used, why = _known(api.stacks)
    limit, also = _known(api.stack_limit)
    return {quotas.STACK: Reading(used, limit, why or also)}


def _identities(api: AccountApi) -> dict[str, Reading]:
    """Return the readings of roles and policies."""
    names = {quotas.ROLE: "Roles", quotas.POLICY: "Policies"}
    found, why = _known(api.identities)
    if found is None:
        return dict.fromkeys(names, Reading(None, None, why))
    return {
        kind: Reading(found.get(name), found.get(f"{name}Quota"), "IAM does not report it")
        for kind, name in names.items()
    }


_READERS: dict[str, t.Callable[[AccountApi], dict[str, Reading]]] = {
    quotas.VPC: _vpcs,
    quotas.GATEWAY: _gateways,
    quotas.CLUSTER: _databases,
    quotas.INSTANCE: _databases,
    quotas.STACK: _stacks,
    quotas.ROLE: _identities,
    quotas.POLICY: _identities,
}


def _simulated(
    api: AccountApi, pool: ThreadPoolExecutor, question: Question, account: str, identity: str
) -> dict[str, t.Any]:
    """Return the record of the simulation."""
    if not question.simulate:
        return _permissions("it was not asked for")
    arn, role = permissions.principal(identity)
    why = "" if arn or role else "this identity has no policies to simulate"
    if role:
        found, why = _known(lambda: api.role(role))
        arn = found or ""
    if why:
        return _permissions(why)
    names = {
        "partition": api.partition,
        "region": api.region,
        "account": account,
        "stack": question.stack,
        "repository": question.repository,
    }
    parts = permissions.filled(names)
    answers = pool.map(
        lambda part: _known(lambda: api.simulate(arn, part.actions, part.resource)), parts
    )
    results = []
    for found_, reason in answers:
        if found_ is None:
            return _permissions(reason)
        results += found_
    allowed, denied, undecided = permissions.decisions(results)
    return {
        "simulated": True,
        "reason": "",
        "allowed": allowed,
        "denied": denied,
        "undecided": undecided,
    }


def _permissions(reason: str) -> dict[str, t.Any]:
    """Return the record of a simulation that there was none of."""
    return {"simulated": False, "reason": reason, "allowed": 0, "denied": [], "undecided": []}
