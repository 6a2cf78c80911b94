# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A package index on loopback, with small packages of its own, that notes who asked for what."""

from __future__ import annotations

import base64
import hashlib
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Index:
    """A folder with simple/NAME/NAME-VERSION-py3-none-any.whl, its URL, and the paths asked for."""

    folder: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def add(
        self, name: str, version: str, files: Mapping[str, str], requires: Sequence[str] = ()
    ) -> str:
        """Put a package into the index; return its line of a lock."""
        place = self.folder / "simple" / name.replace("_", "-")
        place.mkdir(parents=True, exist_ok=True)
        wheel = place / f"{name}-{version}-py3-none-any.whl"
        info = f"{name}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        texts = {
            **files,
            f"{info}/METADATA": metadata + "".join(f"Requires-Dist: {one}\n" for one in requires),
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        lines = [
            f"{path},sha256={_digest(text.encode())},{len(text)}" for path, text in texts.items()
        ]
        texts[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""])
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, text in texts.items():
                archive.writestr(path, text)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        return f"{name}=={version} \\\n    --hash=sha256:{digest}\n"


@contextmanager
def serving(folder: Path) -> Iterator[Index]:
    """Serve an index while the block runs."""
    index = Index(folder)

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, _format: str, *_arguments: object) -> None:
            index.asked.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        index.url = f"http://127.0.0.1:{server.server_port}/simple"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield index
        server.shutdown()


def _digest(content: bytes) -> str:
    """Return a digest as a wheel's RECORD has it."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
