# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every error of AWS and of boto3 becomes one sentence that says what to do."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import (
    _aws,
    _aws_errors,
    _aws_regions,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from botocore import exceptions as boto

USER = "arn:aws:iam::123456789012:user/ada"
CLUSTER = "arn:aws:rds:eu-central-1:123456789012:cluster:mlflow"


def answer(code: str, text: str = "Words.", operation: str = "DescribeStacks") -> boto.ClientError:
    """Return what boto3 raises for an answer of AWS."""
    return boto.ClientError({"Error": {"Code": code, "Message": text}}, operation)


def connection(service: str = "cloudformation") -> Any:
    """Return what is asked of a client."""
    return SimpleNamespace(
        meta=SimpleNamespace(
            region_name="eu-central-1",
            endpoint_url=f"https://{service}.eu-central-1.amazonaws.com",
            service_model=SimpleNamespace(signing_name=service),
        )
    )


def sentence(error: Exception, service: str = "cloudformation") -> str:
    """Return the sentence about an error."""
    with (
        pytest.raises(MlflowError) as caught,
        _aws.explained("read stack 'x'", connection(service)),
    ):
        raise error
    return str(caught.value)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (boto.NoCredentialsError(), "no AWS credentials were found; set a profile"),
        (
            boto.PartialCredentialsError(provider="env", cred_var="aws_secret_access_key"),
            "the AWS credentials are incomplete",
        ),
        (boto.ProfileNotFound(profile="team"), "there is no such AWS profile"),
        (boto.NoRegionError(), "no AWS region is set"),
        (boto.InvalidRegionError(region_name="a b"), "this is not an AWS region"),
        (boto.UnauthorizedSSOTokenError(), "log in again, for example with 'aws sso login'"),
        (boto.SSOTokenLoadError(error_msg="gone"), "the AWS login has expired"),
        (
            boto.CredentialRetrievalError(provider="custom-process", error_msg="exit 1"),
            "run the profile's credential_process by hand",
        ),
        (
            boto.EndpointConnectionError(endpoint_url="http://127.0.0.1:1/"),
            "http://127.0.0.1:1 is not reachable (no connection); check the endpoint",
        ),
        (
            boto.EndpointConnectionError(
                endpoint_url="https://cloudformation.eu-centrl-1.amazonaws.com/"
            ),
            "check the region eu-centrl-1 (did you mean eu-central-1?) and the network",
        ),
        (
            boto.ConnectTimeoutError(endpoint_url="https://sts.eu-west-1.amazonaws.com"),
            "https://sts.eu-west-1.amazonaws.com is not reachable (timed out)",
        ),
        (
            boto.ReadTimeoutError(endpoint_url="https://sts.eu-west-1.amazonaws.com"),
            "is not reachable (timed out)",
        ),
        (
            boto.SSLError(endpoint_url="https://x", error="self-signed certificate"),
            "its certificate is not trusted",
        ),
        (
            boto.ProxyConnectionError(proxy_url="http://proxy"),
            "the proxy is not reachable",
        ),
        (
            boto.ParamValidationError(report="Bad"),
            "boto3 rejected the request (Parameter validation failed",
        ),
        (answer("ExpiredToken"), "the AWS credentials have expired (ExpiredToken); log in again"),
        (
            answer(
                "InvalidClientTokenId", "The security token included in the request is invalid."
            ),
            (
                "AWS does not accept these credentials (InvalidClientTokenId: The security token included "
                "in the request is invalid); check the profile or keys, and that the account has region "
                "eu-central-1 enabled"
            ),
        ),
        (answer("SignatureDoesNotMatch"), "AWS does not accept these credentials"),
        (answer("Throttling", "Rate exceeded"), "AWS is throttling this account's calls"),
        (answer("PermanentRedirect"), "it is not in region eu-central-1"),
        (answer("RequestTimeTooSkewed"), "this machine's clock is wrong"),
        (
            answer("SignatureDoesNotMatch", "Signature expired: 20260101T000000Z is now earlier"),
            "this machine's clock is wrong (Signature expired: 20260101T000000Z is now earlier); set it",
        ),
        (
            answer("InvalidSignatureException", "Signature not yet current: 20260101T000000Z"),
            "this machine's clock is wrong (Signature not yet current: 20260101T000000Z); set it",
        ),
        (
            answer("ValidationError", "Template format\nerror."),
            "AWS answered ValidationError: Template format error.",
        ),
    ],
)
def test_one_sentence(error: Exception, expected: str) -> None:
    """What was tried, what came back, and what to do."""
    text = sentence(error)
    assert text.startswith("Cannot read stack 'x': ")
    assert expected in text
    assert text.endswith(".")
    assert "\n" not in text
    assert ".." not in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            (
                f"User: {USER} is not authorized to perform: rds:CreateDBCluster on resource: {CLUSTER} because no "
                "identity-based policy allows the rds:CreateDBCluster action"
            ),
            f"AWS denied rds:CreateDBCluster on {CLUSTER} to {USER} (no identity-based policy)",
        ),
        (
            (
                f'User: {USER} is not authorized to perform: s3:PutObject on resource: "arn:aws:s3:::b/k" with an '
                "explicit deny in a resource-based policy"
            ),
            f"AWS denied s3:PutObject on arn:aws:s3:::b/k to {USER} (explicit deny in a resource-based policy)",
        ),
        (
            f"User: {USER} is not authorized to perform: sts:AssumeRole",
            f"AWS denied sts:AssumeRole to {USER}",
        ),
        (
            "API: iam:CreateRole User: x is not authorized to perform: iam:CreateRole on resource: r",
            "AWS denied iam:CreateRole on r",
        ),
        ("The bucket is gone", ""),
    ],
)
def test_a_denied_action_is_named(text: str, expected: str) -> None:
    """With its resource, who asked, and which kind of policy decided, where AWS tells."""
    assert _aws_errors.denied(text) == expected
    if expected:
        assert f"{expected}; allow that action" in sentence(answer("AccessDenied", text))


