# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a project's identity at AWS reaches: its own things, and nothing of another project.

Both templates are deployed by the role mlflow_stack on an emulator that enforces IAM. Then
calls are made as a project's role, each a row of its own. A refused one must name the action
and the kind of policy that refused it, so that no other error passes for a refusal.

Not shown here: signing in to the database through IAM, by which key S3, Secrets Manager and
Parameter Store decrypt, and the oldest TLS that the bucket accepts. The emulator knows none of them.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import (
    ACCOUNT,
    REGION,
    ROOT,
    Ministack,
    ministack,
)
from ansible_collections.mlops.mlflow_aws.tests.support import clean_environment, run
from botocore.exceptions import ClientError

pytestmark = pytest.mark.timeout(300)

STACK = "mlflow"
PROJECTS = ("demo", "churn")
# Why AWS refuses, in its own words.
NO_POLICY = "because no identity-based policy allows"
BUCKET_POLICY = "with an explicit deny in a resource-based policy"
EVERYTHING = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
)


def parameter_of(cloud: Cloud, project: str, stack: str = STACK) -> str:
    """Return the parameter with a project's root key, which is made if it is missing."""
    name = f"/mlflow/{stack}/{project}/key"
    ssm = cloud.client("root", "ssm")
    with suppress(ssm.exceptions.ParameterAlreadyExists):
        ssm.put_parameter(
            Name=name, Value=f"key of {project}", Type="SecureString", KeyId=cloud.key
        )
    return name


def key_of(project: str) -> str:
    """Return where an artifact of a project lies in the bucket."""
    return f"projects/{project}/1/0123abcd/artifacts/model.bin"


OWN, OTHERS = key_of("demo"), key_of("churn")


@dataclass(frozen=True)
class Spot:
    """A key in the bucket that has an object, and an upload in parts that is not complete."""

    bucket: str
    key: str
    version: str
    upload: str
    etag: str

    @property
    def where(self) -> dict[str, str]:
        """Return the arguments that name the object."""
        return {"Bucket": self.bucket, "Key": self.key}

    @property
    def begun(self) -> dict[str, str]:
        """Return the arguments that name the upload."""
        return {**self.where, "UploadId": self.upload}

    @property
    def parts(self) -> dict[str, Any]:
        """Return the list that completes the upload."""
        return {"Parts": [{"PartNumber": 1, "ETag": self.etag}]}


@dataclass
class Cloud:
    """The deployed stacks with what they made, and who there is, each with keys to call AWS by."""

    aws: Ministack
    bucket: str
    key: str
    policies: dict[str, str]
    roles: dict[str, str]
    secrets: dict[str, str]
    keys: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"root": ROOT})
    clients: dict[tuple[str, str, bool], Any] = field(default_factory=dict)

    def client(self, who: str, service: str, *, plain: bool = False) -> Any:
        """Return somebody's client of a service; making one takes longer than a call."""
        name = (who, service, plain)
        if name not in self.clients:
            self.clients[name] = self.aws.client(service, *self.keys[who], plain=plain)
        return self.clients[name]

    def become(self, who: str, role: str) -> tuple[str, ...]:
        """Assume a role and return the keys of that session."""
        sts = self.client(who, "sts")
        made = sts.assume_role(RoleArn=self.roles[role], RoleSessionName=who)["Credentials"]
        return made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"]

    def spot(self, key: str) -> Spot:
        """Put an object, and begin an upload, as the account's root."""
        s3 = self.client("root", "s3")
        where = {"Bucket": self.bucket, "Key": key}
        version = s3.put_object(**where, Body=b"model")["VersionId"]
        upload = s3.create_multipart_upload(**where)["UploadId"]
        part = s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"part")
        return Spot(self.bucket, key, version, upload, part["ETag"])


