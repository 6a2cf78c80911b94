# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The credential broker: its sentences, what it keeps and renews, its sockets; and the server as its client."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._broker import (
    settings as plugin_settings,
)
from ansible_collections.mlops.mlflow_aws.programs.broker.mlflow_aws_broker import (
    identity,
    keeper,
    reasons,
    settings,
)
from ansible_collections.mlops.mlflow_aws.programs.broker.mlflow_aws_broker.errors import (
    BrokerError,
    DeniedError,
    IdentityError,
)
from ansible_collections.mlops.mlflow_aws.programs.broker.mlflow_aws_broker.identity import (
    Credentials,
)
from ansible_collections.mlops.mlflow_aws.programs.broker.mlflow_aws_broker.keeper import Keeper
from ansible_collections.mlops.mlflow_aws.programs.broker.mlflow_aws_broker.listener import Listener
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import broker
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.errors import EntryError

ROLE = "arn:aws:iam::123456789012:role/demo"


def failure(kind: str, message: str = "it failed.", base: type[Exception] = Exception) -> Exception:
    """Return an error of botocore's, by its name."""
    error: Exception = type(kind, (base,), {})(message)
    return error


def refusal(code: str, message: str = "no") -> Exception:
    """Return AWS's refusal, as botocore raises it."""
    error = failure("ClientError")
    error.response = {"Error": {"Code": code, "Message": message}}  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (failure("UnauthorizedSSOTokenError"), IdentityError,
         "The AWS login of this host has ended; run `aws sso login --profile team` there."),
        (failure("TokenRetrievalError"), IdentityError, "run `aws sso login --profile team` there."),
        (failure("LoginRefreshRequired"), IdentityError, "run `aws login --profile team` there."),
        (failure("NoCredentialsError"), IdentityError, "This host has no AWS credentials; log in there"),
        (failure("ProfileNotFound"), IdentityError, "has no profile team; add it or name another."),
        (failure("CredentialRetrievalError"), IdentityError,
         "The credential_process of profile team failed (it failed); fix it on this host."),
        (failure("MissingDependencyException"), IdentityError, "set mlflow_server_broker to process."),
        (FileNotFoundError(2, "No such file", "vault"), IdentityError, "set mlflow_server_broker to process."),
        (failure("EndpointConnectionError"), IdentityError, "AWS cannot be reached (it failed);"),
        (failure("Other"), IdentityError, "AWS was not asked (it failed); check the AWS configuration"),
        (refusal("ExpiredToken"), IdentityError, "of profile team have expired; log in there again."),
        (refusal("InvalidClientTokenId"), IdentityError, "does not accept the credentials of profile team"),
        (refusal("AccessDenied"), DeniedError, f"The role {ROLE} cannot be assumed: AWS denies it (no);"),
        (refusal("AccessDenied", "Signature expired: now"), IdentityError, "The clock of this host is wrong"),
        (refusal("Throttling", "slow\n down"), BrokerError, "AWS answers Throttling (slow down); see"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(error: Exception, kind: type[Exception], words: str) -> None:
    """With what the person has to do."""
    found = reasons.explain(error, "team", ROLE)
    assert found.__class__ is kind
    assert words in str(found)
    assert "\n" not in str(found)
    assert str(found).endswith(".")


def test_the_default_profile_needs_no_option() -> None:
    """As a person would type it."""
    found = reasons.explain(failure("SSOTokenLoadError"), "", ROLE)
    assert "run `aws sso login` there" in str(found)


class Assumed:
    """Stands for the host's identity: gives credentials of a lifetime, or fails."""

    def __init__(self, seconds: float = 3600) -> None:
        """Take the lifetime of what it gives."""
        self.seconds = seconds
        self.error: BrokerError | None = None
        self.times = 0
        self.may = threading.Event()
        self.may.set()

    def assume(self, _project: str, _role: str) -> Credentials:
        """Return new credentials."""
        self.may.wait(10)
        self.times += 1
        if self.error:
            raise self.error
        end = datetime.now(UTC) + timedelta(seconds=self.seconds)
        return Credentials(f"key {self.times}", "secret", "token", time.time(), end)


def made(source: Assumed) -> Keeper:
    """Return the keeper of a project."""
    return Keeper("demo", ROLE, source)  # type: ignore[arg-type]


def test_credentials_are_kept() -> None:
    """AWS is asked once for any number of clients, also for those that come at once."""

    async def run() -> None:
        source = Assumed()
        kept = made(source)
        answers = await asyncio.gather(*(kept.answer() for _number in range(50)))
        assert {answer["AccessKeyId"] for answer in answers} == {"key 1"}
        assert set(answers[0]) == {
            "Version",
            "AccessKeyId",
            "SecretAccessKey",
            "SessionToken",
            "Expiration",
        }
        assert source.times == 1

    asyncio.run(run())


def test_what_is_due_is_renewed_and_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """While AWS does not answer, what is valid stays in use."""

    async def run() -> None:
        source = Assumed()
        kept = made(source)
        await kept.renew()
        old = kept._kept
        assert old is not None
        # More than half of an hour is over.
        kept._kept = old._replace(
            begin=time.time() - 2400, expiration=datetime.now(UTC) + timedelta(seconds=1200)
        )
        source.may.clear()
        monkeypatch.setattr(keeper, "WATCH_SECONDS", 0.05)
        watching = asyncio.create_task(kept.watch())
        await asyncio.sleep(0.1)
        assert (await asyncio.wait_for(kept.answer(), 1))["AccessKeyId"] == "key 1"
        source.may.set()
        while source.times < 2:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
        assert (await kept.answer())["AccessKeyId"] == "key 2"
        watching.cancel()

    asyncio.run(run())


def test_a_login_that_ended_takes_nothing_away(capsys: pytest.CaptureFixture[str]) -> None:
    """Credentials are given until they end; then the sentence is, and after a login all is well."""

    async def run() -> None:
        source = Assumed(seconds=120)
        kept = made(source)
        await kept.renew()
        source.error = IdentityError("The AWS login has ended.")
        old = kept._kept
        assert old is not None
        kept._kept = old._replace(
            begin=time.time() - 100, expiration=datetime.now(UTC) + timedelta(seconds=20)
        )
        assert (await kept.answer())["AccessKeyId"] == "key 1"
        assert kept.error == "The AWS login has ended."
        kept._kept = old._replace(expiration=datetime.now(UTC) - timedelta(seconds=1))
        assert await kept.answer() == {"error": "The AWS login has ended.", "login": True}
        source.error = None
        assert (await kept.answer())["AccessKeyId"].startswith("key")
        assert kept.error == ""

    asyncio.run(run())
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "mlflow_broker: Project 'demo': The AWS login has ended.",
        "mlflow_broker: Project 'demo' has credentials again.",
    ]


