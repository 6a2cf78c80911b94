# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module that takes long, and shows the lines that it writes to progress_path while it does.

meta/runtime.yml names the modules.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

_LOOK_SECONDS = 1.0


class ActionModule(ActionBase):
    """The module itself does everything."""

    _supports_check_mode = True
    _supports_async = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        """Run the module, with a file for its lines if it runs on this machine."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        del tmp
        arguments = dict(self._task.args)
        here = getattr(self._connection, "transport", "") == "local" and not self._play_become()
        with contextlib.ExitStack() as stack:
            if here and not arguments.get("progress_path"):
                arguments["progress_path"] = stack.enter_context(_shown())
            result.update(
                self._execute_module(
                    module_name=self._task.resolved_action or self._task.action,
                    module_args=arguments,
                    task_vars=task_vars,
                )
            )
        return result

    def _play_become(self) -> bool:
        """Return whether the module runs as another user, who could not write to our file."""
        return bool(getattr(self._connection, "become", None))


@contextlib.contextmanager
def _shown() -> t.Iterator[str]:
    """Yield the path of a file whose lines are shown as soon as they are written."""
    with tempfile.TemporaryDirectory(prefix="mlflow-aws-") as folder:
        path = os.path.join(folder, "progress")
        with open(path, "w+", encoding="utf-8") as stream:
            done = threading.Event()
            reader = threading.Thread(target=_follow, args=(stream, done), daemon=True)
            reader.start()
            try:
                yield path
            finally:
                done.set()
                reader.join(10 * _LOOK_SECONDS)


def _follow(stream: t.TextIO, done: threading.Event) -> None:
    """Show the lines of a file until the writer is done."""
    display = Display()
    rest = ""
    while True:
        last = done.wait(_LOOK_SECONDS)
        rest += stream.read()
        *lines, rest = rest.split("\n")
        for line in lines:
            display.display(line)
        if last:
            return