@pytest.fixture(scope="module")
def cloud(
    free_ports: Callable[[int], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    """Return both stacks on an AWS that enforces IAM, and speaks TLS for the bucket's sake."""
    folder, (port, tls) = tmp_path_factory.mktemp("aws"), free_ports(2)
    with ministack(port, folder, tls, auth=True) as aws:
        manager = aws.client("secretsmanager")
        made = manager.create_secret(Name="database", SecretString='{"password": "of-the-master"}')
        deploy(aws, made["ARN"], folder)
        deployed = read(aws, made["ARN"])
        make_people(deployed)
        for project in PROJECTS:
            deployed.keys[project] = deployed.become("colleague", project)
        yield deployed


def deploy(aws: Ministack, secret: str, home: Path) -> None:
    """Make both stacks by the role that makes them everywhere, as the account's root."""
    role = "mlops.mlflow_aws.mlflow_stack"
    play = {
        "name": "Make the stacks",
        "hosts": "all",
        "gather_facts": False,
        "vars": {
            "mlflow_stack_name": STACK,
            "mlflow_stack_region": REGION,
            "mlflow_stack_endpoint_url": aws.url,
            # As on the twin: the emulator knows no session documents, and makes no such database.
            "mlflow_stack_parameters": {
                "Relay": "false",
                "ExistingDatabaseEndpoint": "127.0.0.1",
                "ExistingDatabaseUsername": "admin",
                "ExistingDatabaseSecretArn": secret,
            },
            "mlflow_project_records": [{"name": name, "state": "present"} for name in PROJECTS],
        },
        "tasks": [
            {
                "name": f"Run {entry}",
                "ansible.builtin.import_role": {"name": role, "tasks_from": entry},
            }
            for entry in ("main", "projects")
        ],
    }
    path = home / "play.yml"
    path.write_text(json.dumps([play]))
    program = str(Path(sys.executable).parent / "ansible-playbook")
    environment = clean_environment(home) | aws.environment() | {"NO_PROXY": "127.0.0.1"}
    command = [program, "-i", "localhost,", "-c", "local", str(path)]
    run(command, cwd=home, env=environment, timeout=200)


def read(aws: Ministack, master: str) -> Cloud:
    """Return what the stacks say that they made."""
    backend = outputs(aws, STACK)
    projects = [json.loads(text) for text in outputs(aws, f"{STACK}-projects").values()]
    secrets = {
        f"{project['name']} {kind}": project[f"{kind}_secret"]
        for project in projects
        for kind in ("runtime", "migrator")
    }
    roles = {project["name"]: project["role"] for project in projects}
    return Cloud(
        aws,
        bucket=backend["ArtifactBucket"],
        key=backend["KmsKeyArn"],
        policies={project["name"]: project["policy"] for project in projects},
        roles=roles
        | {
            "server": backend["ServerRoleArn"],
            "pull": backend["PullRoleArn"],
            "migrations": backend["MigrationRoleArn"],
        },
        secrets=secrets | {"master": master},
    )


def outputs(aws: Ministack, stack: str) -> dict[str, str]:
    """Return the outputs of a stack."""
    found = aws.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
    return {output["OutputKey"]: output["OutputValue"] for output in found}


def make_people(cloud: Cloud) -> None:
    """Make users who may become certain roles, and roles that are no project's of this stack."""
    every = f"arn:aws:iam::{ACCOUNT}:role"
    for name, roles in (
        # As docs/aws.md has it for a colleague who runs servers.
        ("colleague", f"{every}/mlflow/{STACK}/*"),
        ("neighbour", f"{every}/mlflow/{STACK}2/*"),
        ("climber", f"{every}/*"),
    ):
        cloud.keys[name] = cloud.aws.user(name, "sts:AssumeRole", resource=roles)
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "sts:AssumeRole",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    for name, path in (("admin", "/"), ("of-another-stack", f"/mlflow/{STACK}2/")):
        made = cloud.client("root", "iam").create_role(
            RoleName=name, Path=path, AssumeRolePolicyDocument=document
        )
        cloud.roles[name] = made["Role"]["Arn"]


def refused(call: Callable[[], object], action: str, why: str = NO_POLICY) -> None:
    """Fail unless AWS refuses the call, for this action and for this reason."""
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value
    # Services that speak JSON refuse by 400.
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403), error
    # An answer to HEAD has no text.
    if not error.operation_name.startswith("Head"):
        assert re.search(rf" not authorized to perform: {action} .*{why}", str(error)), error


# What a server does with an object: the action that AWS checks, and the call.
OBJECT: dict[str, tuple[str, Callable[[Any, Spot], object]]] = {
    "put": ("s3:PutObject", lambda s3, at: s3.put_object(**at.where, Body=b"new")),
    "get": ("s3:GetObject", lambda s3, at: s3.get_object(**at.where)["Body"].read()),
    "head": ("s3:GetObject", lambda s3, at: s3.head_object(**at.where)),
    "delete": ("s3:DeleteObject", lambda s3, at: s3.delete_object(**at.where)),
    # To this AWS itself would not answer 403, but name in its answer what it refused.
    "delete-many": (
        "s3:DeleteObject",
        lambda s3, at: s3.delete_objects(Bucket=at.bucket, Delete={"Objects": [{"Key": at.key}]}),
    ),
    "begin-upload": ("s3:PutObject", lambda s3, at: s3.create_multipart_upload(**at.where)),
    "upload-part": (
        "s3:PutObject",
        lambda s3, at: s3.upload_part(**at.begun, PartNumber=2, Body=b"part"),
    ),
    "list-parts": ("s3:ListMultipartUploadParts", lambda s3, at: s3.list_parts(**at.begun)),
    "complete-upload": (
        "s3:PutObject",
        lambda s3, at: s3.complete_multipart_upload(**at.begun, MultipartUpload=at.parts),
    ),
    "abort-upload": (
        "s3:AbortMultipartUpload",
        lambda s3, at: s3.abort_multipart_upload(**at.begun),
    ),
}

on_an_object = pytest.mark.parametrize("operation", OBJECT)


def list_(s3: Any, bucket: str, prefix: str | None) -> list[str]:
    """Return the keys below a prefix, or all without one."""
    more = {} if prefix is None else {"Prefix": prefix}
    return [item["Key"] for item in s3.list_objects_v2(Bucket=bucket, **more).get("Contents", [])]


# What a project may.


@on_an_object
@pytest.mark.parametrize("project", PROJECTS)
def test_own_objects(cloud: Cloud, project: str, operation: str) -> None:
    """All that MLflow does with artifacts, in parts too."""
    spot = cloud.spot(key_of(project))
    _action, call = OBJECT[operation]
    call(cloud.client(project, "s3"), spot)


def test_an_upload_in_parts_from_end_to_end(cloud: Cloud) -> None:
    """By the project alone, and what it put is what it gets."""
    s3 = cloud.client("demo", "s3")
    where = {"Bucket": cloud.bucket, "Key": "projects/demo/1/large.bin"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    part = s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"large")
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(**where)["Body"].read() == b"large"


@pytest.mark.parametrize("below", ["", "1/", "1/0123abcd/artifacts"])
@pytest.mark.parametrize("project", PROJECTS)
def test_own_listing(cloud: Cloud, project: str, below: str) -> None:
    """The whole prefix and what is below it."""
    key = cloud.spot(key_of(project)).key
    keys = list_(cloud.client(project, "s3"), cloud.bucket, f"projects/{project}/{below}")
    assert key in keys
    assert all(key.startswith(f"projects/{project}/") for key in keys)


@pytest.mark.parametrize("project", PROJECTS)
def test_own_secret(cloud: Cloud, project: str) -> None:
    """The runtime's password, and which version it is."""
    manager, secret = cloud.client(project, "secretsmanager"), cloud.secrets[f"{project} runtime"]
    assert json.loads(manager.get_secret_value(SecretId=secret)["SecretString"]).keys() == {
        "project",
        "password",
    }
    assert manager.describe_secret(SecretId=secret)["ARN"] == secret


@pytest.mark.parametrize("project", PROJECTS)
def test_own_key(cloud: Cloud, project: str) -> None:
    """The parameter that mlflow_project_key makes."""
    name = parameter_of(cloud, project)
    answer = cloud.client(project, "ssm").get_parameter(Name=name, WithDecryption=True)
    assert answer["Parameter"]["Value"] == f"key of {project}"


# What a project may not.


@on_an_object
@pytest.mark.parametrize(
    ("project", "key"),
    [
        ("demo", OTHERS),
        ("churn", OWN),
        # Keys that start like the project's, and are another's.
        ("demo", "projects/demo"),
        ("demo", "projects/demo2/x"),
        ("demo", "projects/demo-eu/x"),
        ("demo", "projects/x"),
        ("demo", "x"),
    ],
)
def test_objects_of_others(cloud: Cloud, project: str, key: str, operation: str) -> None:
    """Neither another project's nor nobody's, nor by a name that starts alike."""
    spot = cloud.spot(key)
    action, call = OBJECT[operation]
    refused(partial(call, cloud.client(project, "s3"), spot), action)


@pytest.mark.parametrize(
    "prefix",
    [
        None,
        "",
        "projects",
        "projects/",
        "projects/d",
        "projects/churn",
        "projects/churn/",
        # Without the slash at its end this names what demo2 and demo-eu have, too.
        "projects/demo",
        "projects/demo2",
        "projects/demo2/",
        "projects/demo-eu/",
    ],
)
def test_listings_of_others(cloud: Cloud, prefix: str | None) -> None:
    """Not even the names of what others have."""
    s3 = cloud.client("demo", "s3")
    refused(partial(list_, s3, cloud.bucket, prefix), "s3:ListBucket")


@dataclass(frozen=True)
class Row:
    """One more call that is refused to a project, and the action that AWS checks for it."""

    name: str
    action: str
    call: Callable[[Any, Cloud], object]


def rows(*table: Row) -> pytest.MarkDecorator:
    """Return the decorator that makes a test of each row."""
    return pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in table])


