# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the templates say, above all where an emulator drops it without a word."""

from __future__ import annotations

import itertools
import json
import re
from fnmatch import fnmatchcase
from typing import Any

import pytest
import yaml
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _names
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._backend import connections
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.projects import project_item
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.series import ROOM
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._stacks.template_bucket import (
    SENT_BYTES,
    STORED_BYTES,
    goes_by_bucket,
)
from ansible_collections.mlops.mlflow_aws.tests.unit.cloudformation._deployed import (
    ACCOUNT,
    PSEUDO,
    Deployed,
    Wrong,
    deploy,
    expand,
    load,
    references,
    text,
    walk,
)

TEMPLATES = ("backend", "budget", "policies", "projects")
# CloudFormation's limits.
RESOURCES, OUTPUTS = 500, 200
VPC = {
    "VpcId": "vpc-0123456789abcdef0",
    "DatabaseSubnetIds": "subnet-01234567,subnet-89abcdef",
    "RelaySubnetIds": "subnet-01234567",
}
EXISTING = {
    "ExistingDatabaseEndpoint": "mysql.example.com",
    "ExistingDatabasePort": "3307",
    "ExistingDatabaseUsername": "root",
    "ExistingDatabaseSecretArn": f"arn:aws:secretsmanager:eu-central-1:{ACCOUNT}:secret:db-AbCdEf",
}
BACKEND = {
    "BackendStackName": "team",
    "ArtifactBucket": "team-artifacts",
    "KmsKeyArn": f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/1",
    "ServerRoleArn": f"arn:aws:iam::{ACCOUNT}:role/server",
    "DatabaseResourceId": "cluster-ABC",
}
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
NAMES = ("a", "ab", "a-b", "a-b-c", "p0", "churn-model", "x" * 22, "x" * 23, "y" + "-b" * 19 + "c")


def projects(*names: str, **parameters: str) -> Deployed:
    """Return the projects stack for these projects."""
    return deploy("projects", Projects=",".join(map(project_item, names)), **BACKEND | parameters)


@pytest.fixture(scope="module")
def backend() -> Deployed:
    """Return the backend with its defaults, and an address for alarms."""
    return deploy("backend", AlarmEmail="team@example.com")


# Both templates


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_plain_yaml(name: str) -> None:
    """It is free of what CloudFormation's YAML lacks."""
    events = list(yaml.parse(text(name)))
    assert not [event for event in events if isinstance(event, yaml.AliasEvent)]
    assert not [event for event in events if getattr(event, "tag", None)], "short tags"
    assert len(load(name)["Description"]) <= 1024


@pytest.mark.parametrize("name", TEMPLATES)
def test_how_a_template_gets_to_cloudformation(name: str) -> None:
    """One with a transform by the bucket, as what is made of it is longer than a request may be."""
    assert goes_by_bucket(text(name)) == (name == "projects")
    assert len(text(name).encode()) < SENT_BYTES


@pytest.mark.parametrize("name", TEMPLATES)
def test_everything_declared_is_used(name: str) -> None:
    """No parameter and no condition stands there for nothing."""
    template = load(name)
    body = [template.get(key, {}) for key in ("Rules", "Conditions", "Resources", "Outputs")]
    assert set(template["Parameters"]) <= set(references(body))
    used = {value for key, value in walk(body) if key == "Condition" and isinstance(value, str)}
    used |= {value[0] for key, value in walk(body) if key == "Fn::If"}
    assert set(template.get("Conditions", {})) == used


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_parameter_explains_itself(name: str) -> None:
    """Each has a place in the console, a description, and a sentence for a wrong value."""
    template = load(name)
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [parameter for group in groups for parameter in group["Parameters"]]
    assert sorted(shown) == sorted(template["Parameters"])
    for parameter, definition in template["Parameters"].items():
        assert definition["Description"].endswith("."), parameter
        assert re.fullmatch(r"must .+\.", definition["ConstraintDescription"]), parameter
        constraints = {"AllowedPattern", "AllowedValues", "MinValue"} & set(definition)
        assert constraints, parameter


@pytest.mark.parametrize("name", TEMPLATES)
def test_nothing_secret_goes_in_or_out(name: str) -> None:
    """No parameter takes a secret, and no secret's value is read by the template."""
    template = load(name)
    for parameter, definition in template["Parameters"].items():
        assert not re.search("password|token|secret(?!arn)", parameter, re.IGNORECASE)
        assert "NoEcho" not in definition, parameter
    assert "{{resolve:" not in text(name)
    assert "MasterUserPassword" not in [key for key, _value in walk(template)]
    assert "SecretString" not in [key for key, _value in walk(template)]


@pytest.mark.parametrize("name", TEMPLATES)
def test_stacks_do_not_hold_each_other(name: str) -> None:
    """Values go from one stack to the other as parameters: no exports, no imports."""
    keys = {key for key, _value in walk(load(name))}
    assert not keys & {"Export", "Fn::ImportValue"}


@pytest.mark.parametrize("name", TEMPLATES)
def test_policies_allow_nothing_everywhere(name: str) -> None:
    """An asterisk as action stands in denials and the key's own policy, and where AWS itself names it so."""
    named = ("autoscaling:Describe*", "kms:GenerateDataKey*")
    for _key, statements in walk(load(name)):
        if not isinstance(statements, list):
            continue
        for statement in (entry for entry in statements if isinstance(entry, dict)):
            if statement.get("Effect") != "Allow" or statement.get("Action") == "kms:*":
                continue
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                assert action in named or "*" not in action, statement


# The backend


SWITCHES: tuple[list[dict[str, str]], ...] = (
    [{}, VPC, VPC | {"RouteTableIds": "rtb-01234567", "ClientCidr": "10.8.0.0/16"}],
    [
        {},
        {"MinCapacity": "0.5", "SecondsUntilAutoPause": "600"},
        EXISTING,
        EXISTING
        | {
            "ExistingDatabaseClusterArn": f"arn:aws:rds:eu-central-1:{ACCOUNT}:cluster:c",
            "ExistingDatabaseResourceId": "cluster-ABC",
        },
    ],
    [{}, {"Relay": "false"}],
    [
        {},
        {"AlarmEmail": "team@example.com", "DataApi": "false", "PerformanceInsights": "true"},
        {"AlarmEmail": "team@example.com", "ArtifactBucketName": "ours"},
    ],
)


