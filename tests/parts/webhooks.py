# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MLflow's own client making a webhook with a secret, and a server on loopback that receives."""

from __future__ import annotations

import base64
import hashlib
import hmac
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.tests.parts.host import ask
from ansible_collections.mlops.mlflow_aws.tests.support import clean_environment

SECRET = "what-sender-and-receiver-share"
# MLflow delivers to no address of the server's own network otherwise.
ENVIRONMENT = {
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    "MLFLOW_WEBHOOK_CACHE_TTL": "0",
    "MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES": "0",
}
WEBHOOKS = "/api/2.0/mlflow/webhooks"
_CLIENT = """
import sys
from mlflow import MlflowClient
from mlflow.entities.webhook import WebhookEvent
client = MlflowClient(sys.argv[1])
event = WebhookEvent.from_str("registered_model.created")
made = client.create_webhook(name=sys.argv[2], url=sys.argv[3], events=[event], secret=sys.argv[4])
print(made.webhook_id)
"""


class Receiver:
    """A server that takes webhooks and says of each whether its signature is right."""

    def __init__(self) -> None:
        """Listen on a free port of loopback."""
        receiver = self
        self.verified: list[bool] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                names = ("X-MLflow-Delivery-Id", "X-MLflow-Timestamp")
                text = ".".join([*(str(self.headers[name]) for name in names), body])
                digest = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest()
                right = f"v1,{base64.b64encode(digest).decode()}"
                receiver.verified.append(self.headers["X-MLflow-Signature"] == right)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_words: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Run a receiver."""
    made = Receiver()
    try:
        yield made
    finally:
        made.close()


def create(python: str, home: Path, url: str, name: str, target: str) -> str:
    """Create a webhook by MLflow's client; return its id."""
    done = subprocess.run(
        [python, "-c", _CLIENT, url, name, target, SECRET],
        env=clean_environment(home) | {"MLFLOW_TRACKING_URI": url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made: str = done.stdout.split()[-1]
    return made


def register(url: str, name: str) -> None:
    """Create a model, which the webhook tells of."""
    status, text = ask(url, "/api/2.0/mlflow/registered-models/create", {"name": name})
    assert status == 200, text
