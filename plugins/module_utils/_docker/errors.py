# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: what Docker says when it fails, as sentences that say what to do."""

from __future__ import annotations

import http.client
import re
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

Remedies = t.Sequence[tuple[str, str]]

_FREE_SPACE = (
    r"no space left on device",
    "free space where Docker keeps its data (`docker system df` shows what takes it) and rerun",
)
# What an engine says, as a pattern, and what to do about it on a host that runs containers.
RUN: Remedies = (
    _FREE_SPACE,
    (
        r"port is already allocated|address already in use|cannot expose port",
        "stop what holds the port, or give the project another 'port'",
    ),
    (r"no matching manifest", "build the image for this host's platform, too"),
    (r"no such image", "pull the image first, as the playbooks deploy and servers do"),
    (
        r"unauthorized|denied|no basic auth|authentication required",
        "check the registry's user and password and whether they may pull",
    ),
    (
        r"manifest unknown|manifest for .* not found|repository .* not found|name unknown",
        "build and push it with the playbook image, or correct the reference",
    ),
    (
        r"no such host|connection (refused|reset)|timeout|deadline|tls|x509|gave http|unreachable|EOF",
        "make sure that this host reaches the registry and trusts its certificate",
    ),
    (r"is already in use by container", "rerun, since another run created it meanwhile"),
    (r"network .* not found", "create the network, or correct docker_network"),
    (r"bind source path does not exist", "correct aws_config_dir"),
)
_LOG = "check Docker's log and rerun"
START = "start Docker on the control node, or name its socket in mlflow_image_docker_host"
_BUILDER = (
    "create a builder for several platforms (docker buildx create --use), or name one platform in "
    "mlflow_image_platforms"
)
_EMULATION = (
    "install emulation for that platform (docker run --privileged tonistiigi/binfmt --install all), or "
    "build on such a machine"
)
_NETWORK = (
    "check the network and the registry's host name, or name a base image in mlflow_image_base that this "
    "machine can pull"
)
_BASE = "name a base image in mlflow_image_base that this engine can pull"
_PUSH = "allow the profile to push (ecr:InitiateLayerUpload, UploadLayerPart, CompleteLayerUpload and PutImage)"
FIX = "fix what the builder reports, and rerun"
SLOW = "check what takes so long, or raise mlflow_image_timeout"
# The same for what a builder or a registry says where an image is built and pushed.
BUILD: Remedies = (
    _FREE_SPACE,
    (r"multi-platform build is not supported|multiple platforms feature is currently", _BUILDER),
    (r"exec format error", _EMULATION),
    (r"cannot connect to the docker daemon", START),
    (
        r"permission denied while trying to connect|may not use Docker's socket",
        "let this user use Docker (group docker), or name another socket in mlflow_image_docker_host",
    ),
    (r"unknown command: docker buildx|not a docker command", "install Docker's buildx plugin"),
    (r"pull access denied|manifest unknown", _BASE),
    (r"no such host", _NETWORK),
    (r"connection refused", "check that the registry answers and mlflow_ecr_registry, then rerun"),
    (r"name unknown", "run the role mlflow_ecr first, or correct mlflow_ecr_name"),
    (
        r"no basic auth credentials",
        "correct mlflow_ecr_registry, which is not the image's registry",
    ),
    (r"denied|unauthorized", _PUSH),
    (r"timed out", SLOW),
)
# What the program in the image says of itself while it is built: a sentence with its remedy.
_OWN = re.compile(r"mlflow_entry: (?P<why>[^\n]+); (?P<remedy>[^\n;]+)")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST, _LONGEST_OUTPUT = 500, 400


def remedy(words: str, remedies: Remedies, other: str) -> str:
    """Return what to do about an error: the first remedy whose pattern it matches, else the other."""
    for pattern, advice in remedies:
        if re.search(pattern, words, re.IGNORECASE):
            return advice
    return other


class DockerError(MlflowError):
    """A sentence "WHAT (why); remedy.", of which why and remedy are kept for other sentences."""

    def __init__(self, message: str, why: str, advice: str) -> None:
        super().__init__(f"{message}; {advice}.")
        self.why = why
        self.remedy = advice


class EngineError(DockerError):
    """The engine's refusal, with its HTTP status (0 for none) and its own words."""

    def __init__(self, action: str, message: str, status: int = 0) -> None:
        self.status = status
        self.message = " ".join(message.split())[:_LONGEST].rstrip(".")
        advice = remedy(self.message, RUN, _LOG)
        super().__init__(f"Docker could not {action} ({self.message})", self.message, advice)


class BuildError(DockerError):
    """What stopped a build or a push, by the end of all that was printed."""

    def __init__(self, action: str, output: str) -> None:
        plain = _COLOUR.sub("", output)
        own = list(_OWN.finditer(plain))
        if own:
            why, advice = own[-1]["why"].strip(), own[-1]["remedy"].strip(" .\r")
            super().__init__(f"Docker could not {action} ({why})", why, advice)
            return
        words = " ".join(plain.split())
        why = words[-_LONGEST_OUTPUT:].strip(" .") or "no error was reported"
        super().__init__(f"Docker could not {action} ({why})", why, remedy(words, BUILD, FIX))


class Overdue(DockerError):
    """The engine did not answer in time."""

    def __init__(self, action: str, seconds: float, advice: str) -> None:
        why = f"Docker did not {action} within {seconds:.0f} seconds"
        super().__init__(why, why, advice)


class Unreachable(DockerError):
    """There is no engine to use."""

    def __init__(self, why: str, advice: str) -> None:
        super().__init__(why, why, advice)


class LostConnection(DockerError):
    """The engine went away before it had answered."""


def unreachable(place: str, action: str, timeout: float, error: Exception) -> DockerError:
    """Return the error for a connection to the engine at a place that does not work."""
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return Overdue(action, timeout, "check its log, or restart it")
    if isinstance(error, FileNotFoundError):
        return Unreachable(
            f"Docker is not running on this host (there is no socket {place})",
            "install and start it, or set docker_host",
        )
    if isinstance(error, PermissionError):
        return Unreachable(
            f"This user may not use Docker's socket {place}",
            "add it to the socket's group, which amounts to root's rights, or run a rootless Docker",
        )
    if isinstance(error, ConnectionRefusedError):
        return Unreachable(f"Docker does not answer on {place}", "start it, or set docker_host")
    if isinstance(error, http.client.IncompleteRead):
        said = "it ended in the middle of an answer"
    else:
        said = str(error) or type(error).__name__
    return LostConnection(
        f"Lost the connection to Docker while trying to {action} ({said})",
        f"the connection to Docker was lost: {said}",
        "check that Docker runs and see its log, then rerun",
    )
