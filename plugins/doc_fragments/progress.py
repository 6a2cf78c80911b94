# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option of modules that show how far they are."""

from __future__ import annotations


class ModuleDocFragment:
    """A file to which a module appends a line now and then."""

    DOCUMENTATION = r"""
options:
  progress_path:
    description:
      - Path to a file on the host, to which the module appends lines that say how far it is, while it waits.
      - A task that runs on the control node without C(become) sets it by itself, and shows the lines.
    type: path
"""
