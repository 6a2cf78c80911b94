# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image is to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._image import context, sizes, wanted

ROOT = Path(__file__).resolve().parents[5]


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


def test_the_shipped_folder_takes_packages_in(tmp_path: Path) -> None:
    """What the example adds is one more file of the build, of which the last layer is made."""
    options: dict[str, Any] = {
        "path": str(ROOT / "docker"),
        "repository": "mlflow",
        "registry": "",
        "build_args": {},
        "platforms": ["linux/amd64"],
        "requirements": None,
    }
    plain = wanted.read(options)
    example = str(ROOT / "examples" / "requirements" / "litellm.txt")
    found = wanted.read(options | {"requirements": example})
    added = set(found.files) - set(plain.files)
    assert added == {"additional-requirements.txt"}
    assert b"\nlitellm==" in found.files["additional-requirements.txt"].data
    assert found.tag != plain.tag
    assert sizes.of(None, plain) == {}
    assert sizes.is_last(found.files[context.DOCKERFILE].data)
    assert not sizes.is_last(b"COPY --from=additional /added /\nRUN true\n")
    mine = tmp_path / "mine.txt"
    mine.write_text(f"flask==2.0 --hash=sha256:{'0' * 64}")
    with pytest.raises(MlflowError, match=r"flask 2\.0 would replace"):
        wanted.read(options | {"requirements": str(mine)})