@pytest.mark.parametrize("combined", list(itertools.product(*SWITCHES)))
def test_backend_is_whole_with_every_combination(combined: tuple[dict[str, str], ...]) -> None:
    """Nothing refers to what a condition leaves out, and the outputs that others need are there."""
    given = {key: value for part in combined for key, value in part.items()}
    stack = deploy("backend", **given)
    own = "ExistingDatabaseEndpoint" not in given
    assert ("AWS::EC2::VPC" in stack.types()) == ("VpcId" not in given)
    assert ("AWS::RDS::DBCluster" in stack.types()) == own
    assert ("AWS::AutoScaling::AutoScalingGroup" in stack.types()) == ("Relay" not in given)
    assert ("AWS::SNS::Topic" in stack.types()) == ("AlarmEmail" in given)
    data_api = given.get("DataApi") != "false" if own else "ExistingDatabaseClusterArn" in given
    assert stack.outputs["DataApi"] == str(data_api).lower()
    assert not {"AWS::EC2::NatGateway", "AWS::Budgets::Budget"} & stack.types()
    assert {
        "ArtifactBucket",
        "ArtifactRoot",
        "DatabaseEndpoint",
        "DatabasePort",
        "DatabaseSecretArn",
        "DatabaseUrl",
        "DatabaseUsername",
        "KmsKeyArn",
        "ServerInstanceProfileArn",
        "ServerRoleArn",
        "ServerSecurityGroupId",
        "VpcId",
    } <= set(stack.outputs)


def test_backend_outputs(backend: Deployed) -> None:
    """The database's address is Aurora's, in SQLAlchemy's form too, and its password stays out."""
    assert backend.outputs["ArtifactRoot"] == "s3://<ArtifactBucket>"
    assert backend.outputs["DatabaseUrl"] == (
        "mysql+pymysql://<Database.Endpoint.Address>:<Database.Endpoint.Port>/"
    )
    assert backend.outputs["DatabaseSecretArn"] == "<Database.MasterUserSecret.SecretArn>"
    assert backend.outputs["DatabaseClusterArn"] == "<Database.DBClusterArn>"
    assert backend.outputs["DatabaseResourceId"] == "<Database.DBClusterResourceId>"
    assert backend.outputs["DatabaseManaged"] == "true"


def test_backend_with_an_existing_database() -> None:
    """Its address is passed on, and no alarm watches a cluster that is not ours."""
    stack = deploy("backend", AlarmEmail="team@example.com", **EXISTING)
    assert stack.outputs["DatabaseUrl"] == "mysql+pymysql://mysql.example.com:3307/"
    assert stack.outputs["DatabaseUsername"] == "root"
    assert stack.outputs["DatabaseSecretArn"] == EXISTING["ExistingDatabaseSecretArn"]
    assert stack.outputs["DatabaseManaged"] == "false"
    assert not {"DatabaseClusterArn", "DatabaseResourceId"} & set(stack.outputs)
    assert not {"AWS::RDS::DBInstance", "AWS::CloudWatch::Alarm"} & stack.types()
    ports = [
        rule["ToPort"] for rule in stack.properties("RelaySecurityGroup")["SecurityGroupEgress"]
    ]
    assert ports == [443, "3307"]


def test_database_is_private_encrypted_and_backed_up(backend: Deployed) -> None:
    """What an emulator forgets of a cluster stands in the template."""
    cluster = backend.properties("Database")
    expected = {
        "Engine": "aurora-mysql",
        "ManageMasterUserPassword": True,
        "MasterUserSecret": {"KmsKeyId": "<Key.Arn>"},
        "StorageEncrypted": True,
        "KmsKeyId": "<Key.Arn>",
        "EnableIAMDatabaseAuthentication": True,
        "EnableHttpEndpoint": "true",
        "BackupRetentionPeriod": "7",
        "CopyTagsToSnapshot": True,
        "EnableCloudwatchLogsExports": ["audit", "error", "slowquery"],
        "DeletionProtection": "false",
        "DBClusterParameterGroupName": "<DatabaseParameters>",
        "VpcSecurityGroupIds": ["<DatabaseSecurityGroup.GroupId>"],
    }
    assert {key: cluster[key] for key in expected} == expected
    assert re.fullmatch(r"8\.4\.mysql_aurora\.8\.4\.\d+", cluster["EngineVersion"]), "not LTS"
    assert not {"EngineMode", "MasterUserPassword", "DBClusterIdentifier"} & set(cluster)
    instance = backend.properties("DatabaseInstance")
    assert instance == {
        "Engine": "aurora-mysql",
        "DBClusterIdentifier": "<Database>",
        "DBInstanceClass": "db.serverless",
        "PubliclyAccessible": False,
        "AutoMinorVersionUpgrade": False,
        "EnablePerformanceInsights": "false",
        "MonitoringInterval": 0,
    }


def test_performance_insights_are_a_choice() -> None:
    """What they record holds text of statements, so it is encrypted by the stack's key."""
    instance = deploy("backend", PerformanceInsights="true").properties("DatabaseInstance")
    assert instance["EnablePerformanceInsights"] == "true"
    assert instance["PerformanceInsightsKMSKeyId"] == "<Key.Arn>"
    assert "PerformanceInsightsRetentionPeriod" not in instance, "more than 7 days cost"


def test_a_region_without_data_api() -> None:
    """The cluster is made without, and the output says so."""
    stack = deploy("backend", DataApi="false")
    assert stack.properties("Database")["EnableHttpEndpoint"] == "false"
    assert stack.outputs["DataApi"] == "false"


@pytest.mark.parametrize(
    ("version", "family"),
    [
        ("8.4.mysql_aurora.8.4.7", "aurora-mysql8.4"),
        ("8.4.mysql_aurora.8.4.10", "aurora-mysql8.4"),
        ("8.0.mysql_aurora.3.10.4", "aurora-mysql8.0"),
        ("8.0.mysql_aurora.3.08.2", "aurora-mysql8.0"),
    ],
)
def test_both_lines_have_their_parameter_group(version: str, family: str) -> None:
    """Aurora refuses the group of another line."""
    stack = deploy("backend", EngineVersion=version)
    assert stack.properties("DatabaseParameters")["Family"] == family
    assert stack.properties("Database")["EngineVersion"] == version