def test_a_new_role_gets_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS refuses it for some seconds after it was made; one that worked before gets none."""
    monkeypatch.setattr(keeper, "_NEW_PAUSE_SECONDS", 0.01)

    async def run() -> None:
        source = Assumed()
        source.error = DeniedError("denied.")
        kept = made(source)
        waiting = asyncio.create_task(kept.answer())
        while source.times < 3:
            await asyncio.sleep(0.01)
        source.error = None
        assert "AccessKeyId" in await waiting
        source.error = DeniedError("denied.")
        kept._kept = None
        kept._new_until = 0
        assert await kept.answer() == {"error": "denied.", "login": False}

    asyncio.run(run())


def test_a_login_is_noticed_by_its_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of the cache too; what has not changed is the same."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    first = identity._files()
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    (cache / "token.json").write_text("{}")
    second = identity._files()
    assert second != first
    assert identity._files() == second


@contextmanager
def listening(path: Path, *answers: dict[str, Any]) -> Iterator[list[int]]:
    """Serve answers on a socket, the last one again and again; gives the number of each connection."""
    seen, left = list[int](), list(answers)
    ready, loops, ends = threading.Event(), list[asyncio.AbstractEventLoop](), asyncio.Event()

    async def answer() -> dict[str, Any]:
        seen.append(len(seen))
        return left.pop(0) if len(left) > 1 else left[0]

    async def serve() -> None:
        # Closed with all its connections before the loop ends: what is left pending fails a later test.
        async with await Listener(path, answer).listen():
            loops.append(asyncio.get_running_loop())
            ready.set()
            await ends.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield seen
    finally:
        loops[0].call_soon_threadsafe(ends.set)
        thread.join()


GOOD = {"Version": 1, "AccessKeyId": "A"}


def talk(path: Path, sent: bytes) -> bytes:
    """Return what a socket gives to a client that sends this, and no more."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        # It may have hung up already.
        with suppress(BrokenPipeError):
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            return client.recv(65536)
    return b""


