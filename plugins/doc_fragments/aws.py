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
      - If unset, the environment variable E(AWS_REGION) or E(AWS_DEFAULT_REGION), or the profile's region.
    type: str
  profile:
    description:
      - Profile of the AWS configuration of the user who runs the module.
      - If unset, AWS's default credential chain applies, such as E(AWS_PROFILE), environment variables and the
        instance profile. There is no option for keys, so that none can end up in a log.
    type: str
  endpoint_url:
    description:
      - URL to use instead of AWS's endpoints, for an emulator.
      - For one service alone, such as a VPC endpoint without private DNS, set a variable such as
        E(AWS_ENDPOINT_URL_CLOUDFORMATION), or C(services) in the profile.
    type: str
requirements:
  - boto3
notes:
  - Timeouts are 10 seconds for each connection and 60 seconds for each response. A call is tried up to five times.
"""
