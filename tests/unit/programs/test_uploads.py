# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The largest body of a request: announced, or counted as it comes."""

from __future__ import annotations

import json

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import uploads
from ansible_collections.mlops.mlflow_aws.tests.unit.programs._asgi import Exchange, exchange

MOST = 10


def put(parts: list[bytes], announced: int | None = None, *, early: bool = False) -> Exchange:
    """Send a body, with the size that its head announces or without one."""
    headers = [] if announced is None else [(b"content-length", str(announced).encode())]
    scope = {"method": "PUT", "path": "/", "headers": headers}
    return exchange(lambda inner: uploads.UploadLimit(inner, MOST), scope, parts, early=early)


@pytest.mark.parametrize(
    ("parts", "announced"), [([b"x" * 10], 10), ([b"x" * 5, b"x" * 5], None), ([b""], None)]
)
def test_up_to_the_limit_all_is_passed_on(parts: list[bytes], announced: int | None) -> None:
    """Whole, and with the application's own answer."""
    made = put(parts, announced)
    assert made.body == b"".join(parts)
    assert [message.get("status") for message in made.sent] == [200, None]


def test_what_is_announced_as_too_large_is_not_begun() -> None:
    """The application gets nothing of it."""
    made = put([b"x" * 11], 11)
    assert (made.scope, made.status) == (None, 413)
    said = json.loads(made.sent[1]["body"])
    assert said == {"error_code": "INVALID_PARAMETER_VALUE", "message": uploads.sentence(MOST)}
    assert "server.max_upload_size" in said["message"]


def test_what_is_not_announced_is_counted() -> None:
    """One answer, although the framework would send another one."""
    made = put([b"x" * 6, b"x" * 6, b"x"])
    assert made.body == b"x" * 6
    assert [message.get("status") for message in made.sent] == [413, None]


def test_an_answer_that_has_begun_is_broken_off() -> None:
    """There is no second head; the connection ends."""
    with pytest.raises(ExceptionGroup):
        put([b"x" * 6, b"x" * 6], early=True)
