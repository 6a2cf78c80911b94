# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a front door, its tokens, and what both sides of it have to agree on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._door import folder, tokens
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._door import settings as plugin
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._projects import members
from ansible_collections.mlops.mlflow_aws.programs.door.mlflow_aws_door import settings as program
from ansible_collections.mlops.mlflow_aws.programs.door.mlflow_aws_door import store

SECRET = "s" * 64
DAY = 86400


def options(**changes: Any) -> dict[str, Any]:
    """Return options of mlflow_door, as the module reads them."""
    project = {"name": "churn", "upstream": "127.0.0.1:5001", "owner": "", "description": ""}
    return {
        "host": "mlflow.example.com",
        "listen": [":443"],
        "redirect": [":80"],
        "port": 443,
        "tls": {"kind": "internal", "certificate": None, "key": None, "email": "", "directory": ""},
        "oidc": None,
        "projects": [{**project, "members": {"ada": "edit", "*": "read"}}],
        "members": [{"name": "ada", "kind": "person", "email": "ada@example.com"}],
        "session": 600,
        "hold": 60,
        **changes,
    }


def test_the_program_reads_what_the_module_writes(tmp_path: Path) -> None:
    """All of it."""
    path = tmp_path / folder.SETTINGS
    path.write_text(json.dumps(plugin.settings(options(), SECRET)))
    found = program.read(path)
    assert found.projects["churn"].members == {"ada": "edit", "*": "read"}
    assert found.members["ada"].email == "ada@example.com"
    assert (found.secret, found.oidc, found.origin) == (SECRET, None, "https://mlflow.example.com")


def test_other_settings_have_another_name() -> None:
    """By which the module knows whether they are in use."""
    names = {
        plugin.settings(given, secret)["configuration"]
        for given, secret in (
            (options(), SECRET),
            (options(), "t" * 64),
            (options(hold=1), SECRET),
            (options(members=[*options()["members"], {"name": "ci"}]), SECRET),
        )
    }
    assert len(names) == 4


def test_no_secret_is_shown() -> None:
    """Neither the door's nor the client's."""
    oidc = {"issuer": "https://i", "client_id": "c", "client_secret": "hidden", "name": "n"}
    shown = json.dumps(plugin.redacted(plugin.settings(options(oidc=oidc), SECRET)))
    assert SECRET not in shown
    assert "hidden" not in shown


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"host": ""}, "set mlflow_door_host"),
        ({"tls": {"kind": "files", "certificate": "/c"}}, "name both files"),
        ({"members": []}, "the member ada is not in mlflow_members"),
        ({"members": "ada"}, "mlflow_members is a string"),
        ({"members": [{"name": "Ada"}]}, "write lower-case letters"),
        ({"members": [{"name": "ada", "mail": "x"}]}, "did you mean 'email'?"),
        ({"members": [{"name": "ada", "kind": "robot"}]}, "choose from person, service"),
        ({"members": [{"name": "ada", "email": "ada"}]}, "write an email address"),
        ({"members": [{"name": "ada"}, {"name": "ada"}]}, "of mlflow_members[0]; keep one of them"),
        (
            {
                "members": [
                    {"name": "ada", "email": "A@example.com"},
                    {"name": "bob", "email": "a@example.com"},
                ]
            },
            "key 'email' has the value",
        ),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], sentence: str) -> None:
    """In one sentence."""
    with pytest.raises(MlflowError) as caught:
        plugin.settings(options(**changes), SECRET)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"ada": "admin"}, "the role of ada is 'admin'; choose from read, edit, manage."),
        ({"Ada": "read"}, "write lower-case letters"),
        (["ada"], "is a list; write a role for each name"),
    ],
)
def test_roles_that_are_none(value: Any, sentence: str) -> None:
    """Each is named."""
    with pytest.raises(MlflowError) as caught:
        members.roles("mlflow_projects[0] 'demo': key 'members'", value)
    assert sentence in str(caught.value)


def test_a_token_is_made_once_and_known_to_the_program(tmp_path: Path) -> None:
    """Until it expires, is renewed or revoked; the file holds no token."""
    place = folder.Folder(tmp_path)
    place.path.mkdir()
    first = tokens.created({}, "ci", "a", 10, 1000, anew=False)
    place.write(folder.TOKENS, first.tokens)
    known = store.Store(place.path)
    assert first.token not in (place.path / folder.TOKENS).read_text()
    assert known.member_of(first.token, 1001) == "ci"
    assert known.member_of(first.token, 1000 + 10 * DAY) == ""
    assert not tokens.created(first.tokens, "ci", "a", 10, 1001, anew=False).changed
    late = tokens.created(first.tokens, "ci", "a", 0, 1000 + 11 * DAY, anew=False)
    second = tokens.created(first.tokens, "ci", "a", 0, 1001, anew=True)
    for made in (late, second):
        assert made.changed
        assert len(made.tokens) == 1
        assert made.token != first.token
    other = tokens.created(second.tokens, "ci", "b", 0, 1001, anew=False)
    assert len(other.tokens) == 2
    assert len(tokens.revoked(other.tokens, "ci", "b").tokens) == 1
    assert tokens.revoked(other.tokens, "ci", "").tokens == {}
    assert not tokens.revoked(other.tokens, "ada", "").changed


def test_a_password_is_known_to_the_program(tmp_path: Path) -> None:
    """By the same hash."""
    place = folder.Folder(tmp_path)
    place.path.mkdir()
    kept = folder.password("a long password")
    place.write(folder.PASSWORDS, {"ada": kept})
    assert folder.is_password(kept, "a long password")
    assert not folder.is_password(kept, "another password")
    assert store.Store(place.path).is_password("ada", "a long password")


def test_keys_are_made_once(tmp_path: Path) -> None:
    """Another one would end all sessions, and restart all servers."""
    place = folder.Folder(tmp_path)
    assert place.secret() == ""
    place.make_keys()
    before = {path.name: path.read_text() for path in place.path.iterdir()}
    assert {len(text) for text in before.values()} == {64}
    place.make_keys()
    assert {path.name: path.read_text() for path in place.path.iterdir()} == before


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    """And not taken for an empty one."""
    place = folder.Folder(tmp_path)
    place.path.mkdir()
    (place.path / folder.TOKENS).write_text("{")
    with pytest.raises(MlflowError, match=r"tokens.json is no JSON"):
        place.read(folder.TOKENS)