def own(cloud: Cloud) -> dict[str, str]:
    """Return the arguments that name an artifact of demo."""
    return cloud.spot(OWN).where


def copy(source: str, target: str, s3: Any, cloud: Cloud) -> object:
    """Copy an object that is there."""
    where = {"Bucket": cloud.bucket, "Key": cloud.spot(source).key}
    return s3.copy_object(Bucket=cloud.bucket, Key=target, CopySource=where)


@rows(
    Row("copy-from-another", "s3:GetObject", partial(copy, OTHERS, OWN)),
    Row("copy-to-another", "s3:PutObject", partial(copy, OWN, OTHERS)),
    # Old versions are the way back after a mistake or an intruder.
    Row(
        "get-a-version",
        "s3:GetObjectVersion",
        lambda s3, cloud: s3.get_object(**own(cloud), VersionId=cloud.spot(OWN).version),
    ),
    Row(
        "delete-a-version",
        "s3:DeleteObjectVersion",
        lambda s3, cloud: s3.delete_object(**own(cloud), VersionId=cloud.spot(OWN).version),
    ),
    Row(
        "list-versions",
        "s3:ListBucketVersions",
        lambda s3, cloud: s3.list_object_versions(Bucket=cloud.bucket, Prefix="projects/demo/"),
    ),
    Row(
        "list-uploads",
        "s3:ListBucketMultipartUploads",
        lambda s3, cloud: s3.list_multipart_uploads(Bucket=cloud.bucket, Prefix="projects/demo/"),
    ),
    Row(
        "acl",
        "s3:PutObjectAcl",
        lambda s3, cloud: s3.put_object_acl(**own(cloud), ACL="public-read"),
    ),
    Row("buckets", "s3:ListAllMyBuckets", lambda s3, _cloud: s3.list_buckets()),
    Row("head-bucket", "s3:ListBucket", lambda s3, cloud: s3.head_bucket(Bucket=cloud.bucket)),
    Row(
        "read-bucket-policy",
        "s3:GetBucketPolicy",
        lambda s3, cloud: s3.get_bucket_policy(Bucket=cloud.bucket),
    ),
    Row(
        "drop-bucket-policy",
        "s3:DeleteBucketPolicy",
        lambda s3, cloud: s3.delete_bucket_policy(Bucket=cloud.bucket),
    ),
    Row(
        "versioning",
        "s3:PutBucketVersioning",
        lambda s3, cloud: s3.put_bucket_versioning(
            Bucket=cloud.bucket, VersioningConfiguration={"Status": "Suspended"}
        ),
    ),
    Row(
        "drop-bucket",
        "s3:DeleteBucket",
        lambda s3, cloud: s3.delete_bucket(Bucket=cloud.bucket),
    ),
)
def test_the_bucket_itself(cloud: Cloud, row: Row) -> None:
    """No detour to another's objects, no old versions, and nothing of how the bucket is set."""
    refused(partial(row.call, cloud.client("demo", "s3"), cloud), row.action)


