# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the outcome of a run over the stacks of a series."""

from __future__ import annotations

import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.projects import (
    foreseen_outputs,
    projects_of,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.results import (
    Progress,
    Records,
    StackResult,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.series import stack_name
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.series_reader import (
    outputs_of,
)


class SeriesResult(t.NamedTuple):
    """What was done, or in check mode would be: of each stack by number, and where projects are."""

    results: t.Mapping[int, StackResult]
    first: str
    placed: t.Mapping[int, t.Sequence[str]]

    def as_dict(self, check_mode: bool) -> dict[str, t.Any]:
        """Return the module's result; its form is the module's documentation."""
        names = {number: stack_name(self.first, number) for number in self.results}
        outputs = self._outputs(check_mode)
        changed = any(result.changed for result in self.results.values())
        return {
            "changed": changed,
            "up_to_date": not changed,
            "changes": self._of_each("changes"),
            "diff": [result.diff for result in self.results.values() if result.changed],
            "events": self._of_each("events"),
            "retained": self._of_each("retained"),
            "stacks": {
                names[number]: {
                    "status": result.stack.status if result.stack else "ABSENT",
                    "stack_id": result.stack.stack_id if result.stack else "",
                    "changed": result.changed,
                    "projects": list(self.placed.get(number, [])),
                }
                for number, result in self.results.items()
            },
            "outputs": outputs,
            "projects": projects_of(outputs),
            "waited": round(sum(result.waited for result in self.results.values()), 1),
        }

    def _outputs(self, check_mode: bool) -> dict[str, str]:
        """Return the outputs of all stacks, in check mode those that they will have."""
        stacks = [result.stack for result in self.results.values() if result.stack]
        outputs = outputs_of(stacks)
        if not check_mode:
            return outputs
        kept = foreseen_outputs(name for names in self.placed.values() for name in names)
        return {key: outputs.get(key, text) for key, text in kept.items()}

    def _of_each(self, what: str) -> Records:
        """Return the records of all stacks, each with its stack's name."""
        return [
            {"stack": stack_name(self.first, number), **record}
            for number, result in self.results.items()
            for record in getattr(result, what)
        ]


def joined(failed: t.Mapping[str, MlflowError], done: t.Iterable[Progress]) -> MlflowError:
    """Return one error for the stacks that failed, by name; its sentence is that of the first."""
    first, *others = failed
    sentence = str(failed[first])
    if others:
        also = ", ".join(f"'{name}'" for name in others)
        sentence = f"{sentence.rstrip('.')}; the same goes for {also}, see 'failures'."
    changed = any(progress.changed for progress in done)
    failures = {name: str(error) for name, error in failed.items()}
    return MlflowError(
        sentence, {**failed[first].details, "changed": changed, "failures": failures}
    )
