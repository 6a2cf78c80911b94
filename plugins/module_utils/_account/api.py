# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what an account says about itself. It only reads."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws


class AccountApi:
    """One call of AWS per method; each raises MlflowError with one sentence."""

    def __init__(self, params: t.Mapping[str, t.Any]) -> None:
        """Take the options of _aws.ARGUMENTS."""
        services = ("sts", "iam", "ec2", "rds", "cloudformation", "service-quotas")
        self._clients = {name: _aws.client(params, name) for name in services}
        meta = self._clients["ec2"].meta
        self.region = str(meta.region_name)
        self.partition = str(meta.partition)

    def caller(self) -> tuple[str, str]:
        """Return the account's ID, and the ARN of the identity that calls."""
        answer = self._call(
            "sts", "get_caller_identity", "look up the AWS account of these credentials"
        )
        return str(answer["Account"]), str(answer["Arn"])

    def vpcs(self) -> int:
        """Return the number of VPCs."""
        return self._count("ec2", "describe_vpcs", "Vpcs")

    def internet_gateways(self) -> int:
        """Return the number of internet gateways."""
        return self._count("ec2", "describe_internet_gateways", "InternetGateways")

    def stacks(self) -> int:
        """Return the number of CloudFormation stacks."""
        return self._count("cloudformation", "describe_stacks", "Stacks")

    def quota(self, service: str, code: str) -> int:
        """Return a quota from Service Quotas."""
        answer = self._call(
            "service-quotas",
            "get_service_quota",
            f"read the quota {service}/{code}",
            ServiceCode=service,
            QuotaCode=code,
        )
        return int(answer["Quota"]["Value"])

    def databases(self) -> dict[str, tuple[int, int]]:
        """Return how many of its quotas RDS counts as used, and how many there may be, by name."""
        answer = self._call("rds", "describe_account_attributes", "read the quotas of RDS")
        return {
            quota["AccountQuotaName"]: (int(quota["Used"]), int(quota["Max"]))
            for quota in answer["AccountQuotas"]
        }

    def stack_limit(self) -> int:
        """Return how many stacks there may be."""
        answer = self._call("cloudformation", "describe_account_limits", "read the limit of stacks")
        limits = {limit["Name"]: limit["Value"] for limit in answer["AccountLimits"]}
        return int(limits["StackLimit"])

    def identities(self) -> dict[str, int]:
        """Return how many roles and policies there are and may be, by IAM's own names."""
        answer = self._call("iam", "get_account_summary", "read the quotas of IAM")
        return {str(name): int(value) for name, value in answer["SummaryMap"].items()}

    def role(self, name: str) -> str:
        """Return the ARN of a role, which has a path that the session's does not tell."""
        answer = self._call("iam", "get_role", f"read the role '{name}'", RoleName=name)
        return str(answer["Role"]["Arn"])

    def simulate(
        self, principal: str, actions: t.Sequence[str], resource: str
    ) -> list[dict[str, t.Any]]:
        """Return IAM's evaluation of each action of a principal on a resource."""
        client = self._clients["iam"]
        # CloudFormation makes most calls in the operator's name.
        context = [
            ("aws:RequestedRegion", "string", self.region),
            ("aws:CalledVia", "stringList", "cloudformation.amazonaws.com"),
        ]
        with _aws.explained("simulate policies", client):
            pages = client.get_paginator("simulate_principal_policy").paginate(
                PolicySourceArn=principal,
                ActionNames=list(actions),
                ResourceArns=[resource],
                ContextEntries=[
                    {"ContextKeyName": name, "ContextKeyType": kind, "ContextKeyValues": [value]}
                    for name, kind, value in context
                ],
            )
            return [result for page in pages for result in page["EvaluationResults"]]

    def _call(self, service: str, call: str, doing: str, **query: t.Any) -> dict[str, t.Any]:
        """Return the answer to a call."""
        client = self._clients[service]
        with _aws.explained(doing, client):
            answer: dict[str, t.Any] = getattr(client, call)(**query)
        return answer

    def _count(self, service: str, call: str, key: str) -> int:
        """Return how many entries all pages of an answer have."""
        client = self._clients[service]
        with _aws.explained(f"count the {key}", client):
            return sum(len(page[key]) for page in client.get_paginator(call).paginate())
