# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: whether the principals that a project's role trusts fit into its trust policy."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

# IAM's default quota. IAM does not count white space.
TRUST_LETTERS = 2_048
_ROLE_LETTERS = 64


def trust_policy(server_role: str, principals: t.Sequence[str]) -> dict[str, t.Any]:
    """Return the trust policy that the projects' template gives each project's role."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            _statement("ServerHostsOnEc2", server_role),
            _statement("Colleagues", list(principals)),
        ],
    }


def require_trust_fits(principals: t.Sequence[str], server_role: str, stack: str) -> None:
    """Refuse more principals than a trust policy holds.

    server_role: ARN of the role of EC2 hosts, empty before the stack exists.
    """
    if not principals:
        return
    role = server_role or _expected_role(principals[0], stack)
    letters = len(json.dumps(trust_policy(role, principals), separators=(",", ":")))
    if letters > TRUST_LETTERS:
        raise MlflowError(
            f"mlflow_stack_trusted_principals lists {len(principals)} principals, whose trust policy would have "
            f"{letters:,} characters, and IAM allows {TRUST_LETTERS:,}; list one role that all of them may assume, "
            "or none, and allow sts:AssumeRole in their own policies."
        )


def _statement(sid: str, principal: str | list[str]) -> dict[str, t.Any]:
    """Return a statement that lets a principal assume the role."""
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": "sts:AssumeRole",
    }


def _expected_role(principal: str, stack: str) -> str:
    """Return an ARN as long as that of the role which CloudFormation will name."""
    name = f"{stack}-ServerRole-{'0' * 12}"[:_ROLE_LETTERS]
    # The template refuses what is no ARN.
    return ":".join([*principal.split(":")[:5], f"role/{name}"])
