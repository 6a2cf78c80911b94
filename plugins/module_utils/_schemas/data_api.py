# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: SQL over HTTPS and IAM, through the RDS Data API.

It needs no network path to the database, and AWS reads the master secret, not this module.
"""

from __future__ import annotations

import contextlib
import re
import threading
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas import database
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.database import (
    NotNow,
    Rows,
    SqlError,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._schemas.mysql_errors import (
    DENIED,
    PASSING,
    TOO_MANY,
)

# Seconds after which an idle session ends: of a killed run nothing else would end it. The API itself
# ends a transaction that is not used for three minutes.
_SESSION_SECONDS = 60
_ALIVE_SECONDS = 15.0
_JOIN_SECONDS = 5.0
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
        self._check: t.Callable[[], None] | None = None
        self.query("SELECT 1")
        self._awake = True

    def query(self, sql: str) -> Rows:
        """Return the rows of a statement."""
        return self._run(sql)

    def execute(self, sql: str) -> None:
        """Carry out a statement, which goes on if it takes longer than the API waits.

        Within hold(), raises MlflowError instead if the lock was lost.
        """
        if self._check:
            self._check()
        self._run(sql, {"continueAfterTimeout": True})

    @contextlib.contextmanager
    def hold(self, name: str, timeout: float) -> t.Iterator[None]:
        """Hold a lock while the block runs, in the session that a transaction keeps.

        Statements run elsewhere, since those that define something would end the transaction. So
        its session is kept from being idle, and each change asks first whether the lock is held.
        """
        number = self._call("begin_transaction", {})["transactionId"]
        keep = {"transactionId": number}
        one_at_a_time = threading.Lock()

        def ask(sql: str) -> Rows:
            with one_at_a_time:
                return self._run(sql, keep)

        try:
            ask(f"SET SESSION wait_timeout = {_SESSION_SECONDS}")
            with database.locked(ask, name, timeout, self.where) as check, _repeated(check):
                self._check = check
                yield
        finally:
            self._check = None
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
        """Call AWS; try again while the cluster resumes or has no connection left."""
        call = getattr(self._client, operation)

        def attempt() -> t.Any:
            with _aws.explained(f"run SQL on {self.where} by the RDS Data API", self._client):
                return self._attempt(call, arguments)

        def late(reason: str) -> MlflowError:
            return MlflowError(
                f"The database of {self.where} did not wake up within {self._timeout:.0f} seconds "
                f"({reason}); rerun, or raise the timeout."
            )

        answer, seconds = database.once_awake(attempt, self._timeout, late)
        self.waited += seconds
        return answer

    def _attempt(self, call: t.Callable[..., t.Any], arguments: t.Mapping[str, t.Any]) -> t.Any:
        """Call AWS once; raise NotNow, with AWS's words, if the cluster is still resuming."""
        try:
            return call(**self._target, **arguments)
        except self._client.exceptions.ClientError as error:
            code, text = _aws.error_code(error), _aws.error_text(error)
            if code in (_RESUMING if self._awake else _ASLEEP):
                raise NotNow(text) from None
            self._refuse(code, text)
            raise

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
        # Once it was awake, a lost connection may have been lost while the statement ran.
        if number in ({TOO_MANY} if self._awake else PASSING):
            raise NotNow(text)
        if number in DENIED and "using password" in text:
            raise MlflowError(
                f"MySQL on {self.where} rejected the user of the secret {secret}; check that it is this "
                "cluster's master secret."
            )
        raise SqlError(number, found[2].strip(" '\")"))


@contextlib.contextmanager
def _repeated(check: t.Callable[[], None]) -> t.Iterator[None]:
    """Call check again and again while the block runs; what it finds, the next change finds too."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(_ALIVE_SECONDS):
            with contextlib.suppress(MlflowError):
                check()

    thread = threading.Thread(target=repeat, name="keep-lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_JOIN_SECONDS)


def _value(field: t.Mapping[str, t.Any]) -> t.Any:
    """Return the value of one field."""
    if field.get("isNull"):
        return None
    value = next(iter(field.values()))
    return value.decode("utf-8") if isinstance(value, bytes) else value
