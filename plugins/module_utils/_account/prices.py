# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: AWS's list prices, for the preflight and for scripts/prices.

On demand, in US dollars, of us-east-1, without taxes, free tiers and discounts. Most other regions
cost up to 30 % more. Check the sources before you change a figure, and run scripts/prices --docs.
"""

from __future__ import annotations

import typing as t

_SITE = "https://aws.amazon.com"


class Price(t.NamedTuple):
    """What one unit costs, and the page that says so."""

    dollars: float
    unit: str
    source: str


class PriceList(t.NamedTuple):
    """Prices by name; what an idle resource of each type is billed for in a month; the rest.

    resources: amounts by price, by resource type; elsewhere: amounts of what no template creates.
    """

    region: str
    read: str
    prices: t.Mapping[str, Price]
    resources: t.Mapping[str, t.Mapping[str, float]]
    elsewhere: t.Mapping[str, float]


_PRICES = {
    "secret": Price(0.40, "secret and month", f"{_SITE}/secrets-manager/pricing/"),
    # A yearly rotation adds the same once more, after the first and after the second year.
    "key": Price(1.00, "KMS key and month", f"{_SITE}/kms/pricing/"),
    "alarm": Price(0.10, "alarm and month", f"{_SITE}/cloudwatch/pricing/"),
    "acu_hour": Price(0.12, "Aurora capacity unit and hour", f"{_SITE}/rds/aurora/pricing/"),
    "database_gb": Price(0.10, "GB of the database and month", f"{_SITE}/rds/aurora/pricing/"),
    "backup_gb": Price(0.021, "GB of backups and month", f"{_SITE}/rds/aurora/pricing/"),
    "object_gb": Price(0.023, "GB of artifacts and month", f"{_SITE}/s3/pricing/"),
    "image_gb": Price(0.10, "GB of images and month", f"{_SITE}/ecr/pricing/"),
    "disk_gb": Price(0.08, "GB of disk and month", f"{_SITE}/ebs/pricing/"),
    "address_hour": Price(0.005, "public IPv4 address and hour", f"{_SITE}/vpc/pricing/"),
    "t3_medium_hour": Price(0.0416, "t3.medium and hour", f"{_SITE}/ec2/pricing/on-demand/"),
    "t4g_nano_hour": Price(0.0042, "t4g.nano and hour", f"{_SITE}/ec2/pricing/on-demand/"),
}

# {} is free. What runs only at times, as the relay, or grows with its use, is not part of it.
_RESOURCES: dict[str, dict[str, float]] = {
    "AWS::AutoScaling::AutoScalingGroup": {},
    # The first two actions of all budgets are free, and these have none.
    "AWS::Budgets::Budget": {},
    "AWS::CloudWatch::Alarm": {"alarm": 1},
    "AWS::EC2::InternetGateway": {},
    "AWS::EC2::LaunchTemplate": {},
    "AWS::EC2::Route": {},
    "AWS::EC2::RouteTable": {},
    "AWS::EC2::SecurityGroup": {},
    "AWS::EC2::Subnet": {},
    "AWS::EC2::SubnetRouteTableAssociation": {},
    "AWS::EC2::VPC": {},
    # The one for S3 is a gateway; an interface endpoint would cost.
    "AWS::EC2::VPCEndpoint": {},
    "AWS::EC2::VPCGatewayAttachment": {},
    "AWS::IAM::InstanceProfile": {},
    "AWS::IAM::ManagedPolicy": {},
    "AWS::IAM::Policy": {},
    "AWS::IAM::Role": {},
    "AWS::KMS::Alias": {},
    "AWS::KMS::Key": {"key": 1},
    # The secret of its administrator, a small database, and a week of backups of it.
    "AWS::RDS::DBCluster": {"secret": 1, "database_gb": 1, "backup_gb": 2},
    "AWS::RDS::DBClusterParameterGroup": {},
    # Paused.
    "AWS::RDS::DBInstance": {},
    "AWS::RDS::DBSubnetGroup": {},
    "AWS::S3::Bucket": {"object_gb": 1},
    "AWS::S3::BucketPolicy": {},
    "AWS::SecretsManager::Secret": {"secret": 1},
    "AWS::SNS::Topic": {},
    "AWS::SSM::Document": {},
}

LIST = PriceList(
    region="us-east-1",
    read="November 2026",
    prices=_PRICES,
    resources=_RESOURCES,
    # The compressed image. The projects' keys in Parameter Store are free.
    elsewhere={"image_gb": 0.3},
)
