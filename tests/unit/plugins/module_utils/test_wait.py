# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every wait ends: with an answer, or at its deadline with its own error."""

from __future__ import annotations

import itertools
import time

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._wait import growing, wait


def late() -> MlflowError:
    """Return the error of a wait that took too long."""
    return MlflowError("Too late.")


@pytest.mark.parametrize("answer", [0, False, "", "text", []])
def test_anything_but_none_is_an_answer(answer: object) -> None:
    """False and empty values too, after as many calls as it takes."""
    answers = iter([None, None, answer])
    assert wait(lambda: next(answers), time.monotonic() + 60, late, 0.001) == answer


def test_an_answer_in_time_needs_no_pause() -> None:
    """The first call comes before any pause, even where the deadline has passed."""
    start = time.monotonic()
    assert wait(lambda: "at once", start - 1, late, 60) == "at once"
    assert time.monotonic() - start < 5


def test_the_deadline_ends_a_wait() -> None:
    """A pause is cut short for one last call, and the error is that of the caller."""
    calls = []
    start = time.monotonic()
    with pytest.raises(MlflowError, match=r"^Too late\.$"):
        wait(lambda: calls.append(time.monotonic()), start + 0.2, late, 60)
    assert len(calls) == 2
    assert 0.2 <= calls[-1] - start < 5


def test_what_done_raises_ends_a_wait() -> None:
    """An error that waiting does not cure is not swallowed."""

    def broken() -> None:
        raise MlflowError("Broken.")

    with pytest.raises(MlflowError, match=r"^Broken\.$"):
        wait(broken, time.monotonic() + 60, late)


def test_pauses_grow_up_to_a_bound() -> None:
    """So that a short wait ends soon and a long one asks rarely."""
    assert list(itertools.islice(growing(1, 2, 5), 5)) == [1, 2, 4, 5, 5]


def test_a_series_of_pauses_is_followed() -> None:
    """Each pause in its turn."""
    answers = iter([None, None, "done"])
    start = time.monotonic()
    assert wait(lambda: next(answers), start + 60, late, growing(0.1, 2, 1)) == "done"
    assert 0.3 <= time.monotonic() - start < 5