def test_zones_are_a_choice() -> None:
    """Not each zone of a region offers each class of instances."""
    stack = deploy("backend", AvailabilityZones="eu-central-1b,eu-central-1c")
    for kind, (letter, zone) in itertools.product(("Private", "Public"), (("A", "b"), ("B", "c"))):
        subnet = stack.properties(f"{kind}Subnet{letter}")
        assert subnet["AvailabilityZone"] == f"eu-central-1{zone}"


def test_database_wants_tls_and_logs_no_statement(backend: Deployed) -> None:
    """The parameter group refuses plain connections and audits connections alone."""
    group = backend.properties("DatabaseParameters")
    assert group["Parameters"]["require_secure_transport"] == "ON"
    assert group["Parameters"]["server_audit_events"] == "CONNECT"
    assert group["Parameters"]["collation_server"] == "utf8mb4_bin"
    assert "binlog_format" not in group["Parameters"], "the binary log keeps Aurora awake"


def test_broken_connections_lock_no_host_out(backend: Deployed) -> None:
    """A port scan costs 100 in a moment, after which MySQL answers nobody of that address."""
    group = backend.properties("DatabaseParameters")
    assert int(group["Parameters"]["max_connect_errors"]) >= 1_000_000


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"MinCapacity": "0", "MaxCapacity": "8", "SecondsUntilAutoPause": "300"}),
        (
            {"SecondsUntilAutoPause": "3600", "MaxCapacity": "1"},
            {"MinCapacity": "0", "MaxCapacity": "1", "SecondsUntilAutoPause": "3600"},
        ),
        ({"MinCapacity": "0.5"}, {"MinCapacity": "0.5", "MaxCapacity": "8"}),
        (
            {"MinCapacity": "2", "MaxCapacity": "8", "SecondsUntilAutoPause": "600"},
            {"MinCapacity": "2", "MaxCapacity": "8"},
        ),
    ],
)
def test_pause_is_set_with_a_minimum_of_nothing_only(
    given: dict[str, str], expected: dict[str, str]
) -> None:
    """Aurora refuses the seconds with any other minimum."""
    stack = deploy("backend", AlarmEmail="team@example.com", **given)
    assert stack.properties("Database")["ServerlessV2ScalingConfiguration"] == expected
    assert ("AwakeAlarm" in stack.resources) == ("SecondsUntilAutoPause" in expected)


def test_state_outlives_the_stack() -> None:
    """Deleting the stack, or a resource, loses neither rows nor artifacts nor the key."""
    kept = {
        name: (entry["DeletionPolicy"], entry["UpdateReplacePolicy"])
        for name, entry in load("backend")["Resources"].items()
        if "DeletionPolicy" in entry
    }
    assert kept == {
        "Key": ("RetainExceptOnCreate", "Retain"),
        "Database": ("Snapshot", "Snapshot"),
        "DatabaseInstance": ("Delete", "Delete"),
        "ArtifactBucket": ("RetainExceptOnCreate", "Retain"),
        "ArtifactBucketPolicy": ("RetainExceptOnCreate", "Retain"),
    }


def test_deletion_protection_is_a_choice() -> None:
    """Off by default, so that a first create can roll back; on when the role says so."""
    stack = deploy("backend", DeletionProtection="true")
    assert stack.properties("Database")["DeletionProtection"] == "true"


def test_bucket_is_private_versioned_and_encrypted(backend: Deployed) -> None:
    """What an emulator forgets of a bucket stands in the template."""
    bucket = backend.properties("ArtifactBucket")
    assert "BucketName" not in bucket
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"] == [
        {
            "BucketKeyEnabled": True,
            "ServerSideEncryptionByDefault": {
                "SSEAlgorithm": "aws:kms",
                "KMSMasterKeyID": "<Key.Arn>",
            },
        }
    ]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


