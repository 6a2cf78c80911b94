# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What MySQL refuses is said alike by the modules and by the programs that run beside a server."""

from __future__ import annotations

import pymysql
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import mysql_errors
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import mysql as program

HOST = "Host '10.0.0.7' is blocked because of many connection errors"


def test_both_sides_say_the_same_of_a_blocked_host() -> None:
    """Neither can import the other, so each has the text."""
    assert mysql_errors.BLOCKED == program.BLOCKED
    error = pymysql.err.OperationalError(1129, f"{HOST}.")
    database = {"user": "u", "secret": "s"}
    told = program.sentence(error, "mysql+pymysql://db.example:3306/demo", database)
    text = mysql_errors.BLOCKED.format(reason=HOST)
    assert told == f"The database at db.example:3306 {text}"
    assert (
        mysql_errors.refusal(error, "db.example:3306", "u", "db.example")
        == f"MySQL at db.example:3306 {text}"
    )
    for word in (HOST, "port scan", "max_connect_errors", "FLUSH HOSTS", "host_cache"):
        assert word in text
