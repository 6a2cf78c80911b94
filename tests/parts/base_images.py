# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images that the twin starts from: a Python to build ours on, and a real MySQL.

Each comes from the first of: the engine itself, a tarball of an earlier run, a registry, or
debootstrap, which needs root and a Debian mirror alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import (
    Engine,
    Problem,
    install,
    root_environment,
)

PULL_SECONDS = 600
BOOTSTRAP_SECONDS = 900
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
CA_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
# pip's settings that say where packages come from; others are this machine's own affair.
PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy")
LEFT_OUT = (
    *("./dev/*", "./proc/*", "./sys/*", "./tmp/*", "./var/log/*"),
    *("./var/cache/apt/*", "./var/lib/apt/lists/*"),
    *("./usr/share/doc/*", "./usr/share/info/*", "./usr/share/locale/*", "./usr/share/man/*"),
)
# MySQL's tools carry a copy of much of the server each.
MYSQL_TOOLS = (
    *("./usr/bin/ibd2sdi", "./usr/bin/innochecksum", "./usr/bin/myisam*", "./usr/bin/perror"),
    *("./usr/bin/mysqlbinlog", "./usr/bin/mysql_migrate_keyring", "./usr/lib/mysql/plugin/*group*"),
    *("./usr/bin/mysql_secure_installation", "./usr/bin/mysql_tzinfo_to_sql"),
)


# An empty database takes half a minute to make on a slow disk; here it is made once.
MYSQL_DATA = (
    "mkdir -p /var/lib/mysql && chown nobody /var/lib/mysql &&"
    " mysqld --no-defaults --initialize-insecure --user=nobody --datadir=/var/lib/mysql"
    " --innodb-flush-method=nosync --skip-innodb-doublewrite --innodb-redo-log-capacity=8M"
)


@dataclass(frozen=True)
class Recipe:
    """How one image is come by: from a registry, or from packages of a Debian release."""

    name: str
    pulled: str
    suite: str
    packages: tuple[str, ...]
    left_out: tuple[str, ...]
    files: Mapping[str, bytes]
    # Run in the root folder at last, by a shell.
    finish: str = ""

    @cached_property
    def digest(self) -> str:
        """Return a hash of all that it names."""
        parts = [self.name, self.pulled, self.suite, *self.packages, *self.left_out]
        parts.append(self.finish)
        told = hashlib.sha256("\0".join(parts).encode())
        for path, content in sorted(self.files.items()):
            told.update(path.encode() + b"\0" + hashlib.sha256(content).digest())
        return told.hexdigest()[:12]

    @property
    def reference(self) -> str:
        """Return the image's name in an engine; another recipe has another."""
        return f"mlflow-twin/{self.name}:{self.digest}"


def base() -> Recipe:
    """Return the recipe of the image that ours is built on, ready for this machine's network."""
    return Recipe(
        name="base",
        pulled="python:3.11-slim-bookworm",
        suite="bookworm",
        packages=("python3", "python3-venv", "ca-certificates"),
        left_out=LEFT_OUT,
        files=_machine_files(),
    )


def mysql() -> Recipe:
    """Return the recipe of a real MySQL; Debian has it in sid alone."""
    return Recipe(
        name="mysql",
        pulled="mysql:8.4",
        suite="sid",
        packages=("mysql-server-core",),
        left_out=(*LEFT_OUT, *MYSQL_TOOLS),
        files={},
        finish=MYSQL_DATA,
    )


def cache_folder() -> Path:
    """Return where tarballs are kept between runs, outside any checkout."""
    parent = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(parent) / "mlflow_aws" / "twin"


