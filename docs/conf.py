# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx's configuration of the documentation site, which scripts/docs builds."""

from __future__ import annotations

from typing import Any

project = "mlops.mlflow_aws"
author = "The mlops.mlflow_aws contributors"
copyright = f"2026, {author}"  # noqa: A001

extensions = ["myst_parser", "sphinx_antsibull_ext"]
html_theme = "sphinx_ansible_theme"
html_theme_options = {"documentation_home_url": "index.html"}
html_title = "mlops.mlflow_aws"
html_short_title = "mlops.mlflow_aws"
html_copy_source = False
html_show_sphinx = False
pygments_style = "ansible"
highlight_language = "YAML+Jinja"

# Anchors of headings as a forge makes them, since pages are read there too.
myst_heading_anchors = 4

# Pages of Ansible's own documentation that the generated reference refers to by their labels.
# Sphinx could look them up there, but then no site could be built without a network.
ANSIBLE = "https://docs.ansible.com/ansible/latest/"
LABELS = {
    "action_plugins": "plugins/action.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "common_return_values": "reference_appendices/common_return_values.html",
}


def link_to_ansible(_app: Any, _env: Any, node: Any, content: Any) -> Any:
    """Return a link for a label of Ansible's documentation; others stay missing, which Sphinx reports."""
    from docutils import nodes

    page = LABELS.get(node["reftarget"])
    if page is None:
        return None
    return nodes.reference("", "", content, internal=False, refuri=ANSIBLE + page)


def setup(app: Any) -> None:
    """Register the lookup of labels."""
    app.connect("missing-reference", link_to_ansible)
