# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server on loopback that answers as OpenAI's chat completions do, the same to whoever asks the same.

It fills in the JSON schema that an answer is to have, as MLflow's code parses what it gets, and calls a tool
first where it is offered some.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-what-nobody-may-see"
VERDICT = "yes"
ISSUE = "Nothing is answered"
CATEGORY = "safety"
# The prompt that it improves, and what it makes of it.
PROMPT, IMPROVED = "answer", "Answer in one word: {{question}}"
_RATIONALE = "It says so."
# What it fills in, by the name of the property.
_SAYS: dict[str, Any] = {
    "result": VERDICT,
    "rationale": _RATIONALE,
    "groups": [{"name": f"Issue: {ISSUE}", "indices": [0]}],
    "name": f"Issue: {ISSUE}",
    "description": "The answer is empty.",
    "root_cause": "The model says nothing.",
    "example_indices": [0],
    "severity": "high",
    "categories": [CATEGORY],
    "category_rationale": "An answer was promised.",
}
# A verdict of several words, with which MLflow asks for issues.
_FAULTY = {"passed": "false", "categories": CATEGORY}
_HOLD_SECONDS = 120


class Model:
    """Counts what it was asked, who had no key, and which tools it called; while held it answers nobody."""

    def __init__(self) -> None:
        """Listen on a free port of loopback."""
        model = self
        self.asked = 0
        self.strangers = 0
        self.tools = 0
        self.answers = threading.Event()
        self.answers.set()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                model.asked += 1
                model.strangers += self.headers["Authorization"] != f"Bearer {KEY}"
                model.answers.wait(_HOLD_SECONDS)
                message = _message(asked)
                model.tools += "tool_calls" in message
                self._answer(asked["model"], message)

            def _answer(self, name: str, message: dict[str, Any]) -> None:
                reason = "tool_calls" if "tool_calls" in message else "stop"
                choice = {"index": 0, "finish_reason": reason, "message": message}
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


def _message(asked: dict[str, Any]) -> dict[str, Any]:
    """Return what is answered to a request: a call of its first tool, or what it asks for."""
    called = any(message["role"] == "tool" for message in asked["messages"])
    if asked.get("tools") and not called:
        function = {"name": asked["tools"][0]["function"]["name"], "arguments": "{}"}
        calls = [{"id": "call-1", "type": "function", "function": function}]
        return {"role": "assistant", "content": None, "tool_calls": calls}
    return {"role": "assistant", "content": _content(asked.get("response_format") or {})}


def _content(wanted: dict[str, Any]) -> str:
    """Return a text in the format that is asked for."""
    if wanted.get("type") == "json_object":
        return json.dumps({PROMPT: IMPROVED})
    if wanted.get("type") != "json_schema":
        return _RATIONALE
    properties = wanted["json_schema"]["schema"]["properties"]
    said = {name: _SAYS[name] for name in properties}
    if properties.get("result", {}).get("type") == "object":
        said["result"] = _FAULTY
    return json.dumps(said)


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
