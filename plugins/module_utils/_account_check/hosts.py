# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: checks of an EC2 host, through Systems Manager, and of the image in ECR."""

from __future__ import annotations

import json
import shlex
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _aws
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._account_check.subject import (
    ClaimError,
    NotHereError,
    Subject,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._wait import wait

_ONLINE_SECONDS, _COMMAND_SECONDS, _POLL_SECONDS = 180.0, 300.0, 3.0
_TAG = "mlflow-host"
_METADATA = "http://169.254.169.254/latest/api/token"
_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
_WANTED = ("linux/amd64", "linux/arm64")


def hosts(subject: Subject) -> str:
    """Find the host that the hosts stack started; the stack waited for its signal."""
    instance = _instance(subject)
    return f"one {instance['InstanceType']} is {instance['State']['Name']}, and its stack got its signal"


def host_managed(subject: Subject) -> str:
    """Run a command on the host."""
    identifier, ssm = _instance(subject)["InstanceId"], subject.client("ssm")

    def online() -> str | None:
        found = ssm.describe_instance_information(
            Filters=[{"Key": "InstanceIds", "Values": [identifier]}]
        )["InstanceInformationList"]
        ready = [entry for entry in found if entry["PingStatus"] == "Online"]
        return f"agent {ready[0]['AgentVersion']}" if ready else None

    def late() -> MlflowError:
        return ClaimError("Systems Manager does not reach the host.")

    with _aws.explained("find the host at Systems Manager", ssm):
        agent = wait(online, subject.until(_ONLINE_SECONDS), late, _POLL_SECONDS)
    said = _run(subject, "docker version --format '{{.Server.Version}}'")
    return f"{agent}; Docker {said.strip()}"


def metadata_refused(subject: Subject) -> str:
    """Ask the metadata service on the host, and from a container of the image on a bridge network."""
    region = subject.client("ssm").meta.region_name
    program = (
        "import urllib.request as u\n"
        "def ask(name, *request, **more):\n"
        "    try:\n"
        "        u.build_opener().open(u.Request(*request, **more), timeout=5)\n"
        "    except u.HTTPError:\n"
        "        pass\n"
        "    except OSError:\n"
        "        return print(name + '-refused')\n"
        "    print(name + '-reached')\n"
        f"ask('metadata', '{_METADATA}', method='PUT', headers={{'{_HEADER}': '60'}})\n"
        f"ask('aws', 'https://sts.{region}.amazonaws.com')\n"
    )
    container = (
        f"docker run --rm --network bridge --entrypoint python3 {subject.params['image']} -c"
    )
    said = _run(
        subject,
        f"curl --silent --fail --max-time 5 --output /dev/null --request PUT --header {_HEADER}:60 {_METADATA}"
        " && echo host-reached || echo host-refused",
        f"{container} {shlex.quote(program)}",
    ).split()
    told = ", ".join(said)
    # That the container reaches AWS shows that the refusal is the metadata service's.
    if said != ["host-reached", "metadata-refused", "aws-reached"]:
        raise ClaimError(f"The metadata service answers otherwise than it should ({told}).")
    return told


def host_pulls(subject: Subject) -> str:
    """Pull the image on the host, with the host's own role."""
    image = subject.params["image"]
    registry = image.partition("/")[0]
    region = subject.client("ssm").meta.region_name
    said = _run(
        subject,
        f"aws ecr get-login-password --region {region}"
        f" | docker login --username AWS --password-stdin {registry} >/dev/null 2>&1",
        f"docker pull --quiet {image}",
        f"docker image inspect --format '{{{{.Architecture}}}} {{{{.Size}}}}' {image}",
    )
    return f"pulled: {' '.join(said.split())}"


def platforms(subject: Subject) -> str:
    """Read the platforms of the image from the registry."""
    repository, _at, digest = subject.params["image"].partition("/")[2].partition("@")
    repository = repository.partition(":")[0]
    ecr = subject.client("ecr")
    with _aws.explained(f"read the image in {repository}", ecr):
        answer = ecr.batch_get_image(
            repositoryName=repository,
            imageIds=[{"imageDigest": digest}],
            acceptedMediaTypes=[
                "application/vnd.oci.image.index.v1+json",
                "application/vnd.docker.distribution.manifest.list.v2+json",
                "application/vnd.oci.image.manifest.v1+json",
                "application/vnd.docker.distribution.manifest.v2+json",
            ],
        )
    if not answer["images"]:
        raise ClaimError(f"ECR does not have {digest} in {repository}.")
    manifest = json.loads(answer["images"][0]["imageManifest"])
    found = sorted(
        f"{entry['platform']['os']}/{entry['platform']['architecture']}"
        for entry in manifest.get("manifests", [])
        if entry.get("platform", {}).get("os") != "unknown"
    )
    missing = [name for name in _WANTED if name not in found]
    if missing:
        asked = ", ".join(subject.params["platforms"])
        raise NotHereError(
            f"the image was built for {asked}; set mlflow_account_check_platforms where buildx builds for both"
        )
    return ", ".join(found)


def _instance(subject: Subject) -> dict[str, t.Any]:
    """Return the instance that the hosts stack started."""
    ec2 = subject.client("ec2")
    with _aws.explained("find the EC2 host", ec2):
        found = ec2.describe_instances(
            Filters=[
                {"Name": f"tag:{_TAG}", "Values": [subject.params["stack"]]},
                {"Name": "instance-state-name", "Values": ["pending", "running"]},
            ]
        )["Reservations"]
    instances: list[dict[str, t.Any]] = [
        instance for entry in found for instance in entry["Instances"]
    ]
    if instances:
        return instances[0]
    if subject.elsewhere:
        raise NotHereError(f"the Auto Scaling group at {subject.elsewhere} started no instance")
    raise ClaimError("The hosts stack is complete, and no instance has its tag.")


def _run(subject: Subject, *lines: str) -> str:
    """Run lines of a shell on the host as root; return what they print."""
    identifier, ssm = _instance(subject)["InstanceId"], subject.client("ssm")
    with _aws.explained("run a command on the EC2 host", ssm):
        command = ssm.send_command(
            InstanceIds=[identifier],
            DocumentName="AWS-RunShellScript",
            Parameters={"commands": ["set -e", *lines]},
            TimeoutSeconds=60,
        )["Command"]["CommandId"]

        def ended() -> dict[str, t.Any] | None:
            try:
                now = ssm.get_command_invocation(CommandId=command, InstanceId=identifier)
            except ssm.exceptions.InvocationDoesNotExist:
                return None
            return None if now["Status"] in ("Pending", "InProgress", "Delayed") else dict(now)

        def late() -> MlflowError:
            return ClaimError("A command on the EC2 host did not end in time.")

        done = wait(ended, subject.until(_COMMAND_SECONDS), late, _POLL_SECONDS)
    if done["Status"] != "Success":
        said = (done["StandardErrorContent"] or done["StandardOutputContent"])[-300:]
        raise ClaimError(f"A command on the EC2 host ended with {done['Status']} ({said}).")
    return str(done["StandardOutputContent"])
