# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: errors of AWS and boto3 as the end of a sentence."""

from __future__ import annotations

import difflib
import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._aws_regions import (
    REGION,
    known_regions,
)

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "AuthorizationErrorException",
    "Forbidden",
    "UnauthorizedOperation",
    "403",
}
_UNKNOWN_KEY = {
    "AuthFailure",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "InvalidToken",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_THROTTLED = {
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
}
_ELSEWHERE = {
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "OptInRequired",
    "PermanentRedirect",
    "RegionDisabledException",
    "301",
}
_SKEWED = {"RequestTimeTooSkewed", "RequestInTheFuture"}
# Most services report a wrong clock as a wrong signature, and say in words what it is.
_SKEWED_WORDS = re.compile(r"Signature (expired|not yet current)\b")
# Failures of boto3 itself, by the name of the exception; older releases lack some of these.
_LOG_IN = "log in again, for example with 'aws sso login'"
_LOCAL = {
    "NoCredentialsError": (
        "no AWS credentials were found; set a profile or AWS_PROFILE, or run on a host that has an "
        "instance profile"
    ),
    "PartialCredentialsError": "the AWS credentials are incomplete ({error}); complete them",
    "ProfileNotFound": (
        "there is no such AWS profile ({error}); choose one that 'aws configure list-profiles' "
        "shows"
    ),
    "ConfigParseError": "the AWS configuration cannot be read ({error}); fix that file",
    "NoRegionError": "no AWS region is set; set region, AWS_REGION, or a region in the profile",
    "InvalidRegionError": "this is not an AWS region ({error}); write one such as eu-central-1",
    "SSOError": f"the AWS login has expired ({{error}}); {_LOG_IN}",
    "LoginError": f"the AWS login has expired ({{error}}); {_LOG_IN}",
    "TokenRetrievalError": f"the AWS login has expired ({{error}}); {_LOG_IN}",
    "UnauthorizedSSOTokenError": f"the AWS login has expired ({{error}}); {_LOG_IN}",
    "CredentialRetrievalError": (
        "the AWS credentials could not be fetched ({error}); run the profile's credential_process "
        "by hand"
    ),
    "MetadataRetrievalError": (
        "the instance has no AWS credentials ({error}); check its instance profile"
    ),
    "SSLError": (
        "its certificate is not trusted ({error}); set AWS_CA_BUNDLE if your own proxy signs it"
    ),
    # A proxy's page, for example.
    "ResponseParserError": (
        "the answer is not one of AWS ({error}); check the endpoint and HTTPS_PROXY"
    ),
    "ProxyConnectionError": "the proxy is not reachable ({error}); check HTTPS_PROXY and NO_PROXY",
}
_UNREACHED = {
    "ConnectionClosedError",
    "ConnectionError",
    "ConnectTimeoutError",
    "EndpointConnectionError",
    "HTTPClientError",
    "ReadTimeoutError",
}
_NOT_ALLOWED = re.compile(
    r"(?:(?P<who>arn:[^\s,]+) )?is not authorized to perform:? (?P<action>[\w-]+:\w+)"
    r'(?:.*? on resource:? "?(?P<resource>[^\s,"]+))?'
)
# How the sessions of a role are revoked: by a policy that denies everything to older ones.
_REVOKED = re.compile(r":assumed-role/.* an explicit deny in an identity-based policy")
_BECAUSE = re.compile(r"(?:because|with an?) (?P<why>.*?(?:policy|boundary))")
# Calls whose permission has another name than they.
_ACTIONS = {
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
}


def error_code(error: Exception) -> str:
    """Return the code that AWS gave an error, or an empty text."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def error_text(error: Exception) -> str:
    """Return AWS's message, on one line."""
    response = getattr(error, "response", None) or {}
    return tidy(response.get("Error", {}).get("Message") or error)


def denied(text: str) -> str:
    """Return who was denied what, from the words in which AWS denies; empty if they do not."""
    found = _NOT_ALLOWED.search(text)
    if not found:
        return ""
    on = f" on {found['resource']}" if found["resource"] else ""
    who = f" to {found['who']}" if found["who"] else ""
    because = _BECAUSE.search(text)
    why = f" ({because['why']})" if because else ""
    return f"AWS denied {found['action']}{on}{who}{why}"


def reason(error: Exception, connection: t.Any) -> str:
    """Return what came back and what to do about it."""
    if error_code(error):
        return _answer(error, connection)
    for kind in type(error).__mro__:
        if kind.__name__ in _LOCAL:
            return _LOCAL[kind.__name__].format(error=tidy(error))
        if kind.__name__ in _UNREACHED:
            return _unreached(error, connection)
    return f"boto3 rejected the request ({tidy(error)})"


def _answer(error: Exception, connection: t.Any) -> str:
    """Return what AWS answered and what to do about it."""
    code, text = error_code(error), error_text(error)
    region = _region_of(connection)
    if code in _EXPIRED:
        return f"the AWS credentials have expired ({code}); {_LOG_IN}"
    if code in _SKEWED or _SKEWED_WORDS.match(text):
        return f"this machine's clock is wrong ({text}); set it"
    if code in _UNKNOWN_KEY:
        return (
            f"AWS does not accept these credentials ({code}: {text}); check the profile or keys, "
            f"and that the account has region {region} enabled"
        )
    if code in _DENIED:
        what = denied(text) or f"AWS denied {_action_of(error, connection)} ({text})"
        again = f"{_LOG_IN}, if its sessions were revoked, or " if _REVOKED.search(text) else ""
        return f"{what}; {again}allow that action, or use another profile"
    if code in _THROTTLED:
        return f"AWS is throttling this account's calls ({code}: {text}); rerun in a minute"
    if code in _ELSEWHERE:
        return f"it is not in region {region} ({code}: {text}); set the region that it is in"
    return f"AWS answered {code}: {text.rstrip('.')}"


def _unreached(error: Exception, connection: t.Any) -> str:
    """Return which endpoint is not reachable; a region with a typo has none."""
    url = getattr(error, "kwargs", {}).get("endpoint_url") or _endpoint_of(connection)
    url = str(url).rstrip("/")
    found = REGION.search(url)
    region = found[1] if found else ""
    known = known_regions()
    if region and region not in known:
        near = difflib.get_close_matches(region, known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return f"{url} is not reachable; check the region {region}{hint} and the network"
    return f"{url} is not reachable ({_kind(error)}); check the endpoint and the network"


def _kind(error: Exception) -> str:
    """Return how an endpoint failed to answer."""
    timed_out = "Timeout" in type(error).__name__
    return "timed out" if timed_out else "no connection"


def _action_of(error: Exception, connection: t.Any) -> str:
    """Return the permission that a call needs."""
    service = connection.meta.service_model.signing_name if connection else "the call"
    action = f"{service}:{getattr(error, 'operation_name', '')}"
    return _ACTIONS.get(action, action)


def _region_of(connection: t.Any) -> str:
    """Return the region that a client works in, as it stands in a sentence."""
    return str(connection.meta.region_name) if connection else "in use"


def _endpoint_of(connection: t.Any) -> str:
    """Return the URL that a client asks, as it stands in a sentence."""
    return str(connection.meta.endpoint_url) if connection else "AWS"


def tidy(text: t.Any) -> str:
    """Return a text on one line and without its full stop."""
    return " ".join(str(text).split()).rstrip(".")
