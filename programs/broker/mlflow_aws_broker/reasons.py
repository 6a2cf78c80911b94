# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a call to AWS failed, and what to do about it, in one sentence.

The kinds of errors are told apart by their names: botocore has gained some of them over time.
"""

from __future__ import annotations

from .errors import BrokerError, DeniedError, IdentityError

_SSO = ("SSOError", "SSOTokenLoadError", "TokenRetrievalError", "UnauthorizedSSOTokenError")
_LOGIN = (
    "LoginError",
    "LoginInsufficientPermissions",
    "LoginRefreshRequired",
    "LoginRefreshTokenExpired",
    "LoginTokenLoadError",
)
_MISSING = ("NoCredentialsError", "PartialCredentialsError")
_NOT_REACHED = (
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "EndpointConnectionError",
    "ProxyConnectionError",
    "ReadTimeoutError",
    "SSLError",
)
_SENTENCES = (
    (_SSO, "The AWS login of this host has ended; run `aws sso login{option}` there."),
    (_LOGIN, "The AWS login of this host has ended; run `aws login{option}` there."),
    (
        _MISSING,
        (
            "This host has no AWS credentials; log in there, set mlflow_server_aws_config_dir to the folder "
            "that holds the login, or give the host an instance profile."
        ),
    ),
    (
        ("ProfileNotFound",),
        "The AWS configuration of this host has no profile {name}; add it or name another.",
    ),
    (
        ("CredentialRetrievalError",),
        "The credential_process of profile {name} failed ({message}); fix it on this host.",
    ),
    (
        ("MissingDependencyException",),
        "Profile {name} needs what the image lacks ({message}); set mlflow_server_broker to process.",
    ),
    (
        ("OSError",),
        (
            "The AWS configuration of profile {name} cannot be used ({message}); where it names a program of "
            "the host, set mlflow_server_broker to process."
        ),
    ),
    (_NOT_REACHED, "AWS cannot be reached ({message}); check the network and the endpoint."),
)
_UNKNOWN = "AWS was not asked ({message}); check the AWS configuration of this host."
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
_UNKNOWN_KEY = (
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
)
_DENIED = ("AccessDenied", "AccessDeniedException")
# How AWS describes a signature that was made with a wrong clock.
_SKEWED = ("Signature expired", "Signature not yet current")
_LENGTH = 300


def explain(error: Exception, profile: str, role: str) -> BrokerError:
    """Return the error for a failed call that was to assume a role.

    profile: of the host's AWS configuration, empty for the default one.
    """
    response = getattr(error, "response", None)
    if response:
        return _refusal(response.get("Error", {}), profile, role)
    return _failure(error, profile)


def _failure(error: Exception, profile: str) -> IdentityError:
    """Return the error for a call that AWS did not answer."""
    kind = type(error).__name__
    if isinstance(error, OSError) and kind not in _NOT_REACHED:
        kind = "OSError"
    sentence = next((text for kinds, text in _SENTENCES if kind in kinds), _UNKNOWN)
    message = " ".join(str(error).split())[:_LENGTH].rstrip(".")
    option = f" --profile {profile}" if profile else ""
    filled = sentence.format(name=profile or "default", option=option, message=message)
    return IdentityError(filled, passes=kind in _NOT_REACHED)


def _refusal(error: dict[str, str], profile: str, role: str) -> BrokerError:
    """Return the error for a call that AWS refused."""
    code, message = error.get("Code", ""), " ".join(error.get("Message", "").split())
    name = f"profile {profile}" if profile else "this host"
    if message.startswith(_SKEWED):
        return IdentityError(f"The clock of this host is wrong ({message.rstrip('.')}); set it.")
    if code in _EXPIRED:
        return IdentityError(f"The AWS credentials of {name} have expired; log in there again.")
    if code in _UNKNOWN_KEY:
        return IdentityError(
            f"AWS does not accept the credentials of {name} ({code}); correct them there."
        )
    what = f"The role {role} cannot be assumed"
    if code in _DENIED:
        return DeniedError(
            f"{what}: AWS denies it ({message}); allow sts:AssumeRole on this role to {name}, or run the "
            "projects playbook if the role is gone."
        )
    return BrokerError(
        f"{what}: AWS answers {code} ({message}); see the AWS documentation of this error."
    )