@pytest.mark.parametrize("action", ["GetSecretValue", "DescribeSecret"])
@pytest.mark.parametrize("name", ["demo migrator", "churn runtime", "churn migrator", "master"])
def test_other_secrets(cloud: Cloud, name: str, action: str) -> None:
    """Neither its own migrator's, another project's, nor the database administrator's."""
    secret = cloud.secrets[name]
    assert cloud.client("root", "secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    manager = cloud.client("demo", "secretsmanager")
    call = {"GetSecretValue": manager.get_secret_value, "DescribeSecret": manager.describe_secret}
    refused(partial(call[action], SecretId=secret), f"secretsmanager:{action}")


@rows(
    Row(
        "put",
        "secretsmanager:PutSecretValue",
        lambda manager, cloud: manager.put_secret_value(
            SecretId=cloud.secrets["demo runtime"], SecretString="{}"
        ),
    ),
    Row(
        "update",
        "secretsmanager:UpdateSecret",
        lambda manager, cloud: manager.update_secret(
            SecretId=cloud.secrets["demo runtime"], SecretString="{}"
        ),
    ),
    Row(
        "delete",
        "secretsmanager:DeleteSecret",
        lambda manager, cloud: manager.delete_secret(SecretId=cloud.secrets["demo runtime"]),
    ),
    Row(
        "policy",
        "secretsmanager:PutResourcePolicy",
        lambda manager, cloud: manager.put_resource_policy(
            SecretId=cloud.secrets["demo runtime"], ResourcePolicy='{"Statement": []}'
        ),
    ),
    Row("list", "secretsmanager:ListSecrets", lambda manager, _cloud: manager.list_secrets()),
)
def test_writing_its_own_secret(cloud: Cloud, row: Row) -> None:
    """A server reads its password; it neither changes it nor says who else may."""
    refused(partial(row.call, cloud.client("demo", "secretsmanager"), cloud), row.action)


@pytest.mark.parametrize(
    ("who", "project", "stack"),
    [
        ("demo", "churn", STACK),
        ("churn", "demo", STACK),
        ("demo", "demo2", STACK),
        ("demo", "demo", f"{STACK}2"),
        ("colleague", "demo", STACK),
    ],
)
def test_other_keys(cloud: Cloud, who: str, project: str, stack: str) -> None:
    """Neither another project's, nor that of one of its name in another stack."""
    name = parameter_of(cloud, project, stack)
    call = partial(cloud.client(who, "ssm").get_parameter, Name=name, WithDecryption=True)
    refused(call, "ssm:GetParameter")


@rows(
    Row(
        "put",
        "ssm:PutParameter",
        lambda ssm, cloud: ssm.put_parameter(
            Name=parameter_of(cloud, "demo"), Value="x", Overwrite=True
        ),
    ),
    Row(
        "delete",
        "ssm:DeleteParameter",
        lambda ssm, cloud: ssm.delete_parameter(Name=parameter_of(cloud, "demo")),
    ),
    Row(
        "history",
        "ssm:GetParameterHistory",
        lambda ssm, cloud: ssm.get_parameter_history(Name=parameter_of(cloud, "demo")),
    ),
    Row("list", "ssm:DescribeParameters", lambda ssm, _cloud: ssm.describe_parameters()),
    Row(
        "below a path",
        "ssm:GetParametersByPath",
        lambda ssm, _cloud: ssm.get_parameters_by_path(Path=f"/mlflow/{STACK}", Recursive=True),
    ),
)
def test_writing_its_own_key(cloud: Cloud, row: Row) -> None:
    """A server reads its key; it neither changes nor deletes it, nor learns of others."""
    refused(partial(row.call, cloud.client("demo", "ssm"), cloud), row.action)


def role_name(cloud: Cloud) -> str:
    """Return the name of demo's role."""
    return cloud.roles["demo"].rpartition("/")[2]


def decrypt(kms: Any, cloud: Cloud) -> object:
    """Decrypt what root encrypted by the stack's key."""
    key = cloud.key
    sealed = cloud.client("root", "kms").encrypt(KeyId=key, Plaintext=b"sealed")
    return kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], KeyId=key)


