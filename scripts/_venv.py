"""Make, or bring up to date, one virtual environment from locked, hashed requirements.

Run by the Python that the environment is for:
    python scripts/_venv.py FOLDER LOCK... [--collection CHECKOUT]
It does nothing when the environment was made from the same locks by the same Python. With MLFLOW_AWS_UV,
the path of uv, that installs in place of pip; where it cannot, pip does, and gives the reason.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

CHECKOUT = Path(__file__).resolve().parent.parent
# Of the packages that locks pin, those for this Python and platform.
APPLICABLE = """
import re, sys
from pip._vendor.packaging.requirements import Requirement
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as lock:
        for line in lock:
            if re.match("[A-Za-z0-9].*==", line):
                package = Requirement(line.rstrip().rstrip("\\\\"))
                if package.marker is None or package.marker.evaluate():
                    print(package.name)
"""
WAIT_SECONDS = 900
# Names the program uv, as scripts/test does, whose dozen environments take pip a minute each.
UV = "MLFLOW_AWS_UV"
# How an index is reached, by pip's variables and by uv's.
UV_VARIABLES = {
    "PIP_CERT": "SSL_CERT_FILE",
    "PIP_CLIENT_CERT": "SSL_CLIENT_CERT",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_NO_CACHE_DIR": "UV_NO_CACHE",
    "PIP_NO_INDEX": "UV_NO_INDEX",
    "PIP_PROXY": "ALL_PROXY",
    "PIP_TRUSTED_HOST": "UV_INSECURE_HOST",
}
STAMP = "made-from.txt"
# What pip's output tells, and the sentence for it; {0} is what the expression found.
CAUSES = {
    r"CERTIFICATE_VERIFY_FAILED|certificate verify failed": (
        "the package index's certificate is not trusted here; set PIP_CERT to the file of your"
        " certificate authority, and run this again."
    ),
    r"NewConnectionError|ConnectTimeout|ReadTimeout|ProxyError|name resolution|Connection refused": (
        "the package index cannot be reached; check the network, the proxy variables and"
        " PIP_INDEX_URL, and run this again."
    ),
    r"No matching distribution found for (\S+)": (
        "the package index lacks {0}; use a complete mirror, or run scripts/lock and review the"
        " change."
    ),
    r"DO NOT MATCH THE HASHES": (
        "the package index offers other files than the lock names; use an unaltered mirror, or"
        " run scripts/lock and review the change."
    ),
    r"No space left on device": "the disk is full; free some space and run this again.",
}


class Problem(Exception):
    """One sentence that says what failed and what to do."""


def pip_rules() -> ModuleType:
    """Return the collection's rules for pip; the collection itself is not importable yet."""
    path = CHECKOUT / "plugins" / "module_utils" / "_host" / "pip.py"
    spec = importlib.util.spec_from_file_location("_pip", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise SystemExit(f"{path} does not exist; restore the file.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PIP = pip_rules()


def say(text: str) -> None:
    """Show one step, at once also where the output is a pipe."""
    print(f"==> {text}", flush=True)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the parent folder's lock: two scripts may want the same environment at once."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder.parent, os.O_RDONLY)
    deadline = time.monotonic() + WAIT_SECONDS
    said = False
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Problem(
                        f"{folder}: another run has been installing beside it for"
                        f" {WAIT_SECONDS} s; end that run and try again."
                    ) from None
                if not said:
                    say(f"{folder.name}: waiting for another run that is installing")
                    said = True
                time.sleep(0.2)
        yield
    finally:
        os.close(handle)


def fingerprint(folder: Path, locks: list[Path]) -> str:
    """Tell what the environment depends on: the Python, the place, and every lock."""
    lines = [sys.version, os.path.realpath(sys.executable), str(folder)]
    lines += [f"{lock.name} {hashlib.sha256(lock.read_bytes()).hexdigest()}" for lock in locks]
    return "\n".join(lines) + "\n"


def own_environment() -> dict[str, str]:
    """Return this process's variables without those that steer a Python."""
    return {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}


def run(
    command: Sequence[str | Path], what: str, environment: Mapping[str, str] | None = None
) -> None:
    """Run one step; its output shows only if it fails."""
    done = subprocess.run(
        command,
        env=own_environment() if environment is None else environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return
    for pattern, sentence in CAUSES.items():
        found = re.search(pattern, done.stdout)
        if found:
            raise Problem(f"{what} failed: {sentence.format(*found.groups())}")
    sys.stderr.write(done.stdout)
    raise Problem(f"{what} failed with exit code {done.returncode}; the reason stands above.")


def install(folder: Path, locks: list[Path]) -> None:
    """Make the environment anew, all or nothing: the caller stamps it afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    run([sys.executable, "-I", "-m", "venv", folder], f"Making the environment {folder.name}")
    python = folder / "bin" / "python"
    try:
        reach = PIP.environment(str(python), own_environment())
    except PIP.PipError as error:
        raise Problem(f"Installing {names(locks)} failed: {error}") from None
    if install_by_uv(folder, locks, reach) and lacking(folder, locks) == []:
        return
    install_by_pip(folder, locks, reach)
    absent = lacking(folder, locks)
    if absent is None or absent:
        raise Problem(
            f"Installing {names(locks)} failed: pip put {', '.join((absent or ['everything'])[:3])}"
            f" elsewhere than into {folder}; look at `pip config list`, and run this again."
        )
    packages = site_packages(folder)
    run(
        [python, "-I", "-m", "compileall", "-qq", "-j", "0", "-x", "ansible_collections", packages],
        f"Compiling the environment {folder.name}",
    )


def install_by_pip(folder: Path, locks: list[Path], reach: Mapping[str, str]) -> None:
    """Install what the locks name by the environment's own pip."""
    python = str(folder / "bin" / "python")
    pip = [python, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "-q"]
    # Without --no-compile pip compiles serially, the thousands of modules of the
    # `ansible` package included, which nobody imports here.
    # A lock names all that is to be installed, and one leaves out what nobody needs.
    options = ["install", "--retries", "2", "--no-compile", "--require-hashes", "--no-deps"]
    run([*pip, *options, *requirements(locks)], f"Installing {names(locks)}", reach)


def install_by_uv(folder: Path, locks: list[Path], reach: Mapping[str, str]) -> bool:
    """Install what the locks name by uv, where there is one; return whether it could.

    Modules are compiled when they are first imported, which few of them are.
    """
    uv = os.environ.get(UV)
    if not uv:
        return False
    # pip takes a package from whichever index has it, and the hashes hold for all of them.
    options = ["--require-hashes", "--no-deps", "--index-strategy", "unsafe-best-match"]
    command = [uv, "--no-config", "pip", "install", "--system-certs", *options]
    command += ["--python", str(folder / "bin" / "python"), *requirements(locks)]
    try:
        done = subprocess.run(
            command,
            env=uv_environment(reach),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0


def uv_environment(reach: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which uv reaches the index that pip would reach, and no more."""
    cache = {name: reach[name] for name in ("UV_CACHE_DIR",) if name in reach}
    kept = {name: text for name, text in reach.items() if not name.startswith(("PIP_", "UV_"))}
    pip = {UV_VARIABLES[name]: text for name, text in reach.items() if name in UV_VARIABLES}
    return {**kept, **cache, **pip}


def requirements(locks: list[Path]) -> list[str]:
    """Return the options that name the locks, of pip and of uv alike."""
    return [part for lock in locks for part in ("-r", str(lock))]


def site_packages(folder: Path) -> Path:
    """Return the environment's folder of installed packages."""
    return folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def names(locks: list[Path]) -> str:
    """Name the locks as a reader knows them."""
    return ", ".join(f"{lock.parent.name}/{lock.name}" for lock in locks)


def link_collection(folder: Path, checkout: Path) -> None:
    """Let mlops.mlflow_aws resolve to the checkout, for Ansible and for Python alike."""
    link = site_packages(folder) / "ansible_collections" / "mlops" / "mlflow_aws"
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink() and os.readlink(link) == str(checkout):
        return
    if link.is_symlink():
        link.unlink()
    link.symlink_to(checkout, target_is_directory=True)


def make(folder: Path, locks: list[Path], checkout: Path | None) -> None:
    """Bring the environment to what the locks say."""
    for lock in locks:
        if not lock.is_file():
            raise Problem(f"{lock} does not exist; run scripts/lock, or restore the file.")
    wanted = fingerprint(folder, locks)
    stamp = folder / STAMP
    with alone(folder):
        if not (stamp.is_file() and stamp.read_text() == wanted and lacking(folder, locks) == []):
            version = ".".join(map(str, sys.version_info[:3]))
            say(f"{folder.name}: installing {names(locks)} for Python {version}")
            began = time.monotonic()
            install(folder, locks)
            stamp.write_text(wanted)
            say(f"{folder.name}: installed in {time.monotonic() - began:.0f} s")
        if checkout is not None:
            link_collection(folder, checkout)


def lacking(folder: Path, locks: list[Path]) -> list[str] | None:
    """Return the packages that the environment is to have and lacks; None if its Python does not run.

    Its base may have been removed, and a pip that was led elsewhere has left it empty.
    """
    python = str(folder / "bin" / "python")
    command = [python, "-I", "-c", APPLICABLE, *map(str, locks)]
    try:
        done = subprocess.run(
            command, env=own_environment(), capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    absent: list[str] = PIP.missing(folder, done.stdout.split())
    return absent if done.returncode == 0 else None


def main() -> int:
    """Read the arguments; one sentence instead of a traceback."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="the environment, for example .venvs/test")
    parser.add_argument("locks", type=Path, nargs="+", help="locked requirements with hashes")
    parser.add_argument("--collection", type=Path, help="link this checkout into it")
    arguments = parser.parse_args()
    collection = arguments.collection.resolve() if arguments.collection else None
    try:
        make(arguments.folder.absolute(), [lock.resolve() for lock in arguments.locks], collection)
    except (Problem, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
