# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real programs that fail, hang, are missing or print something else."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import commands

SUPERVISOR = """\
Error: The minimum number of file descriptors required to run this process is 1024 as per the "minfds" \
command-line argument or config file setting. The current environment will only allow you to open 512 \
file descriptors.
For help, use /venv/bin/supervisord -h
"""
PIP = """\
Collecting mlflow
ERROR: Could not find a version that satisfies the requirement mlflow==9
ERROR: No matching distribution found for mlflow==9
[notice] A new release of pip is available
"""
TRACEBACK = """\
Traceback (most recent call last):
  File "x.py", line 1, in <module>
sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) database is locked
[SQL: INSERT INTO runs VALUES (?)]
(Background on this error at: https://sqlalche.me/e/20/e3q8)
"""


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (SUPERVISOR, SUPERVISOR.splitlines()[0].removeprefix("Error: ").rstrip(".")),
        (PIP, "Could not find a version that satisfies the requirement mlflow==9"),
        (TRACEBACK, "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) database is locked"),
        ("2026 mlflow_entry: The schema is behind.\nexit\n", "The schema is behind"),
        # What it said before it broke off is not why.
        (f"mlflow_entry: The secret was read.\n{TRACEBACK}", TRACEBACK.splitlines()[2]),
        ("mlflow_entry loads MLflow 1.20.3 from /x.\nKeyError: 'a'\n", "KeyError: 'a'"),
        ("usage: x [-h]\nx: error: unrecognized arguments: -y\nsee x -h\n", "x: error: unrecognized arguments: -y"),
        ("one\n  two  \n\n", "two"),
        ("Errors were found: none\nlast word\n", "last word"),
        (" \n", "it printed nothing"),
    ],
)  # fmt: skip
def test_the_reason_is_what_the_program_gives_as_one(output: str, reason: str) -> None:
    """Not the last line, where help, hints and links stand."""
    assert commands.reason(output) == reason


def test_the_reason_is_on_the_first_stream_that_says_anything() -> None:
    """What is not UTF-8 may be printed all the same."""
    assert commands.reason("", "told\n") == "told"
    assert commands.reason("error: why\n", "told\n") == "why"
    assert commands.reason("\udcff is bad") == "? is bad"


def test_a_program_that_ends_is_the_caller_s_to_judge() -> None:
    """Its streams come apart or together, and its input and environment are what was given."""
    code = "import os, sys; print(sys.stdin.read(), os.environ.get('A')); print('e', file=sys.stderr); sys.exit(3)"
    ran = commands.run(
        [sys.executable, "-c", code], 30, "It failed", "do", text="in", environment={"A": "1"}
    )
    assert (ran.code, ran.output, ran.errors, ran.reason) == (3, "in 1\n", "e\n", "e")
    ran = commands.run([sys.executable, "-c", code], 30, "It failed", "do", merged=True)
    assert sorted(ran.output.split()) == sorted(
        ["None", "e"] if "A" not in os.environ else ran.output.split()
    )
    assert ran.errors == ""


def test_errors_are_shown_as_soon_as_they_are_written(tmp_path: Path) -> None:
    """The program goes on only once its first line was seen, and all of it comes back as it was."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    program = "import sys; say = sys.stderr.write; say('one\\n'); open(sys.argv[1]).read(); say('two\\nend')"
    seen: list[str] = []

    def show(line: str) -> None:
        seen.append(line)
        if len(seen) == 1:
            gate.write_text("go on")
        raise OSError("a disk that is full")

    command = [sys.executable, "-u", "-c", program, str(gate)]
    ran = commands.run(command, 30, "Failed", "wait", show=show)
    assert (ran.code, ran.errors, seen) == (0, "one\ntwo\nend", ["one\n", "two\n", "end"])


def test_a_sentence_of_the_program_is_told_from_what_others_log() -> None:
    """Only ours is shown."""
    assert commands.sentence_of("mlflow_entry: demo: 12 rows\n") == "demo: 12 rows"
    assert commands.sentence_of("INFO [alembic] mlflow_entry: no\n") == ""
    assert commands.sentence_of("INFO [alembic] upgrade\n") == ""


def test_what_is_not_utf8_comes_back_as_it_was() -> None:
    """As a crontab with a line of somebody who writes Latin-1."""
    echo = "import sys; sys.stdout.buffer.write(b'caf\\xe9\\n')"
    back = "import sys; print(sys.stdin.buffer.read())"
    text = commands.run([sys.executable, "-c", echo], 30, "It failed", "do").output
    assert commands.run([sys.executable, "-c", back], 30, "It failed", "do", text=text).output == (
        "b'caf\\xe9\\n'\n"
    )


@pytest.mark.parametrize("text", ["", None])
def test_a_program_that_hangs_is_told(text: str | None) -> None:
    """In its time, and it is gone."""
    start = time.monotonic()
    with pytest.raises(commands.ProgramError) as caught:
        commands.run(["sleep", "60"], 0.5, "It failed", "wake it", text=text)
    assert time.monotonic() - start < 10
    assert str(caught.value) == "It failed (sleep did not end within 0 seconds); wake it."


@pytest.mark.parametrize(
    ("mode", "why"), [(None, "No such file or directory"), (0o644, "Permission denied")]
)
def test_a_program_that_cannot_be_run_is_told(tmp_path: Path, mode: int | None, why: str) -> None:
    """One that is missing, and one that is no program."""
    path = tmp_path / "program"
    if mode:
        path.write_text("")
        path.chmod(mode)
    with pytest.raises(MlflowError) as caught:
        commands.run([str(path)], 5, "It failed", "install it")
    assert str(caught.value) == f"It failed ({path} cannot be run: {why}); install it."


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": "x', "it is not JSON: "),
        ("", "it is empty"),
        ("hello\n", "it is not JSON: "),
        ("[]", "it is not a JSON object"),
        ("{}", "its key 'a' is missing"),
        ('{"a": 1}', "its key 'a' is missing"),
    ],
)
def test_a_document_that_is_none_is_refused(text: str, why: str) -> None:
    """Cut short, of another program, or of another form."""
    with pytest.raises(MlflowError) as caught:
        commands.document(text, "The file", "run again", {"a": str})
    assert str(caught.value).startswith(f"The file cannot be read ({why}")
    assert str(caught.value).endswith("); run again.")


@pytest.mark.parametrize(
    "text",
    ['{"a": "x"}', 'warning: old\n{"a": "x"}\n', '{\n  "a": "x"\n}\n', '{"b": 1}\n{"a": "x"}'],
)
def test_a_document_is_found_among_what_else_is_printed(text: str) -> None:
    """As by a Python that warns."""
    assert commands.document(text, "The file", "run again", {"a": str}) == {"a": "x"}
