# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options by which modules reach AWS."""

from __future__ import annotations


class ModuleDocFragment:
    """Connection to AWS."""

    DOCUMENTATION = r"""
options:
  region:
    description:
      - The AWS region.
      - Without it the environment variable E(AWS_REGION) or E(AWS_DEFAULT_REGION), else the profile's own region.
    type: str
  profile:
    description:
      - A profile of the AWS configuration of the user who runs the module.
      - Without it the usual places in the usual order, such as E(AWS_PROFILE), environment variables and the
        instance profile. Keys are no option, so that none can end up in a log.
    type: str
  endpoint_url:
    description:
      - Where to send every request instead of to AWS's own addresses, for an emulator.
      - For one service alone, such as a VPC endpoint without private DNS, set E(AWS_ENDPOINT_URL_CLOUDFORMATION) and
        its like, or C(services) in the profile.
    type: str
requirements:
  - boto3
notes:
  - Connecting takes at most 10 seconds and an answer 60; a call is tried five times.
"""