@contextmanager
def alone(name: str = "build") -> Iterator[None]:
    """Hold a lock while the block runs: another process may be at the same image."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def provide(engine: Engine, recipe: Recipe) -> str:
    """Make sure that the engine has the image, and return its reference."""
    with alone(recipe.name):
        return _provide(engine, recipe)


def _provide(engine: Engine, recipe: Recipe) -> str:
    """Bring the image into the engine, from the first place that has it."""
    if engine.docker("image", "ls", "--quiet", recipe.reference).strip():
        return recipe.reference
    tarball = cache_folder() / f"{recipe.name}-{recipe.digest}.tar"
    if not tarball.is_file():
        refusal = _pull(engine, recipe)
        if not refusal:
            return recipe.reference
        if os.geteuid() != 0:
            raise Problem(
                f"The image {recipe.pulled} cannot be pulled ({refusal}): let the engine reach a"
                f" registry or load the image into it, or run this as root, who can make one of"
                f" Debian's packages."
            )
        _bootstrap(recipe, tarball)
    with tarball.open("rb") as stream:
        engine.docker("import", "-", recipe.reference, stdin=stream, timeout=PULL_SECONDS)
    return recipe.reference


def _pull(engine: Engine, recipe: Recipe) -> str:
    """Pull the image and put this machine's files into it; return why not, or an empty text."""
    try:
        if not engine.docker("image", "ls", "--quiet", recipe.pulled).strip():
            engine.docker("pull", "--quiet", recipe.pulled, timeout=PULL_SECONDS)
    except Problem as problem:
        return str(problem)
    lines = [f"FROM {recipe.pulled}", *(f"COPY .{path} {path}" for path in recipe.files)]
    content = {"./Dockerfile": "\n".join(lines).encode()}
    content |= {f".{path}": data for path, data in recipe.files.items()}
    with tempfile.TemporaryFile() as stream:
        with tarfile.open(fileobj=stream, mode="w") as tar:
            for name, data in content.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(data), 0o644
                tar.addfile(member, io.BytesIO(data))
        stream.seek(0)
        engine.docker(
            "build", "--quiet", "--tag", recipe.reference, "-", stdin=stream, timeout=PULL_SECONDS
        )
    return ""


def _bootstrap(recipe: Recipe, tarball: Path) -> None:
    """Make a root folder of Debian's packages and pack it, whole or not at all."""
    install("debootstrap")
    tarball.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{recipe.name}-", dir=tarball.parent))
    root = work / "root"
    try:
        _run(
            f"Making the image {recipe.name} of Debian {recipe.suite}",
            "debootstrap",
            "--variant=minbase",
            f"--include={','.join(recipe.packages)}",
            recipe.suite,
            str(root),
            # Without one debootstrap takes Debian's own.
            *filter(None, [os.environ.get("MLFLOW_AWS_DEBIAN_MIRROR")]),
        )
        for path, content in recipe.files.items():
            place = root / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        if recipe.finish:
            command = ["chroot", str(root), "/bin/sh", "-c", recipe.finish]
            _run(f"Finishing the image {recipe.name}", *command)
        packed = work / tarball.name
        excluded = [f"--exclude={pattern}" for pattern in recipe.left_out]
        command = ["tar", "--numeric-owner", "-C", str(root), *excluded, "-cf", str(packed), "."]
        _run(f"Packing the image {recipe.name}", *command)
        packed.rename(tarball)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _run(what: str, *command: str) -> None:
    """Run one step as root; where it fails, its last line is the reason."""
    try:
        done = subprocess.run(
            command,
            env=root_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BOOTSTRAP_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Problem(
            f"{what} took over {BOOTSTRAP_SECONDS} s: check the network and run this again."
        ) from None
    if done.returncode != 0:
        last = (done.stdout.strip().splitlines() or ["it said nothing"])[-1]
        raise Problem(
            f"{what} failed ({last}): check the network, or name another mirror in"
            " MLFLOW_AWS_DEBIAN_MIRROR."
        )


def _machine_files() -> dict[str, bytes]:
    """Return what pip needs inside a build on this machine; certificates and where packages are."""
    files: dict[str, bytes] = {}
    settings = _pip_settings()
    named = [os.environ.get(name, "") for name in CA_VARIABLES]
    bundles = [*named, settings.get("cert", ""), CA_BUNDLE]
    for bundle in (Path(name) for name in bundles if name):
        if bundle.is_file():
            files[CA_BUNDLE] = bundle.read_bytes()
            break
    lines = [f"{name} = {settings[name]}" for name in PIP_SETTINGS if name in settings]
    if CA_BUNDLE in files:
        lines.append(f"cert = {CA_BUNDLE}")
    if lines:
        files["/etc/pip.conf"] = "\n".join(["[global]", *lines, ""]).encode()
    return files


def _pip_settings() -> dict[str, str]:
    """Return pip's settings, those from variables too; places on this machine's disk left out."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():
        key, _equals, value = line.partition("=")
        name = key.rpartition(".")[2]
        text = value.strip("'\"").replace("\\n", " ")
        words = [word for word in text.split() if not word.startswith("file:")]
        if words:
            found[name] = " ".join(words)
    return found
