# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: checks of the database over a connection, as administrator and as projects."""

from __future__ import annotations

import contextlib
import json
import socket
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account_check.subject import (
    ClaimError,
    NotHereError,
    Subject,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._backend import connections
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.data_api import (
    DataApiTransport,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.database import SqlError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.mysql import (
    Login,
    MysqlTransport,
)

# The module says so first.
with contextlib.suppress(ImportError):
    import pymysql

_REACH_SECONDS, _WAKE_SECONDS = 5.0, 120.0
_WRONG_NAME = "verify-aws.invalid"
# Access denied to a schema, to a table; TLS required.
_NO_SCHEMA, _NO_TABLE, _TLS_REQUIRED = 1044, 1142, 3159
_TABLE = "verify_aws"
_AURORA = (".rds.amazonaws.com", ".rds.amazonaws.com.cn")
CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"


def tls(subject: Subject) -> str:
    """Connect as it should be, for another name, and without TLS."""
    login = administrator(subject)
    with _connected(login) as connection:
        version = connection.query("SHOW SESSION STATUS LIKE 'Ssl_version'")[0][1]
        server = connection.query("SELECT VERSION()")[0][0]
    try:
        with _connected(login._replace(tls_name=_WRONG_NAME)):
            raise AssertionError(f"the certificate was accepted for {_WRONG_NAME}")
    except MlflowError as error:
        if "certificate" not in str(error):
            raise
    code = _without_tls(login)
    return f"MySQL {server} over {version}; another host name: refused; without TLS: {code}"


def amazon_ca(subject: Subject) -> str:
    """Say that the bundle that verified the connection is Amazon's, and the endpoint Aurora's."""
    host = subject.outputs["DatabaseEndpoint"]
    if not host.endswith(_AURORA):
        raise NotHereError(f"the database is {host}, which is not an endpoint of Amazon RDS")
    if not subject.params["amazon_bundle"]:
        raise NotHereError("mlflow_backend_ca is set, so the connection was verified by another CA")
    return f"{host} was verified by the bundle of the collection"


def schema_refused(subject: Subject) -> str:
    """Let a project's users do what they are for, and try what is not theirs."""
    own, other = subject.own, subject.other
    table, foreign = f"`{own['schema']}`.`{_TABLE}`", f"`{other['schema']}`.`{_TABLE}`"
    with _connected(project_login(subject, "migrator")) as migrator:
        migrator.execute(f"CREATE TABLE IF NOT EXISTS {table} (i INT PRIMARY KEY)")
        try:
            codes = [
                _refused(migrator, f"CREATE TABLE {foreign} (i INT)"),
                _refused(migrator, "SELECT user FROM mysql.user"),
                *_server_refused(subject, table, foreign),
            ]
        finally:
            # The next run would refuse a schema with a table that is not MLflow's.
            migrator.execute(f"DROP TABLE IF EXISTS {table}")
    return f"own schema: created, written, read; refused with {', '.join(map(str, codes))}"


def _server_refused(subject: Subject, table: str, foreign: str) -> list[int]:
    """Let the server's user write and read its own table, and return how it is refused the rest."""
    with _connected(project_login(subject, "runtime")) as server:
        server.execute(f"REPLACE INTO {table} VALUES (1)")
        server.query(f"SELECT i FROM {table}")
        return [
            _refused(server, f"DROP TABLE {table}"),
            _refused(server, f"SELECT i FROM {foreign}"),
            _refused(server, f"INSERT INTO {foreign} VALUES (1)"),
        ]


def connection_limit(subject: Subject) -> str:
    """Compare what the database allows with the table."""
    with _connected(administrator(subject)) as connection:
        found = int(connection.query("SELECT @@max_connections")[0][0])
    if subject.outputs.get("DatabaseManaged") != "true":
        raise NotHereError(f"the stack has an existing database, which allows {found}")
    units = float(subject.params["max_capacity"])
    expected = connections.allowed(units)
    if found < expected:
        raise ClaimError(
            f"The database allows {found} connections at MaxCapacity {units:g}, and the table says {expected}."
        )
    return f"{found} at MaxCapacity {units:g}; the table says {expected}"


def data_api(subject: Subject) -> str:
    """Run a statement through the Data API."""
    transport = by_data_api(subject)
    return f"MySQL {transport.query('SELECT VERSION()')[0][0]} answered"


def by_data_api(subject: Subject) -> DataApiTransport:
    """Return the Data API of the cluster, awake."""
    if subject.outputs.get("DataApi") != "true":
        raise NotHereError("the stack's database has no Data API")
    return DataApiTransport(
        subject.client("rds-data"),
        subject.outputs["DatabaseClusterArn"],
        subject.outputs["DatabaseSecretArn"],
        max(1.0, subject.until(_WAKE_SECONDS) - subject.until(0)),
    )


def password_rotation(subject: Subject) -> str:
    """Log in with the password of now, and with the one before."""
    versions = []
    for stage in (CURRENT, PREVIOUS):
        with _connected(project_login(subject, "runtime", stage)) as connection:
            connection.query("SELECT 1")
        versions.append(stage)
    return f"the server's user logged in with {' and '.join(versions)}"


def greet(subject: Subject, user: str, password: str) -> str:
    """Log in as a user, and return the server's version."""
    with _connected(_login(subject, user, password)) as connection:
        return f"MySQL {connection.query('SELECT VERSION()')[0][0]}"


def administrator(subject: Subject) -> Login:
    """Return how the administrator logs in."""
    password = secret_of(subject, subject.outputs["DatabaseSecretArn"])["password"]
    return _login(subject, subject.outputs["DatabaseUsername"], password)


def project_login(subject: Subject, kind: str, stage: str = CURRENT) -> Login:
    """Return how a user of the own project logs in with a password."""
    identity = subject.own[kind]
    if not identity["secret"]:
        raise NotHereError("the projects log in with IAM and have no passwords")
    return _login(
        subject, identity["user"], secret_of(subject, identity["secret"], stage)["password"]
    )


def secret_of(subject: Subject, arn: str, stage: str = CURRENT) -> dict[str, t.Any]:
    """Return the content of a secret."""
    client = subject.client("secretsmanager")
    with _aws.explained(f"read the secret {arn}", client):
        answer = client.get_secret_value(SecretId=arn, VersionStage=stage)
    found: dict[str, t.Any] = json.loads(answer["SecretString"])
    return found


def _login(subject: Subject, user: str, password: str) -> Login:
    """Return how a user logs in; raise NotHereError where this machine has no path to the database."""
    name, port = subject.outputs["DatabaseEndpoint"], int(subject.outputs["DatabasePort"])
    address = str(subject.params["database_address"] or f"{name}:{port}")
    host, _colon, number = address.rpartition(":")
    try:
        socket.create_connection((host, int(number)), _REACH_SECONDS).close()
    except OSError as error:
        raise NotHereError(
            f"this machine has no path to the database at {address} ({error}): no VPN, and no tunnel "
            "through the relay"
        ) from None
    return Login(host, int(number), user, password, str(subject.params["ca"]), name)


class _connected:
    """A connection, which ends with the block."""

    def __init__(self, login: Login) -> None:
        self._connection = MysqlTransport(login, _WAKE_SECONDS)

    def __enter__(self) -> MysqlTransport:
        return self._connection

    def __exit__(self, *_error: t.Any) -> None:
        self._connection.close()


def _refused(connection: MysqlTransport, sql: str) -> int:
    """Return the code with which MySQL refuses a statement; raise if it does not."""
    try:
        connection.execute(sql)
    except SqlError as error:
        if error.code in (_NO_SCHEMA, _NO_TABLE):
            return error.code
        raise
    raise ClaimError(f"MySQL did not refuse the statement: {sql}.")


def _without_tls(login: Login) -> str:
    """Return how the database refuses a connection without TLS."""
    try:
        pymysql.connect(
            host=login.host,
            port=login.port,
            user=login.user,
            password=login.password,
            ssl_disabled=True,
            connect_timeout=int(_WAKE_SECONDS),
        ).close()
    except (pymysql.err.MySQLError, RuntimeError) as error:
        return f"refused ({error.args[0]})"
    raise ClaimError(
        "The database accepted a connection without TLS; set require_secure_transport."
    )