def test_bucket_tidies_up(backend: Deployed) -> None:
    """Old versions and broken uploads go; current versions never do."""
    rules = {
        rule["Id"]: rule
        for rule in backend.properties("ArtifactBucket")["LifecycleConfiguration"]["Rules"]
    }
    assert rules["old-versions"] == {
        "Id": "old-versions",
        "Status": "Enabled",
        "NoncurrentVersionExpiration": {"NoncurrentDays": "30"},
        "ExpiredObjectDeleteMarker": True,
    }
    assert rules["broken-uploads"]["Status"] == "Enabled"
    assert rules["broken-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert rules["intelligent-tiering"]["Status"] == "Disabled"
    assert not [rule for rule in rules.values() if "ExpirationInDays" in rule]


def test_bucket_choices() -> None:
    """A name of one's own, and cheaper storage for what nobody reads."""
    bucket = deploy("backend", ArtifactBucketName="ours", IntelligentTiering="true").properties(
        "ArtifactBucket"
    )
    assert bucket["BucketName"] == "ours"
    tiering = bucket["LifecycleConfiguration"]["Rules"][-1]
    assert tiering["Status"] == "Enabled"
    assert tiering["Transitions"] == [
        {"StorageClass": "INTELLIGENT_TIERING", "TransitionInDays": 0}
    ]


def test_bucket_answers_tls_alone(backend: Deployed) -> None:
    """Everyone is denied everything over a plain connection, or an old one."""
    statements = backend.properties("ArtifactBucketPolicy")["PolicyDocument"]["Statement"]
    for statement in statements:
        assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
        assert statement["Action"] == "s3:*"
        assert statement["Resource"] == ["<ArtifactBucket.Arn>", "<ArtifactBucket.Arn>/*"]
    assert [statement["Condition"] for statement in statements] == [
        {"Bool": {"aws:SecureTransport": "false"}},
        {"NumericLessThan": {"s3:TlsVersion": "1.2"}},
    ]


def test_key_rotates_and_serves_the_account_alone(backend: Deployed) -> None:
    """AWS's alarms may use it for this account's topic; every other right comes from IAM."""
    key = backend.properties("Key")
    assert key["EnableKeyRotation"] is True
    account, alarms = key["KeyPolicy"]["Statement"]
    assert account["Principal"] == {"AWS": ROOT}
    assert alarms["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert alarms["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def test_database_network_has_no_way_out(backend: Deployed) -> None:
    """Its subnets lie in two zones and have routes to S3 alone."""
    assert backend.properties("DatabaseSubnetGroup")["SubnetIds"] == [
        "<PrivateSubnetA>",
        "<PrivateSubnetB>",
    ]
    zones = {
        backend.properties(f"PrivateSubnet{letter}")["AvailabilityZone"] for letter in ("A", "B")
    }
    assert len(zones) == 2
    ranges = {
        resource["Properties"]["CidrBlock"]
        for resource in backend.resources.values()
        if resource["Type"] == "AWS::EC2::Subnet"
    }
    assert len(ranges) == 4
    routes = [
        resource["Properties"]["RouteTableId"]
        for resource in backend.resources.values()
        if resource["Type"] == "AWS::EC2::Route"
    ]
    assert routes == ["<PublicRouteTable>"]
    endpoint = backend.properties("ArtifactEndpoint")
    assert endpoint["VpcEndpointType"] == "Gateway"
    assert endpoint["ServiceName"] == "com.amazonaws.eu-central-1.s3"
    assert "<PrivateRouteTable>" in endpoint["RouteTableIds"]


def test_network_of_a_team() -> None:
    """With VpcId everything lies in the team's subnets."""
    stack = deploy("backend", RouteTableIds="rtb-01234567,rtb-89abcdef", **VPC)
    assert stack.properties("DatabaseSubnetGroup")["SubnetIds"] == [
        "subnet-01234567",
        "subnet-89abcdef",
    ]
    assert stack.properties("RelayGroup")["VPCZoneIdentifier"] == ["subnet-01234567"]
    assert stack.properties("ArtifactEndpoint")["RouteTableIds"] == [
        "rtb-01234567",
        "rtb-89abcdef",
    ]
    assert stack.outputs["VpcId"] == VPC["VpcId"]
    assert "PublicSubnetIds" not in stack.outputs
    assert "ArtifactEndpoint" not in deploy("backend", **VPC).resources


def test_who_reaches_the_database() -> None:
    """Servers, the relay and ClientCidr, on MySQL's port; the database itself reaches nobody."""
    group = deploy("backend", ClientCidr="10.8.0.0/16").properties("DatabaseSecurityGroup")
    assert [
        (rule["FromPort"], rule["ToPort"], rule.get("SourceSecurityGroupId", rule.get("CidrIp")))
        for rule in group["SecurityGroupIngress"]
    ] == [
        (3306, 3306, "<ServerSecurityGroup.GroupId>"),
        (3306, 3306, "<RelaySecurityGroup.GroupId>"),
        (3306, 3306, "10.8.0.0/16"),
    ]
    assert [rule["CidrIp"] for rule in group["SecurityGroupEgress"]] == ["127.0.0.1/32"]


@pytest.mark.parametrize("name", ["ServerSecurityGroup", "RelaySecurityGroup"])
def test_relay_and_hosts_accept_nothing(backend: Deployed, name: str) -> None:
    """Their groups have no inbound rule, and let out to AWS and the database's port."""
    group = backend.properties(name)
    assert "SecurityGroupIngress" not in group
    assert [(rule["ToPort"], rule["CidrIp"]) for rule in group["SecurityGroupEgress"]] == [
        (443, "0.0.0.0/0"),
        (3306, "10.78.0.0/24"),
    ]


def test_relay_is_none_or_one(backend: Deployed) -> None:
    """It starts when asked, and an update of the stack does not stop it."""
    group = backend.properties("RelayGroup")
    assert (group["MinSize"], group["MaxSize"]) == ("0", "1")
    assert "DesiredCapacity" not in group
    assert group["MaxInstanceLifetime"] == 7 * 86_400, "it does not update itself"
    data = backend.properties("RelayLaunchTemplate")["LaunchTemplateData"]
    assert data["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 1,
    }
    assert data["ImageId"].startswith("resolve:ssm:/aws/service/ami-amazon-linux-latest/")
    assert data["NetworkInterfaces"][0]["AssociatePublicIpAddress"] is True
    assert data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
    assert "KeyName" not in data
    assert "UserData" not in data


def test_relay_of_a_team_has_the_address_that_its_subnet_gives() -> None:
    """In a team's VPC the subnet decides on public addresses."""
    data = deploy("backend", **VPC).properties("RelayLaunchTemplate")["LaunchTemplateData"]
    assert "AssociatePublicIpAddress" not in data["NetworkInterfaces"][0]


@pytest.mark.parametrize(
    ("given", "host", "port"),
    [
        ({}, "<Database.Endpoint.Address>", "<Database.Endpoint.Port>"),
        (EXISTING, "mysql.example.com", "3307"),
    ],
)
def test_relay_leads_to_the_database_alone(given: dict[str, str], host: str, port: str) -> None:
    """Who holds the policy may start it and forward to one host and port."""
    stack = deploy("backend", **given)
    document = stack.properties("RelayDocument")
    assert (document["DocumentType"], document["UpdateMethod"]) == ("Session", "NewVersion")
    assert document["Content"]["properties"] == {
        "type": "LocalPortForwarding",
        "localPortNumber": "{{ localPortNumber }}",
        "portNumber": port,
        "host": host,
    }
    assert list(document["Content"]["parameters"]) == ["localPortNumber"]
    statements = statements_of(stack, "RelayUserPolicy")
    session = statements["ForwardThroughTheRelay"]["Condition"]
    assert session["StringEquals"] == {"ssm:resourceTag/mlflow-relay": "team"}
    assert session["BoolIfExists"] == {"ssm:SessionDocumentAccessCheck": "true"}
    assert statements["ForwardToTheDatabase"]["Resource"].endswith("document/<RelayDocument>")
    assert statements["StartTheRelay"]["Resource"].endswith("autoScalingGroupName/<RelayGroup>")
    own = statements["UseOwnSessions"]
    assert "ssmmessages:OpenDataChannel" in own["Action"]
    assert own["Resource"].endswith("session/${aws:userid}-*")


def test_hosts_may_pull_and_become_projects(backend: Deployed) -> None:
    """An EC2 host's own rights are the image and the roles of this stack's projects."""
    (policy,) = backend.properties("ServerRole")["Policies"]
    assert "ManagedPolicyArns" not in backend.properties("ServerRole")
    allowed = {
        entry["Sid"]: (entry["Action"], entry["Resource"])
        for entry in policy["PolicyDocument"]["Statement"]
    }
    assert allowed["BecomeProjects"] == (
        "sts:AssumeRole",
        f"arn:aws:iam::{ACCOUNT}:role/mlflow/team/*",
    )
    assert allowed["SignInToTheRegistry"] == ("ecr:GetAuthorizationToken", "*")
    actions, repository = allowed["PullTheImage"]
    assert not [
        action for action in actions if not re.match("ecr:(Batch(Check|Get)|Get|Desc)", action)
    ]
    assert repository == f"arn:aws:ecr:eu-central-1:{ACCOUNT}:repository/mlflow*"
    assert len(allowed) == 3


@pytest.mark.parametrize(
    ("given", "database"),
    [
        ({}, "<Database.DBClusterResourceId>"),
        (EXISTING | {"ExistingDatabaseResourceId": "db-ABC"}, "db-ABC"),
        (EXISTING, ""),
    ],
)
def test_migrations_are_the_migrators_and_nobody_else(given: dict[str, str], database: str) -> None:
    """By the secrets of this stack's migrators, and their users; neither hosts nor colleagues may be."""
    stack = deploy("backend", **given)
    role = stack.properties("MigrationRole")
    assert principals(role) == [ROOT]
    (hosts,) = stack.properties("ServerRole")["Policies"]
    pattern = hosts["PolicyDocument"]["Statement"][0]["Resource"]
    assert not fnmatchcase(f"arn:aws:iam::{ACCOUNT}:role{role['Path']}x", pattern)
    (policy,) = role["Policies"]
    statements = {entry["Sid"]: entry for entry in policy["PolicyDocument"]["Statement"]}
    read = statements.pop("ReadMigratorsPasswords")
    assert read["Resource"] == f"arn:aws:secretsmanager:eu-central-1:{ACCOUNT}:secret:*"
    tag = {"Key": "mlflow-migrations", "Value": PSEUDO["AWS::StackName"]}
    made = projects("a", BackendStackName=PSEUDO["AWS::StackName"])
    assert read["Condition"] == {"StringEquals": {f"aws:ResourceTag/{tag['Key']}": tag["Value"]}}
    assert tag in made.properties("MigratorSecreta")["Tags"]
    assert tag not in made.properties("RuntimeSecreta")["Tags"]
    assert statements.pop("DecryptMigratorsPasswords")["Resource"] == "<Key.Arn>"
    if database:
        connect = statements.pop("ConnectAsMigrators")
        assert connect["Action"] == "rds-db:connect"
        assert connect["Resource"].endswith(f":dbuser:{database}/mlflow_mg_*")
    # Backups and restores.
    objects = statements.pop("ReadAndWriteArtifactsAndBackups")["Resource"]
    bucket = statements.pop("ListArtifacts")["Resource"]
    assert bucket.startswith("arn:aws:s3:::")
    assert objects == [f"{bucket}/{place}/*" for place in ("projects", "backups")]
    assert statements.pop("UseTheKeyOfArtifacts")["Resource"] == "<Key.Arn>"
    assert statements == {}
    assert stack.outputs["MigrationRoleArn"] == "<MigrationRole.Arn>"


def test_whoever_runs_servers_may_pull_and_no_more(backend: Deployed) -> None:
    """As a role that is where the projects' roles are, and trusted as they are."""
    role = backend.properties("PullRole")
    assert role["Path"] == projects("a", BackendStackName="team").properties("Rolea")["Path"]
    (policy,) = role["Policies"]
    assert "ManagedPolicyArns" not in role
    allowed = {
        entry["Sid"]: (entry["Action"], entry["Resource"])
        for entry in policy["PolicyDocument"]["Statement"]
    }
    actions = ["BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer"]
    assert allowed == {
        "SignInToTheRegistry": ("ecr:GetAuthorizationToken", "*"),
        "PullTheImage": (
            [f"ecr:{action}" for action in actions],
            f"arn:aws:ecr:eu-central-1:{ACCOUNT}:repository/mlflow*",
        ),
    }
    assert principals(role) == ["<ServerRole.Arn>", ROOT]
    named = [f"arn:aws:iam::{ACCOUNT}:role/ml", f"arn:aws:iam::{ACCOUNT}:user/ada"]
    given = {"TrustedPrincipals": ",".join(named), "ImageRepository": "team/mlflow"}
    stack = deploy("backend", **given)
    assert principals(stack.properties("PullRole")) == ["<ServerRole.Arn>", named]
    (policy,) = stack.properties("PullRole")["Policies"]
    pulled = policy["PolicyDocument"]["Statement"][1]["Resource"]
    assert pulled.endswith(":repository/team/mlflow")
    assert stack.outputs["PullRoleArn"] == "<PullRole.Arn>"


def test_hosts_metadata_wants_tokens_and_reaches_no_container(backend: Deployed) -> None:
    """IMDSv2, and one hop, which a container on a bridge is further away than."""
    data = backend.properties("ServerLaunchTemplate")["LaunchTemplateData"]
    assert data == {
        "IamInstanceProfile": {"Arn": "<ServerInstanceProfile.Arn>"},
        "SecurityGroupIds": ["<ServerSecurityGroup.GroupId>"],
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
        },
    }


def test_alarms_reach_their_subscriber(backend: Deployed) -> None:
    """Each alarm goes to an encrypted topic with the address, and a sleeping database is no alarm."""
    topic = backend.properties("AlarmTopic")
    assert topic["KmsMasterKeyId"] == "<Key>"
    assert topic["Subscription"] == [{"Protocol": "email", "Endpoint": "team@example.com"}]
    alarms = {
        name: resource["Properties"]
        for name, resource in backend.resources.items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }
    assert {alarm["MetricName"] for alarm in alarms.values()} == {
        "ACUUtilization",
        "DatabaseConnections",
        "ServerlessDatabaseCapacity",
    }
    for name, alarm in alarms.items():
        assert alarm["AlarmActions"] == ["<AlarmTopic>"], name
        assert alarm["TreatMissingData"] == "notBreaching", name
        assert alarm["Dimensions"] == [{"Name": "DBClusterIdentifier", "Value": "<Database>"}]
        # CloudWatch's limit for periods of an hour and less.
        assert alarm["Period"] * alarm["EvaluationPeriods"] <= 86_400, name


@pytest.mark.parametrize("capacity", [1, 2, 4, 8, 16, 32, 64, 128, 256])
def test_the_alarm_about_connections_knows_how_many_there_are(capacity: int) -> None:
    """It goes off at 80 % of what the preflight computes with, for each capacity that can be set."""
    backend = deploy("backend", MaxCapacity=str(capacity), AlarmEmail="team@example.com")
    threshold = backend.properties("ConnectionsAlarm")["Threshold"]
    assert threshold == 0.8 * connections.allowed(capacity)


def test_budget_writes_to_the_address() -> None:
    """A letter at 80 % spent and where the month will end above it."""
    budget = deploy("budget", AlarmEmail="team@example.com").properties("Budget")
    assert budget["Budget"]["BudgetLimit"] == {"Amount": "50", "Unit": "USD"}
    assert [
        (entry["Notification"]["NotificationType"], entry["Notification"]["Threshold"])
        for entry in budget["NotificationsWithSubscribers"]
    ] == [("ACTUAL", 80), ("FORECASTED", 100)]
    for entry in budget["NotificationsWithSubscribers"]:
        assert entry["Subscribers"] == [
            {"SubscriptionType": "EMAIL", "Address": "team@example.com"}
        ]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"VpcId": VPC["VpcId"]}, "give DatabaseSubnetIds in that VPC too"),
        (
            {"VpcId": VPC["VpcId"], "DatabaseSubnetIds": "subnet-01234567,subnet-89abcdef"},
            "give RelaySubnetIds",
        ),
        ({"DatabaseSubnetIds": "subnet-01234567,subnet-89abcdef"}, "give VpcId"),
        ({"RouteTableIds": "rtb-01234567"}, "give VpcId"),
        ({"ExistingDatabaseEndpoint": "db"}, "give ExistingDatabaseUsername too"),
        (
            {"ExistingDatabaseEndpoint": "db", "ExistingDatabaseUsername": "u"},
            "give ExistingDatabaseSecretArn too",
        ),
        ({"MinCapacity": "2", "MaxCapacity": "1"}, "MaxCapacity is below MinCapacity"),
        ({"MinCapacity": "0.7"}, "MinCapacity must be 0 (pauses), 0.5, or a power of two"),
        ({"MaxCapacity": "3"}, "MaxCapacity must be a power of two"),
        ({"SecondsUntilAutoPause": "299"}, "must be from 300"),
        ({"EngineVersion": "8.0.mysql_aurora.3.04.4"}, "from 3.08 on"),
        ({"EngineVersion": "5.7.mysql_aurora.2.11.1"}, "from 3.08 on"),
        ({"EngineVersion": "8.4.7"}, "such as 8.4.mysql_aurora.8.4.8"),
        ({"EngineVersion": "8.4.mysql_aurora.3.10.4"}, "from 3.08 on"),
        ({"AvailabilityZones": "eu-central-1a"}, "must be two zones"),
        ({"AvailabilityZones": "eu-central-1a, eu-central-1b"}, "without spaces"),
        ({"DataApi": "auto"}, "DataApi must be true or false"),
        ({"PerformanceInsights": "on"}, "PerformanceInsights must be true or false"),
        ({"MasterUsername": "mlflow_admin"}, "MasterUsername must start with a lower-case letter"),
        ({"DatabaseSubnetIds": "subnet-01234567"}, "at least two subnet IDs"),
        ({"DatabaseSubnetIds": "subnet-01234567, subnet-89abcdef"}, "without spaces"),
        ({"VpcId": "default"}, "must be a VPC ID"),
        ({"VpcCidr": "10.0.0.0/28"}, "size /16 to /24"),
        ({"VpcCidr": "8.8.8.0/24"}, "must be a private range"),
        ({"ClientCidr": "0.0.0.0/0"}, "size /8 to /32"),
        ({"ArtifactBucketName": "Ours"}, "lower-case letters"),
        ({"AlarmEmail": "team"}, "must be an e-mail address"),
        ({"DeletionProtection": "yes"}, "must be true or false"),
        ({"RelayInstanceType": "t3.nano"}, "arm64"),
        ({"ExistingDatabaseEndpoint": "mysql://db"}, "host name without port"),
        ({"ExistingDatabaseSecretArn": "hunter2"}, "ARN of a Secrets Manager secret"),
    ],
)
def test_wrong_values_get_one_sentence(given: dict[str, str], sentence: str) -> None:
    """Whatever can be told from the parameters alone is told before anything is made."""
    with pytest.raises(Wrong, match=re.escape(sentence)):
        deploy("backend", **given)


