# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server on loopback that answers as OpenAI's chat completions do, with one verdict for every judge."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sk-what-nobody-may-see"
_VERDICT = {"result": "yes", "rationale": "It says so."}
_HOLD_SECONDS = 120


class Model:
    """Counts what it was asked, and whether each had the key; while held it answers nobody."""

    def __init__(self) -> None:
        """Listen on a free port of loopback."""
        model = self
        self.asked = 0
        self.strangers = 0
        self.answers = threading.Event()
        self.answers.set()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                model.asked += 1
                model.strangers += self.headers["Authorization"] != f"Bearer {KEY}"
                model.answers.wait(_HOLD_SECONDS)
                self._answer(asked["model"])

            def _answer(self, name: str) -> None:
                message = {"role": "assistant", "content": json.dumps(_VERDICT)}
                choice = {"index": 0, "finish_reason": "stop", "message": message}
                usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
                answer = {
                    "id": "1",
                    "object": "chat.completion",
                    "created": 1,
                    "model": name,
                    "choices": [choice],
                    "usage": usage,
                }
                body = json.dumps(answer).encode()
                # Whoever asked may be gone.
                try:
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_words: object) -> None:
                """Write nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables by which MLflow asks it in place of OpenAI."""
        url = f"http://127.0.0.1:{self.server.server_port}/v1"
        return {"OPENAI_API_BASE": url, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": KEY}


@contextmanager
def model() -> Iterator[Model]:
    """Yield a model; it ends with the block."""
    made = Model()
    try:
        yield made
    finally:
        made.answers.set()
        made.server.shutdown()
        made.server.server_close()
