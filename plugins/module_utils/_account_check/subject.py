# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what the probes of an account share: the stack, clients, and a project's identity."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws, _aws_roles
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._wait import wait

# IAM is consistent after seconds; a minute is what servers wait, too.
_PROPAGATION_SECONDS = 90.0
_POLL_SECONDS = 2.0
_EXPLICIT = "explicit deny"
_DENIED = {"AccessDenied", "AccessDeniedException", "403", "Forbidden"}
Answer = t.TypeVar("Answer")


class ClaimError(MlflowError):
    """A claim that does not hold; the text is the evidence."""


class NotHereError(MlflowError):
    """What a check needs is not here; the text is the evidence."""


class Subject:
    """The stack that is checked, and two of its projects.

    backend is a backend record, empty if there is none yet; outputs are those of its stack, deadline is a
    time.monotonic().
    """

    def __init__(
        self,
        params: t.Mapping[str, t.Any],
        deadline: float,
    ) -> None:
        """Take the module's options."""
        self.params = params
        self.backend: t.Mapping[str, t.Any] = params["backend"]
        self.outputs: t.Mapping[str, str] = params["outputs"]
        self.deadline = deadline
        self._clients: dict[tuple[str, bool], t.Any] = {}
        self._assumed: tuple[t.Mapping[str, str], float, int] | None = None

    @property
    def own(self) -> t.Mapping[str, t.Any]:
        """Return the identity of the project whose rights are used."""
        return self._identities()[0]

    @property
    def other(self) -> t.Mapping[str, t.Any]:
        """Return the identity of the project whose things they must not reach."""
        return self._identities()[1]

    def _identities(self) -> list[t.Mapping[str, t.Any]]:
        """Return the projects' identities, by name."""
        return sorted(self.backend["identities"], key=lambda entry: str(entry["name"]))

    @property
    def elsewhere(self) -> str:
        """Return the endpoint that stands for AWS, empty for AWS itself."""
        endpoint = str(self.client("sts").meta.endpoint_url)
        return (
            ""
            if endpoint.rstrip("/").endswith((".amazonaws.com", ".amazonaws.com.cn"))
            else endpoint
        )

    def client(self, service: str) -> t.Any:
        """Return a client of the operator's."""
        key = (service, False)
        if key not in self._clients:
            self._clients[key] = _aws.client(self.params, service)
        return self._clients[key]

    def assumed(self) -> tuple[t.Mapping[str, str], float, int]:
        """Return credentials of the own project's role, and after how many seconds and attempts."""
        if self._assumed is None:
            self._assumed = self._assume()
        return self._assumed

    def _assume(self) -> tuple[t.Mapping[str, str], float, int]:
        """Assume the role, which AWS refuses for some seconds after it was created."""
        role = self.backend["projects"][self.own["name"]]["aws"]["role_arn"]
        begun, attempts = time.monotonic(), [0]
        sts = self.client("sts")
        said: list[str] = []

        def attempt() -> t.Any:
            attempts[0] += 1
            try:
                return sts.assume_role(RoleArn=role, RoleSessionName="verify-aws")["Credentials"]
            except sts.exceptions.ClientError as error:
                if _aws.error_code(error) not in _DENIED:
                    raise
                said.append(_aws.error_text(error))
                return None

        def late() -> MlflowError:
            return ClaimError(
                f"The role of project '{self.own['name']}' cannot be assumed ({said[-1]}); allow "
                "sts:AssumeRole on it to the identity of this run."
            )

        with _aws.explained("assume the role of a project", sts):
            found = wait(attempt, self.until(_PROPAGATION_SECONDS), late, _POLL_SECONDS)
        return found, time.monotonic() - begun, attempts[0]

    def as_project(self, service: str) -> t.Any:
        """Return a client with the credentials of the own project's role."""
        key = (service, True)
        if key not in self._clients:
            given, _seconds, _attempts = self.assumed()
            self._clients[key] = _aws.client(self.params, service, _aws_roles.client_keys(given))
        return self._clients[key]

    def until(self, seconds: float) -> float:
        """Return the end of a wait, which is not after that of the run."""
        return min(time.monotonic() + seconds, self.deadline)

    def allowed(self, what: str, call: t.Callable[[], Answer]) -> Answer:
        """Return what a call of the project answers, once its new rights apply."""
        said: list[str] = []

        def attempt() -> tuple[Answer] | None:
            try:
                return (call(),)
            except Exception as error:
                if _aws.error_code(error) not in _DENIED:
                    raise
                said.append(_aws.error_text(error))
                # That does not change with the time that a new right takes.
                if _EXPLICIT in said[-1]:
                    raise self._explicit(said[-1]) from None
                return None

        def late() -> MlflowError:
            return ClaimError(f"The role is denied {what} of its own ({said[-1]}).")

        with _aws.explained(f"use {what} as a project", None):
            return wait(attempt, self.until(_PROPAGATION_SECONDS), late, _POLL_SECONDS)[0]

    def _explicit(self, said: str) -> MlflowError:
        """Return what an explicit denial means: without TLS, the bucket's policy denies everything."""
        if self.elsewhere.startswith("http:"):
            return NotHereError(
                f"the endpoint {self.elsewhere} speaks no TLS, which the bucket's policy requires ({said})"
            )
        return ClaimError(f"The role is denied what is its own ({said}).")

    def denied(self, what: str, call: t.Callable[[], t.Any]) -> str:
        """Return the code with which AWS refuses a call of the project; raise if it does not."""
        try:
            with _aws.explained(f"try {what} as a project", None):
                try:
                    call()
                except Exception as error:
                    if _aws.error_code(error) in _DENIED:
                        return _aws.error_code(error)
                    raise
        except MlflowError as error:
            raise ClaimError(f"{error} That is another answer than a denial.") from None
        self._require_enforcement()
        raise ClaimError(f"The role of a project was not denied {what}.")

    def _require_enforcement(self) -> None:
        """Raise NotHereError where a role may do what nobody allowed, as at an emulator without IAM."""
        if not self.elsewhere:
            return
        try:
            self.as_project("iam").list_users()
        except Exception as error:
            if _aws.error_code(error) in _DENIED:
                return
            raise
        raise NotHereError(
            f"the endpoint {self.elsewhere} does not enforce IAM: it lets the project's role list users"
        )