def test_the_maximum_is_compared_as_a_number() -> None:
    """Every pair of capacities is accepted where it fits, and only there."""
    parameters = load("backend")["Parameters"]
    for least, most in itertools.product(
        parameters["MinCapacity"]["AllowedValues"], parameters["MaxCapacity"]["AllowedValues"]
    ):
        try:
            deploy("backend", MinCapacity=str(least), MaxCapacity=str(most))
            fits = True
        except Wrong:
            fits = False
        assert fits == (least <= most), (least, most)


# The projects


def statements_of(stack: Deployed, policy: str) -> dict[str, dict[str, Any]]:
    """Return a policy's statements by their Sid."""
    document = stack.properties(policy)["PolicyDocument"]
    return {statement["Sid"]: statement for statement in document["Statement"]}


def test_a_project_gets_its_name_back() -> None:
    """Dashes included, also where the database's user is cut; a-b and ab do not meet."""
    stack = projects(*NAMES)
    assert len(stack.resources) == 4 * len(NAMES)
    found = {json.loads(value)["name"] for value in stack.outputs.values()}
    assert found == set(NAMES)
    for name in NAMES:
        for kind in ("Runtime", "Migrator"):
            secret = stack.properties(f"{kind}Secret{project_item(name)}")
            template = secret["GenerateSecretString"]["SecretStringTemplate"]
            assert json.loads(template) == {"project": name}
            tags = {tag["Key"]: tag["Value"] for tag in secret["Tags"]}
            own = {"mlflow-migrations": "team"} if kind == "Migrator" else {}
            assert tags == {"mlflow-stack": "team", "mlflow-project": name, **own}


