"""Move this repository to a release of MLflow: all that names it, or was made from it.

Run by scripts/lock, which hands over uv and the index:
    python scripts/_mlflow_release.py VERSION|newest
The version's home is docker/requirements.in. From it follow the release before it (requirements/previous.in),
the locks, the bill of materials, the Dockerfile's arguments, the pages that show it to users and, last,
docker/mlflow.json: until that is written, another run begins with the same release as this one. Then come the
tests marked `mlflow`, which compare this collection with that MLflow.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

CHECKOUT = Path(__file__).resolve().parent.parent
HOME = Path("docker/requirements.in")
LOCK = HOME.with_suffix(".txt")
PREVIOUS = Path("requirements/previous.in")
DOCKERFILE = Path("docker/Dockerfile")
KNOWN = Path("docker/mlflow.json")
BILL = Path("docker/sbom.cdx.json")
EXCLUDED = Path("docker/excluded.txt")
# Locks of packages beside the server's, with these as constraints.
BESIDE = Path("examples")
# They show their readers what is served.
PAGES = (Path("README.md"), Path("docs/hosts.md"))
# A release is whole with all of them.
PARTS = ("mlflow", "mlflow-skinny", "mlflow-tracing")
NEWEST = "newest"
# Names the program uv, here as for scripts/_venv.py and scripts/lock.
UV = "MLFLOW_AWS_UV"
STAGES = ("lint", "unit", "integration", "image")
MARKER = "mlflow"
ENVIRONMENT = Path(".venvs/server")
REPORT = Path(".venvs/mlflow-guards.txt")
_VERSION = re.compile(r"[1-9][0-9]*\.[0-9]+\.[0-9]+")
_PIN = re.compile(r"^mlflow==(\S+)$", re.MULTILINE)
_PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^\s;]+)", re.MULTILINE)
_ABSENT = "No solution found"
_SECONDS = 600
_SHOWN = 300


class Problem(Exception):
    """One sentence that says what failed and what to do."""


@dataclass(frozen=True)
class Verdict:
    """What the guards found: how many passed, how many did not, and a line for each reason."""

    passed: int
    failed: int
    reasons: list[str]


def key(version: str) -> tuple[int, ...]:
    """Return what orders versions."""
    return tuple(map(int, version.split(".")))


def require_version(text: str) -> str:
    """Return the version of a release; anything else is refused."""
    if not _VERSION.fullmatch(text):
        raise Problem(
            f"{text!r} is not the version of an MLflow release; give three numbers with dots, or {NEWEST}."
        )
    return text


def pin_of(text: str, path: Path) -> str:
    """Return the version of MLflow that a list pins."""
    found = _PIN.findall(text)
    if len(found) != 1:
        raise Problem(f"{path} has no single line mlflow==VERSION; restore it.")
    return str(found[0])


def with_pin(text: str, version: str) -> str:
    """Return a list with another version of MLflow."""
    return _PIN.sub(f"mlflow=={version}", text)


def with_arguments(text: str, values: Mapping[str, str]) -> str:
    """Return a Dockerfile whose arguments have these defaults."""
    for name, value in values.items():
        text, count = re.subn(rf"^ARG {name}=\S*$", f"ARG {name}={value}", text, flags=re.MULTILINE)
        if count != 1:
            raise Problem(f"{DOCKERFILE} has no single line ARG {name}=...; restore it.")
    return text


def with_version(text: str, old: Collection[str], new: str) -> str:
    """Return a page that names a new version wherever it named an old one."""
    names = "|".join(map(re.escape, sorted(old)))
    return re.sub(rf"(?<![\w.])(?:{names})(?!\w|\.\d)", new, text)


def resolved(text: str) -> dict[str, str]:
    """Return the packages of a lock with their versions; of several of one, the last."""
    return dict(_PINNED.findall(text))


def has_mlflow(lock: str) -> bool:
    """Return whether a lock has a part of MLflow."""
    return not resolved(lock).keys().isdisjoint(PARTS)


def package_changes(before: str, after: str) -> list[str]:
    """Return what one lock has that another had not, MLflow's own packages aside."""
    old, new = resolved(before), resolved(after)
    return [
        f"{name} {old.get(name, 'new')} -> {new.get(name, 'gone')}"
        for name in sorted({*old, *new} - set(PARTS))
        if old.get(name) != new.get(name)
    ]


