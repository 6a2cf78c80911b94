# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what only a real AWS account can show, and in which order it is checked.

docs/aws.md has the same table, which a test compares with this one.
"""

from __future__ import annotations

import typing as t

PASSED, FAILED, NOT_HERE, NOT_REACHED = "passed", "failed", "not here", "not reached"
# How a claim is shown without an account.
TWIN, SECOND, SCHEMA, AWS_PAGE, STAND_IN, NOTHING = (
    "offline twin",
    "second emulator",
    "schema",
    "AWS's documentation",
    "stand-in",
    "nothing yet",
)


class Check(t.NamedTuple):
    """One claim.

    name: identifies it in reports; shown: how it is shown without an account; needs: checks that
    have to pass before it; by_hand: why the playbook cannot show it, empty if it can.
    """

    name: str
    claim: str
    shown: t.Sequence[str]
    needs: t.Sequence[str] = ()
    by_hand: str = ""


_PROJECTS = ("stacks", "administrator")
_TAKES_LONGER = "it takes longer than this playbook does"

CHECKS = (
    Check(
        "stacks",
        "The account creates the stacks of the backend and of two projects: quotas, durations",
        (TWIN, SECOND, SCHEMA),
    ),
    Check(
        "role_delay",
        "The role of a new project can be assumed, and how soon",
        (STAND_IN,),
        ("stacks",),
    ),
    Check(
        "administrator",
        "The database's administrator may run the statements that create schemas and users",
        (TWIN,),
        ("stacks",),
    ),
    Check(
        "data_api", "The RDS Data API of the database runs statements", (TWIN, AWS_PAGE), _PROJECTS
    ),
    Check(
        "objects_refused",
        "A project's role is denied another project's objects and listings",
        (TWIN,),
        ("role_delay",),
    ),
    Check(
        "secret_refused",
        "A project's role is denied another project's secret",
        (TWIN,),
        ("role_delay",),
    ),
    Check(
        "key_refused",
        "A project's role is denied another project's key",
        (TWIN,),
        ("role_delay", "administrator"),
    ),
    Check(
        "relay",
        "The relay starts, and AWS's plugin forwards a port through it to the database",
        (STAND_IN,),
        ("stacks",),
    ),
    Check(
        "tls",
        "The database is verified by CA and host name, and refuses a connection without TLS",
        (TWIN,),
        _PROJECTS,
    ),
    Check(
        "amazon_ca",
        "Amazon's certificate bundle verifies the Aurora endpoint",
        (NOTHING,),
        ("tls",),
    ),
    Check(
        "schema_refused",
        "A project's database users are denied another project's schema, and servers any change of their own",
        (TWIN,),
        _PROJECTS,
    ),
    Check(
        "connections",
        "The database allows as many connections as AWS's table says for MaxCapacity",
        (AWS_PAGE,),
        _PROJECTS,
    ),
    Check("new_password", "A project's secret takes a new password", (TWIN,), _PROJECTS),
    Check(
        "password_rotation",
        "After the next run the database accepts the new password, and for an hour the replaced one",
        (TWIN,),
        ("new_password", "schema_refused"),
    ),
    Check(
        "master_rotation",
        "AWS rotates the administrator's password, and the next run logs in with the new one",
        (NOTHING,),
        _PROJECTS,
    ),
    Check(
        "log_retention",
        "RDS writes to log groups that have a retention before",
        (SCHEMA,),
        _PROJECTS,
    ),
    Check(
        "iam_login",
        "Aurora's plugin accepts a project's token, and how soon; another project's user is denied",
        (TWIN, AWS_PAGE),
        ("role_delay", "administrator"),
    ),
    Check("image", "The image is built and pushed to ECR", (TWIN,)),
    Check(
        "platforms", "The image is built for linux/amd64 and linux/arm64", (NOTHING,), ("image",)
    ),
    Check(
        "hosts",
        "An EC2 host boots, is set up, and signals CloudFormation",
        (STAND_IN,),
        ("stacks",),
    ),
    Check(
        "host_managed",
        "Systems Manager reaches the EC2 host, and runs commands there",
        (NOTHING,),
        ("hosts",),
    ),
    Check(
        "host_pulls",
        "The EC2 host pulls the image with its own role",
        (NOTHING,),
        ("host_managed", "image"),
    ),
    Check(
        "metadata_refused",
        "A container on the EC2 host does not reach the metadata service, and the host does",
        (STAND_IN, AWS_PAGE),
        ("host_pulls",),
    ),
    Check("pause", "The database pauses when it is idle", (SCHEMA, AWS_PAGE), _PROJECTS),
    Check(
        "wake",
        "A paused database wakes for a connection, and how soon",
        (STAND_IN, AWS_PAGE),
        ("pause",),
    ),
    Check("budget", "The account allows budgets", (STAND_IN,), ("stacks",)),
    Check("removal", "Nothing is left of the stacks and of what they retain", (TWIN,)),
    Check(
        "operator",
        "Minimal permissions of an operator",
        (TWIN,),
        (),
        "the run uses the identity that you gave it; run it with the operator's policy alone",
    ),
    Check(
        "other_identities",
        "Web identities and `aws login` as sources of the broker's identity",
        (STAND_IN,),
        (),
        "it needs such a login on a host",
    ),
    Check("docker_desktop", "Docker Desktop on macOS", (NOTHING,), (), "it needs such a machine"),
    Check(
        "upgrade_8_4",
        "Upgrade of a cluster from Aurora MySQL 3 to 8.4, by itself and through the stack",
        (AWS_PAGE,),
        (),
        _TAKES_LONGER,
    ),
    Check(
        "long_pause",
        "A database that has been paused for a day wakes within the timeouts",
        (AWS_PAGE,),
        (),
        _TAKES_LONGER,
    ),
    Check(
        "host_servers",
        "Ansible through Systems Manager, servers on EC2 hosts, and their updates",
        (TWIN, STAND_IN),
        (),
        "it needs a bucket for Ansible's files; deploy to an EC2 host",
    ),
    Check(
        "costs",
        "The costs in the documentation",
        (AWS_PAGE,),
        (),
        "a bill appears after a day; filter Cost Explorer by the stack's tag",
    ),
)
BY_NAME = {check.name: check for check in CHECKS}


def table() -> str:
    """Return the checks as docs/aws.md has them, a Markdown table."""
    rows = []
    for check in CHECKS:
        how = f"no: {check.by_hand}" if check.by_hand else f"`{check.name}`"
        rows.append(f"| {check.claim} | {', '.join(check.shown)} | {how} |")
    head = [
        "| Claim | Shown without an account by | Checked by `verify_aws` |",
        "| --- | --- | --- |",
    ]
    return "\n".join([*head, *rows]) + "\n"
