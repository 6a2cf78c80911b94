# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables that refer to facts, as the playbooks look for them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.filter.mlflow_unreadable import FilterModule
from jinja2 import StrictUndefined
from jinja2.nativetypes import NativeEnvironment


class Host(dict[str, Any]):
    """A host's variables: what cannot be rendered is a value that raises when it is used."""

    def __init__(self, facts: dict[str, Any], **templates: str) -> None:
        """Render the templates with these facts."""
        settings = NativeEnvironment(undefined=StrictUndefined)
        rendered = {
            name: settings.from_string(text).render(ansible_facts=facts)
            for name, text in templates.items()
        }
        super().__init__(inventory_hostname="ada", ansible_facts=facts, **rendered)


@pytest.mark.parametrize(
    ("template", "facts", "expected"),
    [
        ("127.0.0.1", {}, []),
        ("{{ ansible_facts.lo }}", {}, [("lo", False)]),
        ("{{ ansible_facts.lo }}", {"discovered_interpreter_python": "x"}, [("lo", False)]),
        ("{{ ansible_facts.lo }}", {"module_setup": True}, [("lo", True)]),
        ("{{ ansible_facts.lo }}", {"module_setup": True, "lo": "::1"}, []),
        ("{{ ansible_hostname }}", {}, [("ansible_hostname", False)]),
        ("{{ [{'key': ansible_facts.lo}] }}", {}, [("lo", False)]),
        # It is set by a role before it is used.
        ("{{ mlflow_image_reference }}", {}, []),
    ],
)
def test_variables_that_refer_to_missing_facts_are_found(
    template: str, facts: dict[str, Any], expected: list[tuple[str, bool]]
) -> None:
    """With the host, the variable's name and what is missing; other variables do not count."""
    host = Host(facts, mlflow_server_host=template, own="{{ ansible_facts.nowhere }}")
    found = FilterModule().filters()["mlflow_unreadable"]([{"inventory_hostname": "bob"}, host])
    assert [(one["host"], one["name"]) for one in found] == [
        ("ada", "mlflow_server_host") for _one in expected
    ]
    for one, (missing, gathered) in zip(found, expected, strict=True):
        assert missing in one["reason"]
        assert one["gathered"] is gathered
