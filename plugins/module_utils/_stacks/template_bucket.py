# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the bucket for templates that a request cannot carry."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.template import (
    is_transformed,
    parse_template,
)

# What CloudFormation takes in a request, and from a bucket. Both limits apply again to what macros make of it.
SENT_BYTES = 51_200
STORED_BYTES = 1_000_000
_MISSING = ("404", "NoSuchBucket", "NoSuchKey", "NotFound")
_CLOSED = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


class TemplateBucket:
    """A bucket of this account; every method raises MlflowError with one sentence."""

    def __init__(self, params: t.Mapping[str, t.Any], name: str, account: str) -> None:
        """Connect; params are the options of _aws.ARGUMENTS, an empty name means our own bucket."""
        self._client = _aws.client(params, "s3")
        self._region = str(self._client.meta.region_name)
        self._account = account
        # Several stacks are made of one template at once.
        self._lock = threading.Lock()
        self._found: set[str] = set()
        self.name = name or f"mlflow-aws-cloudformation-{account}-{self._region}"

    def holds(self, body: str) -> bool:
        """Return whether the template is there; it is not if the bucket is missing."""
        key = _key(body)
        with self._lock:
            return self._holds(key)

    def put(self, body: str) -> None:
        """Store the template if it is not there, in a private bucket that is created if it is missing."""
        key = _key(body)
        with self._lock:
            if self._holds(key):
                return
            self._make()
            with _aws.explained(f"upload a template to bucket '{self.name}'", self._client):
                self._client.put_object(
                    Bucket=self.name,
                    Key=key,
                    Body=body.encode("utf-8"),
                    ExpectedBucketOwner=self._account,
                )
            self._found.add(key)

    def url(self, body: str) -> str:
        """Return the address by which CloudFormation reads the template."""
        return f"{self._client.meta.endpoint_url}/{self.name}/{_key(body)}"

    def _holds(self, key: str) -> bool:
        """Return whether an object is there, and remember one that is."""
        if key not in self._found:
            with _aws.explained(f"look for a template in bucket '{self.name}'", self._client):
                if self._exists(self._client.head_object, Key=key):
                    self._found.add(key)
        return key in self._found

    def _make(self) -> None:
        """Create the bucket if it is missing."""
        with _aws.explained(f"create bucket '{self.name}' for templates", self._client):
            if self._exists(self._client.head_bucket):
                return
            place = {"CreateBucketConfiguration": {"LocationConstraint": self._region}}
            # The one region that must not be named.
            more = {} if self._region == "us-east-1" else place
            with contextlib.suppress(self._client.exceptions.BucketAlreadyOwnedByYou):
                self._client.create_bucket(Bucket=self.name, **more)
            self._client.put_public_access_block(
                Bucket=self.name,
                PublicAccessBlockConfiguration=dict.fromkeys(_CLOSED, True),
                ExpectedBucketOwner=self._account,
            )

    def _exists(self, head: t.Callable[..., t.Any], **of: str) -> bool:
        """Ask for the head of a bucket or object of this account."""
        try:
            head(Bucket=self.name, ExpectedBucketOwner=self._account, **of)
        except self._client.exceptions.ClientError as error:
            code = _aws.error_code(error)
            if code == "403":
                # S3 gives no reason to a HEAD request.
                raise MlflowError(
                    f"Bucket '{self.name}' belongs to another account, or these credentials lack "
                    "s3:ListBucket and s3:GetObject on it; set template_bucket to another one, or allow "
                    "these actions."
                ) from None
            if code not in _MISSING:
                raise
            return False
        return True


def goes_by_bucket(body: str) -> bool:
    """Return whether CloudFormation takes a template from a bucket; else it goes in the request.

    The limit of a request applies to the template after its macros too, and only AWS knows how long
    it is then. Raises MlflowError for one that is too long for both.
    """
    size = len(body.encode("utf-8"))
    if size > STORED_BYTES:
        raise MlflowError(
            f"The template is {size} bytes long, and the limit is {STORED_BYTES}; split it into several stacks."
        )
    return size > SENT_BYTES or is_transformed(parse_template(body))


def _key(body: str) -> str:
    """Return the key of a template, which is its content's hash."""
    return f"{hashlib.sha256(body.encode('utf-8')).hexdigest()}.yml"
