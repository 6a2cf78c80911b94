# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules for tests that do not run: what waits for --thorough, and what may be skipped."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.support import NEEDS

# Set by scripts/test: "1" if no test may be skipped, except where a Python or a kernel is missing; "all" if none may.
NO_SKIP = "MLFLOW_AWS_NO_SKIP"
OPTION = "--thorough"


def add_option(parser: pytest.Parser) -> None:
    """Add the option that scripts/test hands over."""
    parser.addoption(OPTION, action="store_true", help="also run the tests marked as thorough")


def wanted(config: pytest.Config) -> bool:
    """Return whether thorough tests were asked for: by the option, by a marker, or by name."""
    named = any("::" in argument for argument in config.args)
    return bool(config.getoption(OPTION) or config.getoption("markexpr") or named)


def is_thorough(item: pytest.Item) -> bool:
    """Return whether a test is thorough; one that does not say why is refused."""
    marker = item.get_closest_marker("thorough")
    if marker and not (len(marker.args) == 1 and str(marker.args[0]).endswith(".")):
        raise pytest.UsageError(
            f"{item.nodeid}: thorough takes one sentence, why the other tests are enough every time."
        )
    return marker is not None


def params(every_time: Iterable[Any], thorough: Iterable[Any], why: str) -> list[Any]:
    """Return the values of a parametrized test, of which the second ones are thorough."""
    mark = pytest.mark.thorough(why)
    tuples = (value if isinstance(value, tuple) else (value,) for value in thorough)
    return [*every_time, *(pytest.param(*values, marks=mark) for values in tuples)]


class LeftOut:
    """Counts what does not run, in one process or in all lanes, and says so at the end."""

    def __init__(self, config: pytest.Config) -> None:
        """Begin with nothing left out."""
        self.config = config
        self.thorough = 0
        # Stages of which something did not run, each with what that needs, in the order of the tests.
        self.lacking: dict[tuple[str, str], None] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave thorough tests out, unless they were asked for."""
        thorough = [item for item in items if is_thorough(item)]
        if thorough and not wanted(self.config):
            items[:] = [item for item in items if not is_thorough(item)]
            self.thorough = len(thorough)
            self.config.hook.pytest_deselected(items=thorough)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Fail a skipped test where every test was asked for."""
        report = yield
        forbid_skip(report)
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self,
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Fail a skipped module where every test was asked for."""
        report = yield
        forbid_skip(report)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember what did not run for want of what."""
        if report.skipped and NEEDS in reason(report):
            self.lacking[stage_of(report.nodeid), reason(report).partition(NEEDS)[2]] = None

    def pytest_sessionfinish(self) -> None:
        """Tell the process that started the lanes what this lane left out."""
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput[OPTION] = self.thorough

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a lane left out; every lane collects the same tests."""
        told = getattr(node, "workeroutput", {})
        self.thorough = max(self.thorough, told.get(OPTION, 0))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print one line for what a stage did not run, and one for what waits for --thorough."""
        for line in self.lines():
            terminalreporter.write_line(line)

    def lines(self) -> list[str]:
        """Return what the summary says."""
        lines = [f"Not run in {stage}: what needs {what}" for stage, what in self.lacking]
        if self.thorough:
            tests = "test was" if self.thorough == 1 else "tests were"
            lines.append(f"{self.thorough} {tests} left for scripts/test {OPTION}.")
        return lines


def stage_of(nodeid: str) -> str:
    """Return the stage of scripts/test that a test belongs to."""
    path = nodeid.partition("::")[0].removeprefix("tests/")
    if path.startswith("gate/"):
        return path.removeprefix("gate/test_").removesuffix(".py")
    return "aws" if path.startswith("integration/aws/") else path.partition("/")[0]


def reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return why something was skipped."""
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)


def forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure with the same reason, if scripts/test says so."""
    rule = os.environ.get(NO_SKIP, "")
    if report.outcome != "skipped" or not rule:
        return
    if getattr(report, "wasxfail", None) is not None:
        return
    if rule != "all" and NEEDS in reason(report):
        return
    report.outcome = "failed"
    report.longrepr = f"A stage that was asked for may not skip a test. {reason(report)}"
