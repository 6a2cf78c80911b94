# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: empties and deletes a bucket, with its versions, markers and unfinished uploads."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

_DENIED = ("AccessDenied", "403")
_FULL = "BucketNotEmpty"
_GONE = ("NoSuchBucket", "404")
# Something that writes all the time has to be stopped, rather than be deleted after.
_ROUNDS = 5
# How many deletions are shown at once.
_SHOWN = 10_000


class Bucket:
    """One bucket of the account; every method raises MlflowError with one sentence."""

    def __init__(
        self,
        client: t.Any,
        name: str,
        account: str,
        show: t.Callable[[str], None] = lambda _line: None,
        deadline: float = float("inf"),
    ) -> None:
        """Take a client of S3; deadline is a time.monotonic() value, and show takes lines of progress."""
        self._client = client
        self._name = name
        self._owner = {"Bucket": name, "ExpectedBucketOwner": account}
        self._show = show
        self._deadline = deadline
        self._deleted = 0

    def holds(self) -> str:
        """Return how many versions and delete markers it holds, in words; it reads one page at most."""
        with _aws.explained(f"list bucket '{self._name}'", self._client):
            page = self._client.list_object_versions(**self._owner)
        number = len(page.get("Versions", [])) + len(page.get("DeleteMarkers", []))
        return f"{number:,}{' or more' if page.get('IsTruncated') else ''}"

    def holds_below(self, prefix: str) -> str:
        """Return how many versions and delete markers there are below a prefix, in words; empty if none."""
        with _aws.explained(f"list bucket '{self._name}'", self._client):
            page = self._client.list_object_versions(**self._owner, Prefix=prefix)
        number = len(page.get("Versions", [])) + len(page.get("DeleteMarkers", []))
        return f"{number:,}{' or more' if page.get('IsTruncated') else ''}" if number else ""

    def first_below(self, prefix: str, end: str = "") -> str:
        """Return the key of an object below a prefix that ends so, empty if there is none."""
        with _aws.explained(f"list bucket '{self._name}'", self._client):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                **self._owner, Prefix=prefix
            )
            keys = (entry["Key"] for page in pages for entry in page.get("Contents", []))
            return next((key for key in keys if key.endswith(end)), "")

    def empty_below(self, prefix: str) -> None:
        """Delete all versions below a prefix, and end unfinished uploads there."""
        with _aws.explained(f"empty {prefix} of bucket '{self._name}'", self._client):
            self._empty(prefix)

    def delete(self) -> None:
        """Delete everything in it, and the bucket; a policy of the bucket that denies this goes first."""
        with _aws.explained(f"empty and delete bucket '{self._name}'", self._client):
            try:
                self._delete()
            except self._client.exceptions.ClientError as error:
                if _aws.error_code(error) not in _DENIED or not self._drop_policy():
                    raise
                self._delete()

    def _delete(self) -> None:
        """Empty it and delete it, more than once if something wrote in the meantime."""
        if not any(self._attempt() for _round in range(_ROUNDS)):
            raise MlflowError(
                f"Bucket '{self._name}' is not empty after {_ROUNDS} attempts, since something writes to it; stop "
                "the servers of all hosts and rerun."
            )

    def _attempt(self) -> bool:
        """Empty and delete it; return whether it is gone."""
        try:
            self._empty()
            self._client.delete_bucket(**self._owner)
        except self._client.exceptions.ClientError as error:
            if _aws.error_code(error) not in (_FULL, *_GONE):
                raise
            return _aws.error_code(error) != _FULL
        return True

    def _empty(self, prefix: str = "") -> None:
        """Delete all versions and delete markers, and end unfinished uploads."""
        below = {**self._owner, "Prefix": prefix}
        for page in self._client.get_paginator("list_object_versions").paginate(**below):
            entries = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            objects = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries]
            if objects:
                self._require_time()
                answer = self._client.delete_objects(
                    Delete={"Objects": objects, "Quiet": True}, **self._owner
                )
                self._require_done(answer.get("Errors", []))
                self._count(len(objects))
        for page in self._client.get_paginator("list_multipart_uploads").paginate(**below):
            for entry in page.get("Uploads", []):
                self._client.abort_multipart_upload(
                    Key=entry["Key"], UploadId=entry["UploadId"], **self._owner
                )

    def _require_done(self, errors: t.Sequence[t.Mapping[str, str]]) -> None:
        """Raise what S3 reports of objects that it did not delete, as the error of one call."""
        if errors:
            first = errors[0]
            raise self._client.exceptions.ClientError(
                {"Error": {"Code": first.get("Code", ""), "Message": _about(first)}},
                "DeleteObjects",
            )

    def _require_time(self) -> None:
        """Stop at the deadline; what was deleted stays deleted."""
        if time.monotonic() > self._deadline:
            raise MlflowError(
                f"Bucket '{self._name}' could not be emptied in time ({self._deleted:,} versions were deleted); rerun "
                "to continue, or raise the timeout."
            )

    def _count(self, number: int) -> None:
        """Show from time to time how far it is."""
        before, self._deleted = self._deleted, self._deleted + number
        if before // _SHOWN != self._deleted // _SHOWN:
            self._show(f"[{self._name}] Deleted {self._deleted:,} versions of objects")

    def _drop_policy(self) -> bool:
        """Delete the bucket's policy; return whether there was one."""
        try:
            self._client.get_bucket_policy(**self._owner)
        except self._client.exceptions.ClientError as error:
            if _aws.error_code(error) == "NoSuchBucketPolicy":
                return False
            if _aws.error_code(error) not in _DENIED:
                raise
        self._show(f"[{self._name}] Deleting its policy, which denies the deletion")
        self._client.delete_bucket_policy(**self._owner)
        return True


def _about(error: t.Mapping[str, str]) -> str:
    """Return what S3 says of one object."""
    return f"{error.get('Message', '')} ({error.get('Key', '')})"