def test_every_role_has_the_boundary() -> None:
    """Where one is given: an operator may create no other role. The backend hands it to the projects."""
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/boundary"
    given = {"PermissionsBoundary": boundary}
    backend, without = deploy("backend", **given), deploy("backend")
    assert backend.outputs["PermissionsBoundary"] == boundary
    assert "PermissionsBoundary" not in without.outputs
    for stack, expected in (
        (backend, boundary),
        (projects("a-b", **given), boundary),
        (without, None),
        (projects("a-b"), None),
    ):
        roles = [e["Properties"] for e in stack.resources.values() if e["Type"] == "AWS::IAM::Role"]
        assert roles
        assert {role.get("PermissionsBoundary") for role in roles} == {expected}


def test_a_projects_policy() -> None:
    """Its prefix, its server's secret and its server's user; nothing of the migrator's."""
    stack = projects("a-b")
    bucket = "arn:aws:s3:::team-artifacts"
    secret = "<RuntimeSecretaXb.Id>"
    key = BACKEND["KmsKeyArn"]
    parameter = f"arn:aws:ssm:eu-central-1:{ACCOUNT}:parameter/mlflow/team/a-b/key"
    assert stack.properties("PolicyaXb")["PolicyDocument"]["Statement"] == [
        {
            "Sid": "ListOwnArtifacts",
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": bucket,
            "Condition": {"StringLike": {"s3:prefix": "projects/a-b/*"}},
        },
        {
            "Sid": "ReadAndWriteOwnArtifacts",
            "Effect": "Allow",
            "Action": [
                "s3:AbortMultipartUpload",
                "s3:DeleteObject",
                "s3:GetObject",
                "s3:ListMultipartUploadParts",
                "s3:PutObject",
            ],
            "Resource": f"{bucket}/projects/a-b/*",
        },
        {
            "Sid": "DecryptArtifacts",
            "Effect": "Allow",
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": key,
            "Condition": {
                "StringEquals": {
                    "kms:ViaService": "s3.eu-central-1.amazonaws.com",
                    "kms:EncryptionContext:aws:s3:arn": bucket,
                }
            },
        },
        {
            "Sid": "ReadOwnPassword",
            "Effect": "Allow",
            "Action": ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
            "Resource": secret,
        },
        {
            "Sid": "DecryptOwnPassword",
            "Effect": "Allow",
            "Action": "kms:Decrypt",
            "Resource": key,
            "Condition": {
                "StringEquals": {
                    "kms:ViaService": "secretsmanager.eu-central-1.amazonaws.com",
                    "kms:EncryptionContext:SecretARN": secret,
                }
            },
        },
        {
            "Sid": "ReadOwnKey",
            "Effect": "Allow",
            "Action": "ssm:GetParameter",
            "Resource": parameter,
        },
        {
            "Sid": "DecryptOwnKey",
            "Effect": "Allow",
            "Action": "kms:Decrypt",
            "Resource": key,
            "Condition": {
                "StringEquals": {
                    "kms:ViaService": "ssm.eu-central-1.amazonaws.com",
                    "kms:EncryptionContext:PARAMETER_ARN": parameter,
                }
            },
        },
        {
            "Sid": "ConnectAsOwnUser",
            "Effect": "Allow",
            "Action": "rds-db:connect",
            "Resource": f"arn:aws:rds-db:eu-central-1:{ACCOUNT}:dbuser:cluster-ABC/mlflow_rt_a_b",
        },
    ]


