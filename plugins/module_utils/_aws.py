# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: connections to AWS, and their errors in one sentence each.

A module adds ARGUMENTS to its own options and the fragment ``mlops.mlflow_aws.aws`` to its
documentation, asks HAS_BOTO3 first, and wraps each call:

    with _aws.explained("read the stack 'mlflow'", client):
        client.describe_stacks(StackName="mlflow")
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import os
import re
import socket
import traceback
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

try:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError, DataNotFoundError
    from botocore.loaders import create_loader

    HAS_BOTO3 = True
    BOTO3_ERROR = None
except ImportError:
    HAS_BOTO3 = False
    BOTO3_ERROR = traceback.format_exc()

ARGUMENTS: dict[str, t.Any] = {
    "region": {"type": "str"},
    "profile": {"type": "str"},
    "endpoint_url": {"type": "str"},
}

_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_ATTEMPTS = 5

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
# Most services call a wrong clock a wrong signature, and say in words what it is.
_SKEWED_WORDS = re.compile(r"Signature (expired|not yet current)\b")

# What boto3 could not do by itself, by the name of its exception: older ones lack some of these.
_LOG_IN = "log in again, for example with 'aws sso login'"
_LOCAL = {
    "NoCredentialsError": (
        "no AWS credentials were found: name a profile, set AWS_PROFILE, or run where an "
        "instance profile gives some"
    ),
    "PartialCredentialsError": "the AWS credentials are incomplete ({error}): complete them",
    "ProfileNotFound": (
        "there is no such AWS profile ({error}): name one of those that 'aws configure "
        "list-profiles' shows"
    ),
    "ConfigParseError": "the AWS configuration cannot be read ({error}): repair that file",
    "NoRegionError": "no AWS region is set: set the region, or AWS_REGION, or one in the profile",
    "InvalidRegionError": "that is not an AWS region ({error}): write one such as eu-central-1",
    "SSOError": f"the AWS login has ended ({{error}}): {_LOG_IN}",
    "LoginError": f"the AWS login has ended ({{error}}): {_LOG_IN}",
    "TokenRetrievalError": f"the AWS login has ended ({{error}}): {_LOG_IN}",
    "UnauthorizedSSOTokenError": f"the AWS login has ended ({{error}}): {_LOG_IN}",
    "CredentialRetrievalError": (
        "the AWS credentials could not be fetched ({error}): run the profile's credential_process "
        "by hand"
    ),
    "MetadataRetrievalError": (
        "the instance gave no AWS credentials ({error}): check its instance profile"
    ),
    "SSLError": (
        "its certificate was not accepted ({error}): set AWS_CA_BUNDLE if a proxy of yours signs it"
    ),
    "ProxyConnectionError": "the proxy did not answer ({error}): check HTTPS_PROXY and NO_PROXY",
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
_REGION = re.compile(r"\.([a-z]{2,4}(?:-[a-z]+)+-\d+)\.")
# Calls whose permission has another name than they.
_ACTIONS = {
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
}


def client(params: t.Mapping[str, t.Any], service: str) -> t.Any:
    """Return a boto3 client for a service from the options of ARGUMENTS.

    Each of its calls ends within a bound. Raises MlflowError where region, profile or
    configuration are of no use; credentials are looked for by the first call.
    """
    endpoint = params.get("endpoint_url") or None
    settings: dict[str, t.Any] = {
        "connect_timeout": _CONNECT_SECONDS,
        "read_timeout": _READ_SECONDS,
        "retries": {"mode": "standard", "total_max_attempts": _ATTEMPTS},
        "user_agent_extra": "mlops.mlflow_aws",
    }
    if endpoint:
        # The names of buckets below an emulator's or a VPC endpoint's name lead nowhere.
        settings["s3"] = {"addressing_style": "path"}
    with explained(f"connect to AWS {service}"):
        # boto3 itself reads AWS_DEFAULT_REGION only, and a role gives an empty text for no region.
        region = params.get("region") or os.environ.get("AWS_REGION") or None
        session = _session(params.get("profile") or None, region)
        _require_region(session.region_name or "", service)
        return session.client(service, endpoint_url=endpoint, config=Config(**settings))


@contextlib.contextmanager
def explained(doing: str, connection: t.Any = None) -> t.Iterator[None]:
    """Turn every error of AWS into one MlflowError: 'Cannot DOING: reason: what to do.'.

    connection is the client in use, by which the sentence can name service and region.
    """
    try:
        yield
    except _errors() as error:
        raise MlflowError(f"Cannot {doing}: {_reason(error, connection)}.") from None
    except ValueError as error:
        # botocore does not wrap what urllib says of an address such as "localhost:4566".
        if "endpoint" not in str(error).lower():
            raise
        raise MlflowError(
            f"Cannot {doing}: {_tidy(error)}: write the endpoint as http://HOST:PORT."
        ) from None


def error_code(error: Exception) -> str:
    """Return the code that AWS gave an error, or an empty text."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def error_text(error: Exception) -> str:
    """Return what AWS said in words, on one line."""
    response = getattr(error, "response", None) or {}
    return _tidy(response.get("Error", {}).get("Message") or error)


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


@functools.lru_cache(maxsize=8)
def _session(profile: str | None, region: str | None) -> t.Any:
    """Return one session for all clients, so that its credentials are fetched once."""
    return boto3.session.Session(profile_name=profile, region_name=region)


def _require_region(region: str, service: str) -> None:
    """Refuse a region that neither boto3 nor the internet's name servers know; empty passes.

    An emulator takes any name, and boto3 any that looks like one. A region that is newer than this
    boto3 is known by the address that AWS has there.
    """
    known = _known_regions()
    if not region or not known or region in known or _has_address(region):
        return
    nearest = [*difflib.get_close_matches(region, known, 1, 0.0), "eu-central-1"][0]
    raise MlflowError(
        f"Cannot connect to AWS {service}: '{region}' is not an AWS region: did you mean {nearest}? If it "
        f"is newer than boto3 {boto3.__version__}, update boto3."
    )


@functools.lru_cache(maxsize=1)
def _known_regions() -> tuple[str, ...]:
    """Return the regions of all partitions; none where this boto3 has no list of them."""
    try:
        partitions = create_loader().load_data("partitions")["partitions"]
    except DataNotFoundError:
        return ()
    return tuple(sorted(name for partition in partitions for name in partition["regions"]))


@functools.lru_cache(maxsize=8)
def _has_address(region: str) -> bool:
    """Say whether a name that looks like a region's has an address at AWS."""
    if not _REGION.fullmatch(f".{region}."):
        return False
    try:
        return bool(socket.getaddrinfo(f"sts.{region}.amazonaws.com", 443))
    except OSError:
        return False


def _errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that boto3 raises."""
    return (BotoCoreError, ClientError) if HAS_BOTO3 else ()


def _reason(error: Exception, connection: t.Any) -> str:
    """Return what came back and what to do about it."""
    if error_code(error):
        return _answer(error, connection)
    for kind in type(error).__mro__:
        if kind.__name__ in _LOCAL:
            return _LOCAL[kind.__name__].format(error=_tidy(error))
        if kind.__name__ in _UNREACHED:
            return _unreached(error, connection)
    return f"boto3 refused ({_tidy(error)})"


def _answer(error: Exception, connection: t.Any) -> str:
    """Return what AWS answered and what to do about it."""
    code, text = error_code(error), error_text(error)
    region = _region_of(connection)
    if code in _EXPIRED:
        return f"the AWS credentials have expired ({code}): {_LOG_IN}"
    if code in _SKEWED or _SKEWED_WORDS.match(text):
        return f"this machine's clock is wrong ({text}): set it"
    if code in _UNKNOWN_KEY:
        return (
            f"AWS does not accept these credentials ({code}: {text}): check the profile or keys, "
            f"and that the account has region {region} enabled"
        )
    if code in _DENIED:
        what = denied(text) or f"AWS denied {_action_of(error, connection)} ({text})"
        again = f"{_LOG_IN}, if its sessions were revoked, or " if _REVOKED.search(text) else ""
        return f"{what}: {again}have that action allowed, or use another profile"
    if code in _THROTTLED:
        return f"AWS is throttling this account's calls ({code}: {text}): run it again in a minute"
    if code in _ELSEWHERE:
        return f"it is not in region {region} ({code}: {text}): set the region it is in"
    return f"AWS answered {code}: {text.rstrip('.')}"


def _unreached(error: Exception, connection: t.Any) -> str:
    """Return which endpoint did not answer; a region with a typo has none."""
    url = getattr(error, "kwargs", {}).get("endpoint_url") or _endpoint_of(connection)
    url = str(url).rstrip("/")
    found = _REGION.search(url)
    region = found[1] if found else ""
    known = boto3.session.Session().get_available_regions("cloudformation") if region else []
    if region and region not in known:
        near = difflib.get_close_matches(region, known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return f"{url} does not answer: check the region {region}{hint} and the network"
    return f"{url} does not answer ({_kind(error)}): check the endpoint and the network"


def _kind(error: Exception) -> str:
    """Say in a word how an endpoint failed to answer."""
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


def _tidy(text: t.Any) -> str:
    """Return a text on one line and without its full stop."""
    return " ".join(str(text).split()).rstrip(".")
