# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option file: what is in it, and the URI that names it."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server import (
    aws,
    mysql,
    option_file,
)
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.errors import EntryError
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.option_file import (
    OptionFile,
)

URI = "mysql+pymysql://db.example:3306/demo"
DATABASE = {"user": "mlflow_demo", "secret": "demo-secret", "ca": "-----BEGIN CERTIFICATE-----"}
AWKWARD = "%/@:?#&\"'\\\\ ; =x"


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> list[aws.Secret]:
    """Return the versions of the secret, the last of which is the current one."""
    versions = [aws.Secret("1", AWKWARD)]
    monkeypatch.setattr(option_file, "read_secret", lambda _name, _aws: versions[-1])
    return versions


def test_the_file_is_private_and_follows_the_secret(
    secrets: list[aws.Secret], tmp_path: Path
) -> None:
    """The password is in it as it is, between quotes; a version that is known is not written again."""
    file = OptionFile(DATABASE, {}, tmp_path)
    assert file.refresh() is True
    assert file.path.read_text().splitlines() == [
        "[client]",
        'user = "mlflow_demo"',
        f'password = "{AWKWARD}"',
        f'ssl-ca = "{tmp_path}/ca.pem"',
    ]
    assert (tmp_path / "ca.pem").read_text() == DATABASE["ca"]
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o400
    assert file.refresh() is False
    secrets.append(aws.Secret("2", "next"))
    assert file.refresh() is True
    assert 'password = "next"' in file.path.read_text()


def test_a_user_with_iam_needs_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a secret none is asked for; one that is there is read, and one that is gone is no error."""

    def gone(_name: str, _aws: object) -> aws.Secret:
        raise EntryError("The secret demo-secret cannot be read: it is gone.")

    monkeypatch.setattr(option_file, "read_secret", gone)
    lines = ["[client]", 'user = "mlflow_demo"', f'ssl-ca = "{tmp_path}/ca.pem"']
    file = OptionFile({**DATABASE, "secret": ""}, {}, tmp_path)
    assert file.refresh() is True
    assert file.path.read_text().splitlines() == lines
    assert file.refresh() is False
    file = OptionFile({**DATABASE, "login": "iam"}, {}, tmp_path)
    assert file.refresh() is True
    assert file.path.read_text().splitlines() == lines
    assert "it is gone. The server logs in with IAM." in capsys.readouterr().err
    with pytest.raises(EntryError, match="it is gone"):
        OptionFile(DATABASE, {}, tmp_path).refresh()
    monkeypatch.setattr(option_file, "read_secret", lambda _name, _aws: aws.Secret("1", "now"))
    assert file.refresh() is True
    assert 'password = "now"' in file.path.read_text()


def test_the_uri_names_the_file_and_no_password(
    secrets: list[aws.Secret], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server's has limits, a migration's has none; both verify the database."""
    monkeypatch.setenv(mysql.TIMEOUT, "0.2")
    file = OptionFile(DATABASE, {}, tmp_path)
    file.refresh()
    bounded, unbounded = (parse_qs(urlsplit(file.uri(URI, bounded=b)).query) for b in (True, False))
    assert bounded["read_default_file"] == unbounded["read_default_file"] == [str(file.path)]
    assert bounded["ssl_ca"] == unbounded["ssl_ca"] == [f"{tmp_path}/ca.pem"]
    # The driver takes 0 for no limit.
    assert bounded["read_timeout"] == bounded["write_timeout"] == ["1"]
    assert bounded["init_command"] == ["SET SESSION wait_timeout=20"]
    assert not {"read_timeout", "write_timeout", "init_command"} & set(unbounded)
    assert secrets[0].password not in file.uri(URI)


@pytest.mark.parametrize(
    ("uri", "fits"),
    [
        (URI, True),
        ("mysql+pymysql://db.example/demo", True),
        ("mysql+pymysql://u:p@db.example/demo", False),
        ("mysql+pymysql://db.example/demo?charset=utf8", False),
        ("mysql://db.example/demo", False),
        ("mysql+pymysql:///demo", False),
        ("sqlite:///mlflow.db", False),
        ("", False),
    ],
)
def test_a_uri_without_user_and_options(uri: str, fits: bool) -> None:
    """Both come from the option file."""
    if fits:
        option_file.require_plain(uri)
        return
    with pytest.raises(
        EntryError, match=r"mysql\+pymysql://HOST:PORT/SCHEMA; run the servers playbook\.$"
    ):
        option_file.require_plain(uri)


def test_without_a_ca_the_bundle_of_rds_applies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is beside the program, or a sentence says that it is missing."""
    bundle = tmp_path / "rds-ca.pem"
    monkeypatch.setattr(option_file, "AUTHORITIES", bundle)
    with pytest.raises(
        EntryError, match=f"There is no CA bundle at {bundle}; set the database's CA."
    ):
        OptionFile({**DATABASE, "ca": ""}, {}, tmp_path)
    bundle.touch()
    OptionFile({**DATABASE, "ca": ""}, {}, tmp_path)
