# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option state_dir."""

from __future__ import annotations


class ModuleDocFragment:
    """Where a host keeps its state."""

    DOCUMENTATION = r"""
options:
  state_dir:
    description:
      - Folder of the host that holds projects, runtimes and servers, as an absolute path outside of the installed
        collection. C(~), C(~USER) and C($VARIABLE) at its beginning are expanded on the host; a relative path is
        refused.
      - If unset, C(mlflow_aws) in the XDG state home, which is C(~/.local/state) unless E(XDG_STATE_HOME) names another
        absolute path.
    type: path
"""