@pytest.mark.parametrize("mine", NAMES)
def test_no_policy_reaches_another_project(mine: str) -> None:
    """Not its objects, its listing, its secrets or its database user, whatever the names share."""
    statements = statements_of(projects(*NAMES), f"Policy{project_item(mine)}")
    objects = statements["ReadAndWriteOwnArtifacts"]["Resource"]
    listed = statements["ListOwnArtifacts"]["Condition"]["StringLike"]["s3:prefix"]
    # A prefix is no pattern over keys but the beginning of some, those of demo-eu by demo.
    shortest = listed.removesuffix("*")
    others = [f"projects/{other}" for other in NAMES if other != mine]
    for key in (other + end for other in others for end in ("", "/", "/1/run/model.pkl")):
        assert not fnmatchcase(f"arn:aws:s3:::team-artifacts/{key}", objects)
        assert not key.startswith(shortest)
    assert fnmatchcase(f"arn:aws:s3:::team-artifacts/projects/{mine}/1", objects)
    for broad in ("", "projects", "projects/", f"projects/{mine}"):
        assert not fnmatchcase(broad, listed)
    assert statements["ReadOwnPassword"]["Resource"] == f"<RuntimeSecret{project_item(mine)}.Id>"
    user = statements["ConnectAsOwnUser"]["Resource"].rpartition("/")[2]
    assert user == _names.runtime_user(mine)


def test_with_iam_there_are_no_secrets() -> None:
    """What a project costs is then nothing; the policy names the one user, and no secret."""
    stack = projects("a-b", DatabaseLogin="iam")
    assert sorted(stack.resources) == ["PolicyaXb", "RoleaXb"]
    statements = statements_of(stack, "PolicyaXb")
    assert not {"ReadOwnPassword", "DecryptOwnPassword"} & set(statements)
    assert statements["ConnectAsOwnUser"]["Resource"].endswith(":dbuser:cluster-ABC/mlflow_rt_a_b")
    told = json.loads(stack.outputs["ProjectaXb"])
    assert (told["login"], told["runtime_secret"], told["migrator_secret"]) == ("iam", "", "")


