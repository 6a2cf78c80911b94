# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What MLflow encrypts outlives the process that encrypted it, and every worker reads it."""

from __future__ import annotations

import base64
import json
import re
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import (
    keys as server_keys,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.host import (
    Host,
    actions,
    ask,
    await_,
    by_name,
    traces,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.webhooks import (
    ENVIRONMENT,
    WEBHOOKS,
    Receiver,
    create,
    receiver,
    register,
)
from cryptography.fernet import Fernet

pytestmark = pytest.mark.timeout(900)

GATEWAY = "/api/3.0/mlflow/gateway/secrets"


@pytest.fixture
def received() -> Iterator[Receiver]:
    """Return a receiver of webhooks."""
    with receiver() as made:
        yield made


@pytest.fixture
def served(new_host: Callable[..., Host]) -> Iterator[Host]:
    """Return a host with a project whose server may send webhooks to loopback."""
    host = new_host("demo")
    host.known["demo"] |= {"environment": ENVIRONMENT}
    yield host
    host.close()


def start(host: Host, **changes: Any) -> str:
    """Bring demo's server up with these options; return its URL."""
    url: str = by_name(host.converge(host.server("demo", **changes)))["demo"]["url"]
    return url


def restart(host: Host, **changes: Any) -> str:
    """Stop demo's server and start it."""
    host.converge(host.server("demo"), state="stopped")
    return start(host, **changes)


def new_webhook(host: Host, url: str, received: Receiver) -> str:
    """Create a webhook by MLflow's client."""
    return create(host.runtime["python"], host.state, url, "told", received.url)


def rows(host: Host, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement in demo's database."""
    with closing(sqlite3.connect(host.database("demo"), timeout=30)) as connection:
        found = connection.execute(statement).fetchall()
        connection.commit()
    return found


@pytest.mark.thorough("A webhook of the twin outlives its container every time.")
def test_a_webhook_outlives_its_server(served: Host, received: Receiver) -> None:
    """It is listed, delivered and verified after a restart, by two workers, and by one again."""
    new_webhook(served, start(served), received)
    for number, workers in enumerate((1, 2, 1)):
        url = restart(served, workers=workers)
        # Each connection may meet another worker.
        for _try in range(8):
            status, text = ask(url, WEBHOOKS)
            assert status == 200, text
            assert len(json.loads(text)["webhooks"]) == 1
        for part in range(4):
            register(url, f"model-{number}-{part}")
    await_(lambda: len(received.verified) == 12, "not delivered")
    assert received.verified == [True] * 12


def test_the_key_is_kept_with_the_data_and_shown_nowhere(served: Host, received: Receiver) -> None:
    """In one file that only the user can read; neither it nor what is derived is seen."""
    new_webhook(served, start(served), received)
    path = served.state / "projects" / "demo" / "key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    root = path.read_text().strip()
    assert len(base64.b64decode(root)) == 32
    settings = {"key_file": str(path), "environment": {}}
    keys = server_keys.variables(settings, None)
    assert set(keys) == {
        server_keys.WEBHOOKS,
        server_keys.PASSPHRASE,
        server_keys.PASSPHRASE_VERSION,
    }
    assert len({root, *keys.values()}) == 4
    done = served.converge(served.server("demo", workers=2), how={"diff": True, "verbosity": 4})
    assert actions(done) == {"demo": "restart"}
    for secret in (root, keys[server_keys.WEBHOOKS], keys[server_keys.PASSPHRASE]):
        assert traces(secret) == []
        assert secret not in json.dumps(done)
        told = [path for path in served.folder.rglob("*") if path.is_file()]
        assert told
        assert [path for path in told if secret in path.read_text(errors="replace")] == []
    # The second start took the same key, and left nothing beside it.
    assert path.read_text().strip() == root
    assert {item.name for item in path.parent.iterdir() if "key" in item.name} == {"key"}


@pytest.mark.thorough("The generated key is used every time.")
def test_a_key_of_ones_own_wins(served: Host, received: Receiver) -> None:
    """What server.environment sets is what MLflow gets."""
    own = base64.urlsafe_b64encode(b"k" * 32).decode()
    url = start(served, environment=ENVIRONMENT | {server_keys.WEBHOOKS: own})
    new_webhook(served, url, received)
    ((sealed,),) = rows(served, "SELECT secret FROM webhooks")
    assert Fernet(own).decrypt(sealed.encode())
    register(url, "model")
    await_(lambda: received.verified == [True], "not delivered")


@pytest.mark.thorough("A file that holds no key is refused every time.")
def test_a_secret_that_is_lost_breaks_nothing_else(served: Host, received: Receiver) -> None:
    """What was encrypted by a key that is gone is told once; it can be replaced or deleted."""
    url = start(served, key_file="")
    lost = new_webhook(served, url, received)
    url = restart(served)
    kept = create(served.runtime["python"], served.state, url, "kept", received.url)
    status, text = ask(url, WEBHOOKS)
    assert status == 200, text
    assert {item["webhook_id"] for item in json.loads(text)["webhooks"]} == {lost, kept}
    register(url, "model")
    await_(lambda: len(received.verified) == 2, "not delivered")
    # The one whose secret is lost is signed, and by nobody's secret.
    assert sorted(received.verified) == [False, True]
    log = (served.folder / "demo" / "server.log").read_text()
    assert log.count("encrypted with a key that is lost; set the webhook's secret again") == 1


@pytest.mark.thorough("The secret of a webhook stays readable, by the same key, every time.")
def test_secrets_of_the_gateway_stay_readable(served: Host) -> None:
    """Those of before, by the passphrase in MLflow's source, too; new ones are by our own."""
    secret = {"secret_name": "old", "secret_value": {"api_key": "sk-0123456789"}, "provider": "x"}
    url = start(served, key_file="")
    status, text = ask(url, f"{GATEWAY}/create", secret)
    assert status == 200, text
    url = restart(served)
    status, text = ask(url, f"{GATEWAY}/create", secret | {"secret_name": "new"})
    assert status == 200, text
    versions = dict(rows(served, "SELECT secret_name, kek_version FROM secrets"))
    assert versions == {"old": 1, "new": 2}
    assert decrypted(served) == {"old": "sk-0123456789", "new": "sk-0123456789"}


def decrypted(host: Host) -> dict[str, str]:
    """Return what a process with the server's keys reads of all secrets, by MLflow's own store."""
    program = (
        "import json, os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from mlflow_aws_server import keys\n"
        "settings = {'key_file': sys.argv[2], 'environment': {}}\n"
        "os.environ.update(keys.variables(settings, None))\n"
        "keys.read_older(settings)\n"
        "from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore\n"
        "store = SqlAlchemyStore(sys.argv[3], sys.argv[4])\n"
        "found = store.list_secret_infos()\n"
        "read = {one.secret_name: store._get_decrypted_secret(one.secret_id) for one in found}\n"
        "print(json.dumps({name: secret['api_key'] for name, secret in read.items()}))\n"
    )
    known = host.known["demo"]
    entry = str(Path(host.runtime["entrypoint"]).parent)
    command = [
        host.runtime["python"], "-c", program, entry, known["key_file"],
        known["backend_store_uri"], known["artifacts_destination"],
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_a_file_that_holds_no_key_is_refused(served: Host) -> None:
    """In one sentence that names the file, before anything is decrypted by half a key."""
    start(served)
    path = served.state / "projects" / "demo" / "key"
    path.write_text("bm8ga2V5\n")
    served.converge(served.server("demo"), state="stopped")
    failed = served.fail(served.server("demo"), timeout=60)
    told = json.dumps(failed)
    assert re.search(r"projects/demo/key does not hold a key of 32 bytes in base64", told), told