def test_a_denied_call_without_words_is_named_by_its_operation() -> None:
    """S3 says no more than that; a permission may have another name than its call."""
    told = sentence(answer("403", "Forbidden", "HeadBucket"), "s3")
    assert "AWS denied s3:ListBucket (Forbidden)" in told
    told = sentence(answer("AccessDenied", "Access Denied", "PutObject"), "s3")
    assert "AWS denied s3:PutObject (Access Denied)" in told


def test_other_errors_pass() -> None:
    """A mistake of ours stays one, and a sentence is not wrapped in another."""
    with pytest.raises(ZeroDivisionError), _aws.explained("divide"):
        raise ZeroDivisionError
    with pytest.raises(ValueError, match="odd"), _aws.explained("count"):
        raise ValueError("odd")
    with pytest.raises(MlflowError, match=r"^Mine\.$"), _aws.explained("speak"):
        raise MlflowError("Mine.")


def test_clients_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every client has time limits and retries; an endpoint of one's own gets paths for buckets."""
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    client = _aws.client({"region": "", "profile": "", "endpoint_url": ""}, "sts")
    settings = client.meta.config
    assert client.meta.region_name == "eu-west-3"
    assert (settings.connect_timeout, settings.read_timeout) == (10, 60)
    assert settings.retries["mode"] == "standard"
    assert settings.retries["total_max_attempts"] == 5
    client = _aws.client({"region": "eu-central-1", "endpoint_url": "http://127.0.0.1:1"}, "s3")
    assert client.meta.region_name == "eu-central-1"
    assert client.meta.endpoint_url == "http://127.0.0.1:1"
    assert client.meta.config.s3 == {"addressing_style": "path"}


def test_a_faulty_endpoint_is_refused() -> None:
    """Before anything is sent."""
    with pytest.raises(MlflowError, match="write the endpoint as http://HOST:PORT"):
        _aws.client({"region": "eu-central-1", "endpoint_url": "nowhere"}, "sts")


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:4566"])
@pytest.mark.parametrize(
    ("region", "nearest"),
    [
        ("us-nowhere-9", "us-"),
        ("eu-centrall-1", "eu-central-1"),
        ("eu_central_1", "eu-central-1"),
        ("EU-CENTRAL-1", ""),
        ("Frankfurt am Main", ""),
    ],
)
def test_a_region_that_is_not_one_is_refused(region: str, nearest: str, endpoint: str) -> None:
    """Before anything is sent, at an emulator too, with the nearest name."""
    told = f"^Cannot connect to AWS sts: '{region}' is not an AWS region; did you mean {nearest}"
    with pytest.raises(MlflowError, match=told):
        _aws.client({"region": region, "endpoint_url": endpoint}, "sts")


@pytest.mark.parametrize(
    "region", ["eu-central-1", "cn-north-1", "us-gov-west-1", "eusc-de-east-1", "us-iso-east-1"]
)
def test_regions_of_every_partition_are_taken(region: str) -> None:
    """China, the governments' and Europe's own as well."""
    assert _aws.client({"region": region}, "s3").meta.region_name == region


def test_a_region_that_is_newer_than_boto3_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS has an address there, which this machine may not be able to look up."""
    asked = []
    look_up = socket.getaddrinfo

    def answer_for_aws(host: Any, *arguments: Any, **options: Any) -> Any:
        if not str(host).startswith("sts."):
            return look_up(host, *arguments, **options)
        asked.append(host)
        return ["found"]

    monkeypatch.setattr(socket, "getaddrinfo", answer_for_aws)
    _aws_regions._has_address.cache_clear()
    client = _aws.client({"region": "eu-newer-1"}, "s3")
    assert client.meta.region_name == "eu-newer-1"
    assert asked == ["sts.eu-newer-1.amazonaws.com"]
    _aws_regions._has_address.cache_clear()


def test_codes_and_texts() -> None:
    """What AWS said, on one line."""
    error = answer("Odd", "One\n two.")
    assert (_aws.error_code(error), _aws.error_text(error)) == ("Odd", "One two")
    assert _aws.error_code(ValueError("x")) == ""