def test_a_move_has_both() -> None:
    """The secrets are there, and the login with IAM is allowed."""
    password, either = (projects("a", DatabaseLogin=login) for login in ("password", "either"))
    assert either.resources == password.resources
    assert {"ReadOwnPassword", "ConnectAsOwnUser"} <= set(statements_of(either, "Policya"))
    assert json.loads(either.outputs["Projecta"])["login"] == "either"


@pytest.mark.parametrize("login", ["iam", "either"])
def test_iam_needs_a_resource_id(login: str) -> None:
    """Of a database that has none, nobody can be told apart."""
    with pytest.raises(Wrong, match="needs the resource ID of the database"):
        projects("a", DatabaseLogin=login, DatabaseResourceId="")


def test_without_a_resource_id_nobody_signs_in_through_iam() -> None:
    """A database of one's own may have no such sign-in."""
    statements = statements_of(projects("a", DatabaseResourceId=""), "Policya")
    assert "ConnectAsOwnUser" not in statements


def test_who_becomes_a_project() -> None:
    """EC2 server hosts, and the account's principals that are allowed to or the named ones."""
    role = projects("a").properties("Rolea")
    assert role["Path"] == "/mlflow/team/"
    assert role["ManagedPolicyArns"] == ["<Policya>"]
    assert "Policies" not in role
    assert principals(role) == [BACKEND["ServerRoleArn"], ROOT]
    named = [f"arn:aws:iam::{ACCOUNT}:role/ml", f"arn:aws:iam::{ACCOUNT}:user/ada"]
    role = projects("a", TrustedPrincipals=",".join(named)).properties("Rolea")
    assert principals(role) == [BACKEND["ServerRoleArn"], named]


def principals(role: dict[str, Any]) -> list[Any]:
    """Return who may become a role."""
    statements = role["AssumeRolePolicyDocument"]["Statement"]
    assert {statement["Action"] for statement in statements} == {"sts:AssumeRole"}
    return [statement["Principal"]["AWS"] for statement in statements]


def test_the_path_is_the_one_that_hosts_may_assume(backend: Deployed) -> None:
    """Both templates write a project's role in the same place."""
    (policy,) = backend.properties("ServerRole")["Policies"]
    pattern = policy["PolicyDocument"]["Statement"][0]["Resource"]
    path = projects("a", BackendStackName=PSEUDO["AWS::StackName"]).properties("Rolea")["Path"]
    assert fnmatchcase(f"arn:aws:iam::{ACCOUNT}:role{path}anything", pattern)


def test_passwords_are_made_by_aws() -> None:
    """Long, of every kind of letter, without those that upset option files and URIs."""
    stack = projects("a")
    for name in ("RuntimeSecreta", "MigratorSecreta"):
        assert stack.resources[name]["DeletionPolicy"] == "Delete"
        secret = stack.properties(name)
        assert "Name" not in secret, "a deleted secret's name stays taken for weeks"
        assert secret["KmsKeyId"] == BACKEND["KmsKeyArn"]
        made = secret["GenerateSecretString"]
        assert made["GenerateStringKey"] == "password"
        assert made["PasswordLength"] == 40
        assert made["RequireEachIncludedType"] is True
        assert set(made["ExcludeCharacters"]) == set("\"'`\\/@:%?#& ")


def test_a_projects_output() -> None:
    """One JSON text with what the next steps need, and no database user."""
    value = projects("a-b").outputs["ProjectaXb"]
    assert json.loads(value) == {
        "name": "a-b",
        "runtime_secret": "<RuntimeSecretaXb.Id>",
        "migrator_secret": "<MigratorSecretaXb.Id>",
        "login": "password",
        "role": "<RoleaXb.Arn>",
        "policy": "<PolicyaXb>",
        "key": "/mlflow/team/a-b/key",
    }


def test_appending_a_project_touches_no_other() -> None:
    """The resources of those before it stay as they were, to the letter."""
    before, after = projects("a", "b"), projects("a", "b", "c")
    assert {key: after.resources[key] for key in before.resources} == before.resources
    assert {key: after.outputs[key] for key in before.outputs} == before.outputs


def test_how_many_projects_fit() -> None:
    """As many as a stack takes, with names as long as can be, are within a stack's limits after processing."""
    items = [project_item(f"{'x' * 37}{number}") for number in range(100, 100 + ROOM.projects)]
    assert len(expand(load("projects"), {"Projects": items})["Resources"]) == 4 * ROOM.projects
    assert 4 * ROOM.projects <= RESOURCES
    assert ROOM.projects <= OUTPUTS
    assert processed_bytes(items) < STORED_BYTES
    # A request would hold no more than these.
    assert processed_bytes(items[:14]) > SENT_BYTES


def processed_bytes(items: list[str]) -> int:
    """Return how long the template of the projects is once CloudFormation has processed it."""
    full = expand(load("projects"), {"Projects": items})
    return len(json.dumps(full, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"Projects": "a-b"}, "Projects must be project names with X for each dash"),
        ({"Projects": ""}, "Projects must be project names"),
        ({"Projects": "a,B"}, "Projects must be project names"),
        ({"Projects": "aX"}, "Projects must be project names"),
        ({"Projects": "a", "KmsKeyArn": "alias/x"}, "must be the ARN of a KMS key"),
        ({"Projects": "a", "ServerRoleArn": "server"}, "must be the ARN of a role"),
        ({"Projects": "a", "TrustedPrincipals": "*"}, "must be ARNs of roles or users"),
        ({"Projects": "a", "DatabaseResourceId": "cluster-1/*"}, "must be cluster- or db-"),
        ({"Projects": "a", "BackendStackName": "a/b"}, "must be the name of a stack"),
    ],
)
def test_wrong_projects_get_one_sentence(given: dict[str, str], sentence: str) -> None:
    """A value that would widen a policy never gets into one."""
    with pytest.raises(Wrong, match=re.escape(sentence)):
        deploy("projects", **BACKEND | given)
