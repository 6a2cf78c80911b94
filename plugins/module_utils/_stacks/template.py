# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: CloudFormation templates: their content, and whether two of them do the same."""

from __future__ import annotations

import json
import typing as t

from ansible.module_utils.common.yaml import HAS_YAML, yaml_load
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

# What a change of these alone does not count as to CloudFormation.
_IDLE_SECTIONS = ("AWSTemplateFormatVersion", "Description", "Metadata")


def parse_template(body: str) -> dict[str, t.Any]:
    """Return a template's content from YAML in long form, or JSON."""
    try:
        content = json.loads(body)
    except ValueError:
        content = _parse_yaml(body)
    if not isinstance(content, dict) or not isinstance(content.get("Resources"), dict):
        raise MlflowError(
            "The template has no section 'Resources'; check the file that it was read from."
        )
    return content


def same_template(one: t.Any, other: t.Any) -> bool:
    """Return whether two templates, each as text or content, do the same.

    CloudFormation gives characters beyond ASCII back as question marks.
    """
    if isinstance(one, str) and isinstance(other, str) and _ascii(one) == _ascii(other):
        return True
    return bool(_meaning(one) == _meaning(other))


def is_transformed(content: t.Mapping[str, t.Any]) -> bool:
    """Return whether CloudFormation makes another template of this one, by macros."""
    return bool(content.get("Transform")) or '"Fn::Transform"' in json.dumps(content, default=str)


def capabilities(content: t.Mapping[str, t.Any]) -> list[str]:
    """Return what CloudFormation wants acknowledged for this template."""
    words = ["CAPABILITY_NAMED_IAM"] if "AWS::IAM::" in json.dumps(content, default=str) else []
    return [*words, "CAPABILITY_AUTO_EXPAND"] if is_transformed(content) else words


def _parse_yaml(body: str) -> t.Any:
    """Return the content of a template in YAML."""
    if not HAS_YAML:
        raise MlflowError("Reading the template needs PyYAML; install it beside Ansible.")
    try:
        return yaml_load(body)
    except Exception as error:
        # PyYAML's own errors cannot be named where it may be missing.
        if type(error).__module__.partition(".")[0] != "yaml":
            raise
        text = " ".join(str(error).split())
        raise MlflowError(
            f"The template is not YAML in long form ({text}); correct it, and write short tags such as "
            "!Ref in their long form, Ref: or Fn::...:."
        ) from None


def _ascii(text: str) -> str:
    """Return a template as CloudFormation gives it back."""
    return "".join(letter if letter < "\x80" else "?" for letter in text).strip()


def _meaning(template: t.Any) -> t.Any:
    """Return a template's content without what changes nothing by itself."""
    content = parse_template(_ascii(template)) if isinstance(template, str) else template
    plain = json.loads(_ascii(json.dumps(content, default=str, ensure_ascii=False)))
    return {key: value for key, value in plain.items() if key not in _IDLE_SECTIONS}
