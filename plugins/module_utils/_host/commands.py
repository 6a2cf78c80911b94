# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: runs other programs, and reads what they print.

Every program of a host is started here, with a timeout, so that one that hangs, is missing or
prints unexpected output fails with one sentence.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import threading
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

# What mlflow_entry.py says itself.
_OWN = "mlflow_entry: "
# As argparse, pip and Supervisor say it; help and hints follow.
_ERROR = re.compile(r"(?:[\w./-]+: )?(?:error|fatal):\s*\S", re.IGNORECASE)
# The last line of a traceback; SQLAlchemy adds the statement and a link.
_EXCEPTION = re.compile(r"[\w.]+(?:Error|Exception|Interrupt|Exit)\b")
_LONGEST = 500
# For the lines that a program wrote last.
_READ_SECONDS = 5


class ProgramError(MlflowError):
    """A program that could not be started, or did not end in time; why is that as a phrase."""

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message)
        self.why = why


class Overdue(ProgramError):
    """A program that did not end in time."""


class Ran(t.NamedTuple):
    """How a program ended: errors is empty where it printed all on one stream."""

    code: int
    output: str
    errors: str

    @property
    def reason(self) -> str:
        """Return why it failed, as its output says."""
        return reason(self.errors, self.output)


def run(
    command: t.Sequence[str],
    timeout: float,
    failure: str,
    remedy: str,
    *,
    text: str | None = None,
    merged: bool = False,
    environment: t.Mapping[str, str] | None = None,
    folder: str | None = None,
    keep_locks: bool = False,
    show: t.Callable[[str], None] | None = None,
) -> Ran:
    """Run a program to its end and return how it ended; the caller judges one that fails.

    Raises ProgramError "FAILURE (why); REMEDY." if it cannot be started or takes over timeout
    seconds. text goes to its standard input; merged puts both of its streams into output;
    keep_locks lets it keep our locks, should it outlive this process; show gets each line of its
    errors as soon as it is written.
    """
    # None lets subprocess give it the empty input below.
    source: dict[str, t.Any] = {"stdin": subprocess.DEVNULL} if text is None else {"input": text}
    try:
        with _followed(show) as (stream, lines):
            done = subprocess.run(  # pylint: disable=ansible-bad-function
                list(command),
                env=None if environment is None else dict(environment),
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merged else stream,
                # Not all that they print is UTF-8, and a crontab must come back as it was.
                encoding="utf-8",
                errors="surrogateescape",
                timeout=timeout,
                check=False,
                close_fds=not keep_locks,
                **source,
            )
    except subprocess.TimeoutExpired:
        why = f"{command[0]} did not end within {timeout:.0f} seconds"
        raise Overdue(f"{failure} ({why}); {remedy}.", why) from None
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else error
        why = f"{command[0]} cannot be run: {said}"
        raise ProgramError(f"{failure} ({why}); {remedy}.", why) from error
    return Ran(done.returncode, done.stdout, done.stderr or "".join(lines))


@contextlib.contextmanager
def _followed(show: t.Callable[[str], None] | None) -> t.Iterator[tuple[int, list[str]]]:
    """Yield a stream for a program, and its lines, which are shown as they come; without show a mere pipe."""
    lines: list[str] = []
    if show is None:
        yield subprocess.PIPE, lines
        return
    reading, writing = os.pipe()

    def follow() -> None:
        with open(reading, encoding="utf-8", errors="surrogateescape") as stream:
            for line in stream:
                lines.append(line)
                # A program must not wait for a disk that is full.
                with contextlib.suppress(OSError):
                    show(line)

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield writing, lines
    finally:
        os.close(writing)
        # What outlives the program may have the stream still.
        follower.join(_READ_SECONDS)


def sentence_of(line: str) -> str:
    """Return what mlflow_entry.py says in a line of its log, empty for what others write there."""
    own = line.partition(_OWN)
    return "" if own[0] else own[2].strip()


def reason(*outputs: str) -> str:
    """Return why a program failed, from what it printed: the first of outputs that says anything.

    That is our own entry point's sentence, or the first line that calls itself an error, or a
    traceback's end; only where there is none of them the last line.
    """
    for output in outputs:
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        if lines:
            found = _own(lines) or _first_error(lines) or _exception(lines) or lines[-1]
            return found.rstrip(".")[:_LONGEST].encode("utf-8", "replace").decode("utf-8")
    return "it printed nothing"


def document(
    text: str, what: str, remedy: str, keys: t.Mapping[str, type | tuple[type, ...]]
) -> dict[str, t.Any]:
    """Return the JSON object that a program or a file of ours holds, in its last line that has one.

    Raises MlflowError "WHAT cannot be read (why); REMEDY." unless it is one with these keys of
    these types.
    """
    lines = [line for line in text.splitlines() if line.startswith("{")]
    try:
        # One of several lines, as people may have formatted it, is read whole.
        found = json.loads(lines[-1] if lines and lines[-1].rstrip().endswith("}") else text)
    except ValueError as error:
        raise MlflowError(f"{what} cannot be read ({_phrase(text, error)}); {remedy}.") from None
    if not isinstance(found, dict):
        raise MlflowError(f"{what} cannot be read (it is not a JSON object); {remedy}.")
    for key, kind in keys.items():
        if not isinstance(found.get(key), kind):
            raise MlflowError(f"{what} cannot be read (its key '{key}' is missing); {remedy}.")
    return found


def _own(lines: t.Sequence[str]) -> str:
    """Return what mlflow_entry.py said last, empty where it said nothing or a traceback follows."""
    for line in reversed(lines):
        if _EXCEPTION.match(line):
            return ""
        if _OWN in line:
            return line.partition(_OWN)[2]
    return ""


def _first_error(lines: t.Sequence[str]) -> str:
    """Return the first line that calls itself an error, without that word, else an empty text."""
    for line in lines:
        if _ERROR.match(line):
            return line.partition(":")[2].strip() if line[:5].lower() == "error" else line
    return ""


def _exception(lines: t.Sequence[str]) -> str:
    """Return the end of the last traceback, empty where there is none."""
    found = [line for line in lines if _EXCEPTION.match(line)]
    return found[-1] if found else ""


def _phrase(text: str, error: ValueError) -> str:
    """Return what is wrong with a text that is not JSON."""
    return f"it is not JSON: {error}" if text.strip() else "it is empty"
