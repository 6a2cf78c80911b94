# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options by which modules connect to AWS."""

from __future__ import annotations


class ModuleDocFragment:
    """Connection to AWS."""

    DOCUMENTATION = r"""
options:
  region:
    description:
      - AWS region.
      - If unset, E(AWS_REGION) or E(AWS_DEFAULT_REGION), otherwise the profile's own region.
    type: str
  profile:
    description:
      - Name of a profile in the AWS configuration of the user who runs the module.
      - If unset, AWS's default credential chain applies, such as E(AWS_PROFILE), environment variables and the instance
        profile. Access keys are not an option, so that they cannot end up in a log.
    type: str
  endpoint_url:
    description:
      - URL to send all requests to instead of AWS's own endpoints, such as an emulator's.
      - For a single service, such as a VPC endpoint without private DNS, set E(AWS_ENDPOINT_URL_CLOUDFORMATION) or its
        equivalents, or C(services) in the profile.
    type: str
requirements:
  - boto3
notes:
  - Connections time out after 10 seconds and responses after 60. Each call is tried up to five times.
"""
