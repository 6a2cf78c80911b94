# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of scripts/test: what waits for --thorough, what may be skipped, and its arguments."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.mlops.mlflow_aws.tests import lanes, left_out

ROOT = Path(left_out.__file__).resolve().parent.parent
CONFTEST = """
from ansible_collections.mlops.mlflow_aws.tests import left_out

def pytest_addoption(parser):
    left_out.add_option(parser)

def pytest_configure(config):
    config.addinivalue_line("markers", "thorough(why): takes long")
    config.pluginmanager.register(left_out.LeftOut(config))
"""
TESTS = """
import pytest
from ansible_collections.mlops.mlflow_aws.tests.support import NEEDS

def test_quick():
    pass

@pytest.mark.thorough("test_quick runs every time.")
def test_slow():
    pass

@pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.thorough("1 runs."))])
def test_both(number):
    pass

def test_newer():
    pytest.skip(NEEDS + "Python 3.12 or newer: install one.")

def test_other():
    if OTHER:
        pytest.skip("no such thing here")
"""
LEFT = "2 tests were left for scripts/test --thorough."
NEWER = "Not run in sample: what needs Python 3.12 or newer: install one."


@dataclass(frozen=True)
class Sample:
    """A small set of tests, with the rules of ours."""

    folder: Path

    def run(self, *arguments: str, rule: str = "") -> tuple[int, str, str]:
        """Run pytest; return its exit code, its last line, and all that it printed."""
        # With CI in its environment pytest prints each reason twice.
        kept = {
            name: text
            for name, text in os.environ.items()
            if name != "CI" and not name.startswith("PYTEST_")
        }
        # Where the collection lies in a folder of collections; elsewhere the environment has a link to it.
        roots = [path for path in ROOT.parents if (path / "ansible_collections").is_dir()]
        kept |= {"PYTHONPATH": str((roots or [ROOT])[0]), left_out.NO_SKIP: rule}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-c", "pytest.ini", *arguments],
            cwd=self.folder,
            env=kept,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        text = done.stdout + done.stderr
        return done.returncode, text.strip().splitlines()[-1], text


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    """Return a set of tests with two thorough ones, and one for which a Python is missing."""
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")
    folder = tmp_path / "tests" / "gate"
    folder.mkdir(parents=True)
    (tmp_path / "tests" / "conftest.py").write_text(CONFTEST)
    (folder / "test_sample.py").write_text(f"OTHER = False\n{TESTS}")
    return Sample(tmp_path)


def test_thorough_tests_are_left_out_and_counted(sample: Sample) -> None:
    """Without the option they do not run, and one line says how many there are."""
    code, last, text = sample.run("tests")
    assert code == 0, text
    assert last.startswith("3 passed, 1 skipped, 2 deselected in "), text
    assert LEFT in text.splitlines()


@pytest.mark.parametrize(
    "arguments",
    [
        ("tests", "--thorough"),
        ("tests", "-m", "thorough"),
        ("tests/gate/test_sample.py::test_slow",),
    ],
    ids=["option", "marker", "name"],
)
def test_thorough_tests_run_where_they_are_asked_for(
    sample: Sample, arguments: tuple[str, ...]
) -> None:
    """By the option, by the marker, or by name; then nothing is left to count."""
    code, _last, text = sample.run(*arguments, "-rA")
    assert code == 0, text
    assert "PASSED tests/gate/test_sample.py::test_slow" in text
    assert "left for" not in text


@pytest.mark.parametrize("marker", ["thorough", "thorough('It takes long')"])
def test_a_thorough_test_says_why_it_may_wait(sample: Sample, marker: str) -> None:
    """In one sentence, or nothing runs."""
    path = sample.folder / "tests" / "gate" / "test_bare.py"
    path.write_text(f"import pytest\n\n@pytest.mark.{marker}\ndef test_bare():\n    pass\n")
    code, _last, text = sample.run("tests")
    assert code == pytest.ExitCode.USAGE_ERROR, text
    assert "tests/gate/test_bare.py::test_bare: thorough takes one sentence, why " in text


@pytest.mark.parametrize("lanes_", ["0", "2"])
def test_lanes_count_once(sample: Sample, lanes_: str) -> None:
    """Every lane collects the same tests, and the summary has one line of each kind."""
    pytest.importorskip("xdist")
    _code, _last, text = sample.run("tests", "-n", lanes_)
    assert text.splitlines().count(LEFT) == 1, text
    assert text.splitlines().count(NEWER) == 1, text


@pytest.mark.parametrize(("rule", "failures"), [("", 0), ("1", 0), ("all", 1)])
def test_a_missing_python_is_one_line_of_the_summary(
    sample: Sample, rule: str, failures: int
) -> None:
    """It fails only where no test may be skipped for any reason."""
    code, _last, text = sample.run("tests", rule=rule)
    assert code == int(failures > 0), text
    assert (NEWER in text.splitlines()) is (failures == 0), text
    assert text.count("A stage that was asked for may not skip a test.") == failures


def test_what_else_is_skipped_fails_in_the_gate(sample: Sample) -> None:
    """With the reason; elsewhere it is skipped."""
    (sample.folder / "tests" / "gate" / "test_sample.py").write_text(f"OTHER = True\n{TESTS}")
    assert sample.run("tests")[0] == 0
    code, _last, text = sample.run("tests", rule="1")
    assert code == 1
    assert "A stage that was asked for may not skip a test. Skipped: no such thing here" in text


@pytest.mark.parametrize(
    ("path", "stage"),
    [
        ("tests/gate/test_compat.py::test_by_name[2.21]", "compat"),
        ("tests/integration/aws/test_ecr.py::test_x", "aws"),
        ("tests/integration/test_boot.py::test_x", "integration"),
        ("tests/unit/plugins/module_utils/test_names.py::test_x", "unit"),
    ],
)
def test_stages_are_named_as_in_scripts_test(path: str, stage: str) -> None:
    """From the path of a test."""
    assert left_out.stage_of(path) == stage


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("tests/twin/test_faults.py::test_x", "tests/twin"),
        ("tests/twin/test_engine.py::test_x", "tests/twin/test_engine.py"),
        ("tests/unit/plugins/test_x.py::test_x[a::b]", "tests/unit/plugins"),
        ("tests/integration/test_boot.py::test_x", "tests/integration/test_boot.py"),
    ],
)
def test_one_lane_runs_what_shares_servers(path: str, group: str) -> None:
    """And no more than that."""
    assert lanes.group_of(path) == group


def test_lanes_begin_with_groups_that_exist() -> None:
    """A file that was renamed would begin last."""
    for group in (*lanes.FIRST, *lanes.SHARED, *lanes.APART):
        assert (ROOT / group).exists(), group


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("nothing", "There is no stage nothing; name one of lint, "),
        ("--fast", "There is no option --fast (options of pytest go after --)"),
    ],
)
def test_what_scripts_test_does_not_know_is_refused(argument: str, sentence: str) -> None:
    """In one sentence, before anything is installed."""
    command = ["bash", str(ROOT / "scripts" / "test"), "unit", argument]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.splitlines()) == 1


def test_scripts_test_explains_itself() -> None:
    """--help names every stage, and what --thorough is for."""
    script = ROOT / "scripts" / "test"
    done = subprocess.run(
        ["bash", str(script), "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "scripts/test --thorough" in done.stdout
    (line,) = [line for line in script.read_text().splitlines() if "STAGES=" in line]
    stages = line.partition('"')[2].rstrip('"').split()
    assert len(stages) > 10
    named = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}
    assert set(stages) <= named