@rows(
    Row("user", "iam:CreateUser", lambda iam, _cloud: iam.create_user(UserName="mallory")),
    Row(
        "key",
        "iam:CreateAccessKey",
        lambda iam, _cloud: iam.create_access_key(UserName="colleague"),
    ),
    Row(
        "wider-policy",
        "iam:CreatePolicyVersion",
        lambda iam, cloud: iam.create_policy_version(
            PolicyArn=cloud.policies["demo"],
            PolicyDocument=EVERYTHING,
            SetAsDefault=True,
        ),
    ),
    Row(
        "inline-policy",
        "iam:PutRolePolicy",
        lambda iam, cloud: iam.put_role_policy(
            RoleName=role_name(cloud), PolicyName="more", PolicyDocument=EVERYTHING
        ),
    ),
    Row(
        "attach",
        "iam:AttachRolePolicy",
        lambda iam, cloud: iam.attach_role_policy(
            RoleName=role_name(cloud), PolicyArn=cloud.policies["churn"]
        ),
    ),
    Row("own-role", "iam:GetRole", lambda iam, cloud: iam.get_role(RoleName=role_name(cloud))),
    Row("roles", "iam:ListRoles", lambda iam, _cloud: iam.list_roles()),
    Row(
        "stack",
        "cloudformation:DescribeStacks",
        lambda stacks, _cloud: stacks.describe_stacks(StackName=STACK),
    ),
    Row(
        "template",
        "cloudformation:GetTemplate",
        lambda stacks, _cloud: stacks.get_template(StackName=f"{STACK}-projects"),
    ),
    Row(
        "change-stack",
        "cloudformation:UpdateStack",
        lambda stacks, _cloud: stacks.update_stack(StackName=STACK, UsePreviousTemplate=True),
    ),
    Row(
        "drop-stack",
        "cloudformation:DeleteStack",
        lambda stacks, _cloud: stacks.delete_stack(StackName=f"{STACK}-projects"),
    ),
    # The key serves a project only by way of S3 and Secrets Manager.
    Row(
        "encrypt-by-key",
        "kms:GenerateDataKey",
        lambda kms, cloud: kms.generate_data_key(KeyId=cloud.key, KeySpec="AES_256"),
    ),
    Row("decrypt-by-key", "kms:Decrypt", decrypt),
    Row(
        "drop-key",
        "kms:ScheduleKeyDeletion",
        lambda kms, cloud: kms.schedule_key_deletion(KeyId=cloud.key),
    ),
)
def test_managing_the_account(cloud: Cloud, row: Row) -> None:
    """No way to more rights, to the stacks, or to the key past the services that it is for."""
    service = row.action.partition(":")[0]
    refused(partial(row.call, cloud.client("demo", service), cloud), row.action)