def schema_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return what became of the schema."""
    if before["head"] == after["head"]:
        return f"head {after['head']}, as before"
    count = len(after["revisions"]) - len(before["revisions"])
    tables = f"{before['tables'][before['head']]} -> {after['tables'][after['head']]} tables"
    return f"head {before['head']} -> {after['head']}, {count:+d} revisions, {tables}"


def verdict(report: str) -> Verdict:
    """Return what pytest's JUnit report says."""
    passed = 0
    failed: dict[str, list[str]] = {}
    for case in ElementTree.fromstring(report).iter("testcase"):
        found = [one for one in case if one.tag in ("failure", "error", "skipped")]
        if found:
            name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
            failed.setdefault(_reason(found[0]), []).append(name)
        else:
            passed += 1
    reasons = [
        f"{names[0]}{f' and {len(names) - 1} more' if names[1:] else ''}: {reason}"
        for reason, names in failed.items()
    ]
    return Verdict(passed, sum(map(len, failed.values())), reasons)


def _reason(failure: ElementTree.Element) -> str:
    """Return the line of a failed test that says why."""
    words = (failure.get("message") or failure.text or "no reason given").strip()
    first = words.splitlines()[0].removeprefix("AssertionError: ")
    return first if len(first) <= _SHOWN else f"{first[:_SHOWN]} [...]"


