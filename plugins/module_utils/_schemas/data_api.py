# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: SQL over HTTPS and IAM, through the RDS Data API.

It needs no network path to the database, and AWS reads the master secret, not this module.
"""

from __future__ import annotations

import contextlib
import re
import time
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import database
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.database import (
    Rows,
    SqlError,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.mysql_errors import DENIED
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._wait import wait

_RETRY_SECONDS = 2.0
# Seconds after which an idle session ends: of a killed run nothing else would end it.
_SESSION_SECONDS = 60
_RESUMING = {"DatabaseResumingException"}
_ASLEEP = {*_RESUMING, "DatabaseUnavailableException"}
_NUMBER = re.compile(r"(?:code: |ERROR |\()(\d{4})\b[).,:]*(?: Message:)?\s*(.*)", re.DOTALL)


class DataApiTransport:
    """Sends each statement as one call."""

    def __init__(self, client: t.Any, cluster: str, secret: str, timeout: float) -> None:
        """Ask the cluster once, waiting up to timeout seconds while it resumes."""
        self.where = f"cluster {cluster.rpartition(':')[2]}"
        self.waited = 0.0
        self.statements = 0
        self._client = client
        self._target = {"resourceArn": cluster, "secretArn": secret}
        self._timeout = timeout
        self._awake = False
        self.query("SELECT 1")
        self._awake = True

    def query(self, sql: str) -> Rows:
        """Return the rows of a statement."""
        return self._run(sql)

    def execute(self, sql: str) -> None:
        """Carry out a statement; one that takes longer than the API waits goes on."""
        self._run(sql, {"continueAfterTimeout": True})

    @contextlib.contextmanager
    def hold(self, name: str, timeout: float) -> t.Iterator[None]:
        """Hold a lock while the block runs, in the session that a transaction keeps."""
        number = self._call("begin_transaction", {})["transactionId"]
        keep = {"transactionId": number}
        try:
            self._run(f"SET SESSION wait_timeout = {_SESSION_SECONDS}", keep)
            with database.locked(lambda sql: self._run(sql, keep), name, timeout, self.where):
                yield
        finally:
            with contextlib.suppress(MlflowError):
                self._call("rollback_transaction", keep)

    def close(self) -> None:
        """Nothing stays open."""

    def _run(self, sql: str, more: t.Mapping[str, t.Any] | None = None) -> Rows:
        """Send one statement, with more arguments of the call, and return its rows."""
        self.statements += 1
        answer = self._call("execute_statement", {"sql": sql, **(more or {})})
        return [tuple(map(_value, record)) for record in answer.get("records", [])]

    def _call(self, operation: str, arguments: t.Mapping[str, t.Any]) -> t.Any:
        """Call AWS; try again while the cluster resumes."""
        call = getattr(self._client, operation)
        start = time.monotonic()
        told: list[str] = []

        def attempt() -> t.Any:
            with _aws.explained(f"run SQL on {self.where} by the RDS Data API", self._client):
                return self._attempt(call, arguments, told)

        def late() -> MlflowError:
            return MlflowError(
                f"The database of {self.where} did not wake up within {self._timeout:.0f} seconds "
                f"({told[-1]}); rerun, or raise the timeout."
            )

        answer = wait(attempt, start + self._timeout, late, _RETRY_SECONDS)
        if told:
            self.waited += time.monotonic() - start
        return answer

    def _attempt(
        self, call: t.Callable[..., t.Any], arguments: t.Mapping[str, t.Any], told: list[str]
    ) -> t.Any:
        """Call AWS once; return None, with AWS's words in told, if the cluster is still resuming."""
        try:
            return call(**self._target, **arguments)
        except self._client.exceptions.ClientError as error:
            code, text = _aws.error_code(error), _aws.error_text(error)
            if code not in (_RESUMING if self._awake else _ASLEEP):
                self._refuse(code, text)
                raise
        told.append(text)
        return None

    def _refuse(self, code: str, text: str) -> None:
        """Raise what MySQL or the Data API said; return if it is about AWS itself."""
        secret = self._target["secretArn"]
        if code == "HttpEndpointNotEnabledException":
            raise MlflowError(
                f"{self.where} has no Data API; set EnableHttpEndpoint in the backend's stack, or use the "
                "transport mysql."
            )
        if code in ("SecretsErrorException", "InvalidSecretException"):
            raise MlflowError(
                f"The RDS Data API cannot use the secret {secret} ({text}); check that it exists and is "
                "this cluster's master secret."
            )
        if "not found for ARN" in text or code == "DatabaseNotFoundException":
            raise MlflowError(
                f"There is no {self.where} in this account and region; deploy the backend, or set the "
                "region that it is in."
            )
        found = _NUMBER.search(text)
        if not found:
            return
        number = int(found[1])
        if number in DENIED and "using password" in text:
            raise MlflowError(
                f"MySQL on {self.where} rejected the user of the secret {secret}; check that it is this "
                "cluster's master secret."
            )
        raise SqlError(number, found[2].strip(" '\")"))


def _value(field: t.Mapping[str, t.Any]) -> t.Any:
    """Return the value of one field."""
    if field.get("isNull"):
        return None
    value = next(iter(field.values()))
    return value.decode("utf-8") if isinstance(value, bytes) else value