# Over plain HTTP.


@on_an_object
def test_own_objects_without_tls(cloud: Cloud, operation: str) -> None:
    """What a project may do with an object is refused by the bucket."""
    spot = cloud.spot(OWN)
    action, call = OBJECT[operation]
    refused(partial(call, cloud.client("demo", "s3", plain=True), spot), action, BUCKET_POLICY)


def test_own_listing_without_tls(cloud: Cloud) -> None:
    """And its list."""
    call = partial(list_, cloud.client("demo", "s3", plain=True), cloud.bucket, "projects/demo/")
    refused(call, "s3:ListBucket", BUCKET_POLICY)


# Who becomes a project.


@pytest.mark.parametrize("who", ["colleague", "climber"])
@pytest.mark.parametrize("project", PROJECTS)
def test_who_becomes_a_project(cloud: Cloud, who: str, project: str) -> None:
    """Whom the account allows to assume the role, as long as no principals are named."""
    assert cloud.become(who, project)


@pytest.mark.parametrize(
    ("who", "role"),
    [
        ("demo", "churn"),
        ("churn", "demo"),
        ("demo", "demo"),
        ("demo", "server"),
        ("neighbour", "demo"),
        ("colleague", "server"),
        ("colleague", "migrations"),
        ("neighbour", "pull"),
        ("demo", "pull"),
        ("colleague", "admin"),
        ("colleague", "of-another-stack"),
    ],
)
def test_who_becomes_nobody_else(cloud: Cloud, who: str, role: str) -> None:
    """No project becomes another, and no colleague more than a project."""
    refused(partial(cloud.become, who, role), "sts:AssumeRole")


