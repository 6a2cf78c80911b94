# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: reads single values of ``mlflow_projects``, or says what is wrong with them.

`where` names the entry and the key in the message of an MlflowError.
"""

from __future__ import annotations

import difflib
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError


def require_mapping(where: str, value: t.Any, remedy: str) -> None:
    """Refuse a value that is not a dictionary."""
    if not isinstance(value, dict):
        raise MlflowError(f"{where} is {kind(value)}; {remedy}.")


def require_known(where: str, entry: t.Mapping[t.Any, t.Any], known: t.Iterable[str]) -> None:
    """Refuse an unknown key, naming the nearest known one."""
    names = list(known)
    for key in entry:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"choose from {', '.join(names)}."
            raise MlflowError(f"{where}: unknown key '{key}'; {hint}")


def text(where: str, value: t.Any) -> str:
    """Read a string that may be left out."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise MlflowError(f"{where} is {kind(value)}; write a string, in quotes if necessary.")
    return str(value)


def number(where: str, value: t.Any, within: range) -> int:
    """Read an integer within a range."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise MlflowError(f"{where} is {kind(value)}; write an integer without quotes.")
    if value not in within:
        raise MlflowError(
            f"{where} is {value}, which is out of range; choose {within[0]} to {within[-1]}."
        )
    return int(value)


def flag(where: str, value: t.Any) -> bool:
    """Read a boolean, false by default."""
    if value is not None and not isinstance(value, bool):
        raise MlflowError(f"{where} is {kind(value)}; write true or false without quotes.")
    return bool(value)


def kind(value: t.Any) -> str:
    """Return what a value of the wrong type is."""
    kinds: list[tuple[t.Any, str]] = [
        (type(None), "empty"),
        (bool, "true or false"),
        (str, "a string"),
        ((int, float), "a number"),
        (dict, "a dictionary"),
        ((list, tuple), "a list"),
    ]
    return next((word for kind, word in kinds if isinstance(value, kind)), "of an unknown type")
