# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of every stage share: copies, environments, ports and bounded commands."""

from __future__ import annotations

import fcntl
import functools
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
SHOWN_CHARACTERS = 20_000
# Names the folder for what one lane of scripts/test makes and all use; unset without lanes.
SHARED = "MLFLOW_AWS_TESTS_SHARED"
# With this a test begins the reason why it is skipped, if all that is missing is what no script can
# install: a newer Python, or a newer kernel.
NEEDS = "Not on this machine: this test needs "

# What a user's shell tells programs about the machine and its network. Everything else
# (ANSIBLE_*, MLFLOW_*, XDG_*, PYTHON*) would let this machine's settings into a test.
_KEPT = {"CI", "LANG", "LC_ALL", "PATH", "PYENV_ROOT", "PYENV_VERSION", "SHELL", "TERM", "TMPDIR"}
_KEPT |= {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"}
_KEPT |= {"CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"}


@dataclass(frozen=True)
class Done:
    """A finished command: its exit code, and its output and errors in one text."""

    code: int
    output: str


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
    check: bool = True,
) -> Done:
    """Run a command to its end; where it fails or takes too long, fail the test with its output.

    The output goes through a file, because a server that the command leaves running would
    hold a pipe open.
    """
    line = " ".join(str(part) for part in command)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        text = output.read()
    if code is None:
        pytest.fail(f"{line}\ndid not end in {timeout:.0f} s:\n{_end(text)}", pytrace=False)
    if check and code != 0:
        pytest.fail(f"{line}\nended with exit code {code}:\n{_end(text)}", pytrace=False)
    return Done(code, text)


def _end(text: str) -> str:
    """Keep the end of a long output, where the reason stands."""
    return text if len(text) <= SHOWN_CHARACTERS else "[...]\n" + text[-SHOWN_CHARACTERS:]


def clean_environment(home: Path, *tools: Path) -> dict[str, str]:
    """Return a new user's environment: an empty HOME, this machine's network settings.

    The folders `tools` come first on its PATH. pip's downloads are kept where the user who
    runs the tests keeps them: what is tested is the empty HOME, not the network.
    """
    env = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _KEPT or name.startswith("PIP_")
    }
    env["HOME"] = str(home)
    # /etc/ansible is another place for this machine's settings.
    env["ANSIBLE_CONFIG"] = str(CHECKOUT / "scripts" / "_ansible.cfg")
    env["PATH"] = os.pathsep.join([*map(str, tools), _user_path()])
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    env.setdefault("PIP_CACHE_DIR", str(Path(cache) / "pip"))
    for settings in (Path.home() / ".config/pip/pip.conf", Path.home() / ".pip/pip.conf"):
        if settings.is_file():
            env.setdefault("PIP_CONFIG_FILE", str(settings))
    return env


def _user_path() -> str:
    """Return the PATH without an environment that happens to be active."""
    parts = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(
        part for part in parts if not (Path(part).parent / "pyvenv.cfg").exists()
    )


@contextmanager
def short_folder() -> Iterator[Path]:
    """Give an empty folder for a state folder, whose path must be short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="mlflow-", dir="/tmp") as folder:
        yield Path(folder).resolve()


def copy_collection(parent: Path) -> Path:
    """Copy the checkout to PARENT/ansible_collections/mlops/mlflow_aws and return that folder.

    The copy holds what a commit of everything would: tracked files and new ones, neither
    ignored nor deleted. It is a git repository of its own, because ansible-test asks git
    for the list of files.
    """
    target = parent / "ansible_collections" / "mlops" / "mlflow_aws"
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        source = CHECKOUT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    subprocess.run(["git", "init", "--quiet"], cwd=target, check=True, capture_output=True)
    return target


def new_environment(
    name: str, *locks: str, python: str | None = None, collection: bool = False
) -> Path:
    """Make .venvs/NAME from requirements/LOCK.txt and return its bin folder.

    It is made by the base of the Python that runs the tests, or by `python`; one that is
    up to date stays. With `collection`, mlops.mlflow_aws resolves to the checkout in it.
    """
    folder = CHECKOUT / ".venvs" / name
    files = [CHECKOUT / "requirements" / f"{lock}.txt" for lock in locks or (name,)]
    base = python or os.path.realpath(sys.executable)
    command = [base, "scripts/_venv.py", *map(str, [folder, *files])]
    if collection:
        command += ["--collection", "."]
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    sys.stderr.write(done.stdout)
    if done.returncode != 0:
        pytest.fail(_end(done.stderr), pytrace=False)
    return folder / "bin"


def find_python(*versions: str) -> str | None:
    """Return the path of the first of these Python versions that runs here, if one does."""
    script = '. scripts/_python.sh && find_python "$@"'
    env = {name: value for name, value in os.environ.items() if name != "MLFLOW_AWS_PYTHON"}
    found = subprocess.run(
        ["bash", "-c", script, "find_python", *versions],
        cwd=CHECKOUT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() if found.returncode == 0 else None


class Ports:
    """Gives out loopback ports that are free, each at most once, to one process of this machine."""

    # Below the range from which systems pick the ports of outgoing connections.
    _FIRST, _LAST = 20_000, 32_000
    _LANES = 4
    # Whoever asks: a twin has its own ports, and does not listen on all of them yet.
    _given: ClassVar[set[int]] = set()

    def __init__(self) -> None:
        """Take a range that no other lane of scripts/test has."""
        lane = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % self._LANES
        count = (self._LAST - self._FIRST) // self._LANES
        self._first = self._FIRST + lane * count
        self._last = self._first + count

    def __call__(self, count: int) -> list[int]:
        """Return `count` consecutive ports; the first serves as mlflow_base_port."""
        for _attempt in range(200):
            first = random.randrange(self._first, self._last - count)
            block = list(range(first, first + count))
            if self._given.intersection(block) or not _reserve(block):
                continue
            if all(map(_is_free, block)):
                self._given.update(block)
                return block
        raise RuntimeError(f"No {count} consecutive ports are free on 127.0.0.1.")


def command_line(process: Path) -> list[str]:
    """Return the words with which a process was called, by its folder in /proc; a zombie has none.

    Any user's process may have words that are not UTF-8.
    """
    return os.fsdecode((process / "cmdline").read_bytes()).split("\0")[:-1]


def _reserve(block: Sequence[int]) -> bool:
    """Reserve ports while this process lives, and say whether no other one has.

    A twin in use has ports on which nothing listens yet.
    """
    # A file that cannot be opened is an error of its own, not a port that is taken.
    reservations = _reservations()
    try:
        fcntl.lockf(reservations, fcntl.LOCK_EX | fcntl.LOCK_NB, len(block), block[0])
    except OSError:
        return False
    return True


@functools.cache
def _reservations() -> int:
    """Open the file that all users of this machine share, whose bytes stand for ports.

    It stays open, since closing it anywhere in a process would give all its ports up.
    """
    path = Path("/tmp/mlflow-aws-tests-ports")
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        # Nobody may create what is there already in a folder of all.
        return os.open(path, flags)
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT, 0o666)
        os.fchmod(descriptor, 0o666)
        return descriptor


def _is_free(port: int) -> bool:
    """Say whether a server could listen on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