def test_a_colleague_pulls_the_image(cloud: Cloud) -> None:
    """By the role whose token hosts get, which reaches nothing of a project."""
    keys = cloud.become("colleague", "pull")
    assert cloud.aws.client("ecr", *keys).get_authorization_token()["authorizationData"]
    s3 = cloud.aws.client("s3", *keys)
    refused(partial(list_, s3, cloud.bucket, "projects/demo/"), "s3:ListBucket")


def test_migrations_read_the_migrators_secrets(cloud: Cloud) -> None:
    """Of all projects, found by their tags; and no server's, and not the administrator's."""
    keys = cloud.become("climber", "migrations")
    manager = cloud.aws.client("secretsmanager", *keys)
    for name, secret in cloud.secrets.items():
        call = partial(manager.get_secret_value, SecretId=secret)
        if name.endswith(" migrator"):
            assert json.loads(call()["SecretString"])["password"]
        else:
            refused(call, "secretsmanager:GetSecretValue")


def test_nobody_becomes_a_server_host(cloud: Cloud) -> None:
    """Its own trust keeps out those, too, whose policies allow it."""
    refused(partial(cloud.become, "climber", "server"), "sts:AssumeRole", "on resource")


@on_an_object
def test_a_colleague_and_objects(cloud: Cloud, operation: str) -> None:
    """Who may become a project reaches nothing without doing so."""
    spot = cloud.spot(OWN)
    action, call = OBJECT[operation]
    refused(partial(call, cloud.client("colleague", "s3"), spot), action)


@pytest.mark.parametrize("prefix", [None, "projects/demo/"])
def test_a_colleague_and_the_list(cloud: Cloud, prefix: str | None) -> None:
    """Nor any names."""
    call = partial(list_, cloud.client("colleague", "s3"), cloud.bucket, prefix)
    refused(call, "s3:ListBucket")


@pytest.mark.parametrize(
    "name", ["demo runtime", "demo migrator", "churn runtime", "churn migrator", "master"]
)
def test_a_colleague_and_secrets(cloud: Cloud, name: str) -> None:
    """Nor any password."""
    manager = cloud.client("colleague", "secretsmanager")
    call = partial(manager.get_secret_value, SecretId=cloud.secrets[name])
    refused(call, "secretsmanager:GetSecretValue")
