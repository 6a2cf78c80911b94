# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image is to be."""

from __future__ import annotations

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import wanted


def test_passwords_in_urls_are_secrets() -> None:
    """Those of proxies and package indexes; what is not a URL holds none."""
    arguments = {
        "HTTPS_PROXY": "http://ada:proxy-word@proxy.example.com:3128",
        "PIP_EXTRA_INDEX_URL": "https://ada:first@a.example.com https://b.example.com",
        "BASE": "python:3.11-slim",
        "NUMBER": 1,
        "BROKEN": "http://[::1",
    }
    found = set(wanted.secrets({"build_args": arguments})) - {""}
    assert found == {"proxy-word", "first"}