class Index:
    """Asks the package index what it has, by uv."""

    def __init__(self, uv: str, root: Path) -> None:
        """Keep the program, and where the lists are."""
        self._uv = uv
        self._root = root

    def resolve(self, requirement: str, *options: str) -> dict[str, str] | None:
        """Return the packages that a requirement comes to, None where the index lacks one."""
        command = [self._uv, "--no-config", "pip", "compile", "--quiet", "--system-certs"]
        command += ["--universal", "--python-version", "3.11", "--no-header", "--no-annotate"]
        # Otherwise it looks for one.
        command += ["--python", sys.executable]
        done = subprocess.run(
            [*command, *options, "-"],
            cwd=self._root,
            input=requirement,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode == 0:
            return resolved(done.stdout)
        # A release for a newer Python is there.
        if _ABSENT in done.stderr and "Python" not in done.stderr:
            return None
        reason = " ".join(line.strip() for line in done.stderr.splitlines())
        raise Problem(f"The package index cannot be asked for {requirement}: {reason}")

    def newest(self, below: str = "") -> str | None:
        """Return the newest release that can be installed, of those before another one if given."""
        requirement = f"mlflow<{below}" if below else "mlflow"
        found = self.resolve(requirement, "--overrides", str(EXCLUDED))
        return found["mlflow"] if found else None

    def missing(self, version: str) -> list[str]:
        """Return the parts of a release that the index lacks."""
        return [part for part in PARTS if self.resolve(f"{part}=={version}", "--no-deps") is None]

    def announced(self) -> str:
        """Return the newest version of `mlflow`, whole or not."""
        found = self.resolve("mlflow", "--no-deps")
        return found["mlflow"] if found else ""


def choose(wanted: str, present: str, index: Index) -> str | None:
    """Return the release to go to, None where there is nothing newer than the present one."""
    if wanted != NEWEST:
        require_version(wanted)
        missing = index.missing(wanted)
        if missing == list(PARTS):
            raise Problem(f"The package index has no MLflow {wanted}; nothing was changed.")
        if missing:
            raise Problem(
                f"The package index has MLflow {wanted} without {_listed(missing)} {wanted}, which it "
                "requires; wait until that is there, or use a complete mirror. Nothing was changed."
            )
        return wanted
    announced = index.announced()
    if announced and key(announced) > key(present) and (missing := index.missing(announced)):
        say(f"MLflow {announced} is in the index without {_listed(missing)} {announced}.")
    newest = index.newest()
    if newest is None or key(newest) <= key(present):
        say(f"MLflow {present} is the newest release that the index has whole; nothing to do.")
        return None
    return newest


def _listed(names: Iterable[str]) -> str:
    """Return names as a sentence has them."""
    return " and ".join(names)


def say(text: str) -> None:
    """Show one line, at once also where the output is a pipe."""
    print(text, flush=True)


def write(path: Path, text: str) -> None:
    """Replace a file whole, if its content differs."""
    if path.read_text(encoding="utf-8") == text:
        return
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.chmod(path.stat().st_mode & 0o777)
    new.replace(path)


class Repository:
    """The files that follow from the version, and the programs that make them."""

    def __init__(self, root: Path, uv: str) -> None:
        """Read what there is; files that cannot be edited are refused."""
        self.root = root
        self._uv = uv
        pin_of(self.read(PREVIOUS), PREVIOUS)
        with_arguments(self.read(DOCKERFILE), {"VERSION": "", "HEAD": ""})
        self.known: dict[str, Any] = json.loads(self.read(KNOWN))
        # The two differ after a run that was interrupted.
        self._old = {self.known["version"], pin_of(self.read(HOME), HOME)}
        self._before = self._contents()

    def read(self, path: Path) -> str:
        """Return a file's content."""
        return (self.root / path).read_text(encoding="utf-8")

    def pin(self, version: str, previous: str) -> None:
        """Write the version into its home, and the release before it beside the tests."""
        write(self.root / PREVIOUS, with_pin(self.read(PREVIOUS), previous))
        write(self.root / HOME, with_pin(self.read(HOME), version))

    def lock(self) -> None:
        """Make the locks that follow from the server's, which comes first, and the bill of materials."""
        lists = [
            path
            for path in self._lists()
            if has_mlflow(self.read(path.with_suffix(".txt"))) or path.is_relative_to(BESIDE)
        ]
        self._run("Making the locks", "scripts/lock", *map(str, lists))
        self._run("Making the bill of materials", "scripts/sbom")

    def survey(self) -> dict[str, Any]:
        """Return what the MLflow of the lock knows of its schema."""
        # The guards find it there.
        install = [sys.executable, "-I", "scripts/_venv.py", str(ENVIRONMENT), str(LOCK)]
        self._run("Installing MLflow", *install)
        with tempfile.TemporaryDirectory(prefix="mlflow-") as folder:
            # A new user's: MLflow reads and writes in the home.
            variables = {"HOME": folder, "PATH": os.defpath, "TMPDIR": folder}
            command = [str(ENVIRONMENT / "bin" / "python"), "-I"]
            command += ["programs/server/mlflow_entry.py", "survey"]
            told = self._run("Reading MLflow's schema", *command, variables=variables)
        found: dict[str, Any] = json.loads(told[told.index("{") :])
        return found

    def describe(self, found: Mapping[str, Any]) -> None:
        """Write what users and programs are told of it."""
        for page in PAGES:
            write(self.root / page, with_version(self.read(page), self._old, found["version"]))
        values = {"VERSION": found["version"], "HEAD": found["head"]}
        write(self.root / DOCKERFILE, with_arguments(self.read(DOCKERFILE), values))
        write(self.root / KNOWN, json.dumps(found, indent=2) + "\n")

    def changes(self, found: Mapping[str, Any]) -> list[str]:
        """Return what has become of the files since this run began."""
        after = self._contents()
        changed = [str(path) for path, text in after.items() if text != self._before[path]]
        packages = package_changes(self._before[LOCK], after[LOCK])
        return [
            f"Schema: {schema_changes(self.known, found)}.",
            f"The server's other packages: {', '.join(packages) or 'as before'}.",
            f"Changed files: {', '.join(changed) or 'none'}.",
        ]

    def guard(self) -> Verdict:
        """Run the tests that compare this collection with its MLflow; keep their output."""
        report = self.root / REPORT
        report.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="mlflow-") as folder:
            junit = Path(folder, "guards.xml")
            options = ["-m", MARKER, "-n", "0", "-q", "--junitxml", str(junit)]
            with report.open("w", encoding="utf-8") as output:
                subprocess.run(
                    ["bash", "scripts/test", *STAGES, "--", *options],
                    cwd=self.root,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
            if not junit.is_file():
                raise Problem(f"The guards could not run; {REPORT} gives the reason.")
            return verdict(junit.read_text(encoding="utf-8"))

    def _contents(self) -> dict[Path, str]:
        """Return the content of all files that may change."""
        locks = [path.with_suffix(".txt") for path in self._lists()]
        found = [HOME, PREVIOUS, *locks, BILL, *PAGES, DOCKERFILE, KNOWN]
        return {path: self.read(path) for path in found}

    def _lists(self) -> list[Path]:
        """Return the lists of which scripts/lock makes locks, in its order."""
        tops = ("*", "programs/*", f"{BESIDE}/*")
        found = {
            path.relative_to(self.root) for top in tops for path in self.root.glob(f"{top}/*.in")
        }
        return sorted(found, key=lambda path: (path.is_relative_to(BESIDE), path))

    def _run(self, what: str, *command: str, variables: Mapping[str, str] | None = None) -> str:
        """Run one step and return what it printed; its output shows only if it fails."""
        say(f"==> {what}")
        shell = ["bash"] if command[0].startswith("scripts/") else []
        done = subprocess.run(
            [*shell, *command],
            cwd=self.root,
            env={**os.environ, UV: self._uv} if variables is None else dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            sys.stderr.write(done.stdout)
            raise Problem(f"{what} failed; the reason stands above.")
        return done.stdout


def follow(wanted: str, root: Path, uv: str) -> None:
    """Go to a release, and report what that changed and what the guards say."""
    if wanted != NEWEST:
        require_version(wanted)
    repository = Repository(root, uv)
    index = Index(uv, root)
    version = choose(wanted, repository.known["version"], index)
    if version is None:
        return
    previous = index.newest(below=version)
    if previous is None:
        raise Problem(
            f"The package index has no release before MLflow {version}; nothing was changed."
        )
    say(
        f"==> MLflow {repository.known['version']} -> {version}; the release before it is {previous}"
    )
    try:
        repository.pin(version, previous)
        repository.lock()
        found = repository.survey()
        repository.describe(found)
    except (Problem, KeyboardInterrupt) as error:
        reason = str(error) or "Interrupted."
        raise Problem(f"{reason} Continue by scripts/lock --mlflow {version}.") from None
    report(repository, version, found)


def report(repository: Repository, version: str, found: Mapping[str, Any]) -> None:
    """Print what changed, run the guards, and print what they found."""
    changes = repository.changes(found)
    began = time.monotonic()
    say("==> Running the guards: the tests that compare this collection with its MLflow")
    judged = repository.guard()
    say("\n".join(changes))
    counted = f"{judged.passed} passed, {judged.failed} failed"
    say(f"Guards: {counted} in {time.monotonic() - began:.0f} s; their output is in {REPORT}.")
    for line in judged.reasons:
        say(f"  {line}")
    if judged.failed or not judged.passed:
        raise Problem(
            f"This collection does not fit MLflow {version} yet: {counted} of the guards; correct what they "
            f"name (see git diff), and run scripts/lock --mlflow {version} again."
        )


def main(arguments: Sequence[str]) -> int:
    """Read the argument; one sentence instead of a traceback."""
    try:
        (wanted,) = arguments
        follow(wanted, CHECKOUT, os.environ[UV])
    except (Problem, OSError, subprocess.TimeoutExpired) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; run the same again.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