def test_a_socket_is_for_its_user_alone(tmp_path: Path) -> None:
    """One that a killed broker left is replaced, and so is its key."""
    path = tmp_path / "aws.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    keys = set()
    for _number in range(2):
        with listening(path, GOOD):
            key = path.with_suffix(".key")
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(key.stat().st_mode) == 0o400
            assert json.loads(talk(path, key.read_bytes())) == GOOD
            keys.add(key.read_bytes())
    assert len(keys) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aws.key", "aws.sock"]


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"{}",
        b"0" * 64,
        b'{"role_arn": "another"}' + b" " * 100_000,
    ],
)
def test_a_client_without_the_key_gets_no_answer(
    sent: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And is none of those that the project's own clients would wait for; the log tells of it once."""
    path = tmp_path / "aws.sock"
    with listening(path, GOOD) as seen:
        assert [talk(path, sent), talk(path, sent)] == [b"", b""]
        assert seen == []
        assert broker.credentials(path) == GOOD
    assert capsys.readouterr().err.count("did not send its key") == 1


def test_clients_without_the_key_keep_out_nobody(tmp_path: Path) -> None:
    """As many as are served at once say nothing, and one with the key gets its answer."""
    path = tmp_path / "aws.sock"
    with listening(path, GOOD), ExitStack() as stack:
        for _number in range(70):
            silent = stack.enter_context(socket.socket(socket.AF_UNIX))
            silent.connect(str(path))
        started = time.monotonic()
        assert broker.credentials(path, wait=0) == GOOD
        assert time.monotonic() - started < 4


def test_a_server_asks_its_socket(tmp_path: Path) -> None:
    """And passes on the sentence, apart from whose matter it is."""
    path = tmp_path / "aws.sock"
    with listening(
        path, GOOD, {"error": "Log in.", "login": True}, {"error": "Denied.", "login": False}
    ):
        assert broker.credentials(path) == GOOD
        with pytest.raises(broker.LoginError, match=r"^Log in\.$"):
            broker.credentials(path)
        with pytest.raises(EntryError, match=r"^Denied\.$") as caught:
            broker.credentials(path)
        assert not isinstance(caught.value, broker.LoginError)


def test_a_server_waits_for_its_broker(tmp_path: Path) -> None:
    """One that is restarted is back soon; one that is not is named."""
    path = tmp_path / "aws.sock"
    with pytest.raises(EntryError, match=r"does not answer on .*; run the servers playbook\.$"):
        broker.credentials(path, wait=0)
    found: list[Any] = []
    client = threading.Thread(target=lambda: found.append(broker.credentials(path)))
    client.start()
    time.sleep(0.3)
    with listening(path, GOOD):
        client.join(10)
    assert found == [GOOD]


def test_a_server_without_credentials_refuses(tmp_path: Path) -> None:
    """It looks again soon, since somebody logs in without telling it."""
    path = tmp_path / "aws.sock"
    given = {"aws": {"broker": str(path)}}
    with listening(path, {"error": "Log in.", "login": True}, GOOD):
        with pytest.raises(broker.LoginError, match=r"^Log in\.$") as caught:
            broker.require(given)
        assert caught.value.retry_seconds <= 15
        broker.require(given)
    broker.require({})


@pytest.mark.parametrize(
    ("answer", "code", "said"), [(GOOD, 0, ""), ({"error": "No."}, 1, "No.\n")]
)
def test_the_health_of_a_server_tells(
    answer: dict[str, Any], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What Docker shows of it."""
    path = tmp_path / "aws.sock"
    with listening(path, answer):
        assert broker.health({"aws": {"broker": str(path)}}) == code
    assert capsys.readouterr().out == said
    assert broker.health({}) == 0


def test_both_sides_agree(tmp_path: Path) -> None:
    """On what a settings file holds."""
    params = {
        "region": "eu-west-1",
        "endpoint_url": "",
        "profile": "team",
        "environment": {"A": 1},
        "projects": {"demo": ROLE},
    }
    content = plugin_settings.settings(params, "/s/{}/x.sock", "/state", "id")
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(content))
    found = settings.read(path)
    project = settings.Project(ROLE, Path("/s/demo/x.sock"))
    assert found == settings.Settings(
        "eu-west-1", "", "team", {"A": "1"}, Path("/state"), {"demo": project}
    )
    assert set(content) == {*found._fields, "configuration"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"region": 1}'])
def test_settings_that_cannot_be_read(text: str, tmp_path: Path) -> None:
    """One sentence."""
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(BrokerError, match=r"cannot be read .*; run the servers playbook"):
        settings.read(path)
