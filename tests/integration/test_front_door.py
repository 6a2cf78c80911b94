# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The front door as an inventory asks for it: by the playbook servers, with tokens and passwords by modules."""

from __future__ import annotations

import http.client
import json
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Modules, ask
from ansible_collections.mlops.mlflow_aws.tests.support import (
    CHECKOUT,
    Done,
    clean_environment,
    run,
)

# The first run installs the door.
pytestmark = pytest.mark.timeout(900)

PLAYBOOK_SECONDS = 400
SEARCH = "/api/2.0/mlflow/experiments/search?max_results=5"
CREATE = "/api/2.0/mlflow/experiments/create"
PASSWORD = "a long password"


@dataclass
class Team:
    """Somebody with a host whose servers are behind a door."""

    folder: Path
    state: Path
    modules: Modules
    host: dict[str, Any]

    def play(self, playbook: str, check: bool = True, **changes: Any) -> Done:
        """Run a playbook, with other variables of the host for once."""
        inventory = {"mlflow_servers": {"hosts": {"here": {**self.host, **changes}}}}
        (self.folder / "hosts.yml").write_text(json.dumps(inventory))
        program = Path(sys.executable).with_name("ansible-playbook")
        return run(
            [program, "-i", self.folder / "hosts.yml", CHECKOUT / "playbooks" / f"{playbook}.yml"],
            cwd=self.folder,
            env=clean_environment(self.folder / "home"),
            timeout=PLAYBOOK_SECONDS,
            check=check,
        )

    @property
    def authority(self) -> Path:
        """Return the certificate of the door's CA."""
        return self.state / "door" / "caddy" / "pki" / "authorities" / "local" / "root.crt"

    def token(self, member: str, **options: Any) -> dict[str, Any]:
        """Run the module mlflow_token."""
        given = {"state_dir": str(self.state), "member": member, **options}
        return self.modules.call("mlflow_token", given)

    def ask(
        self, path: str, token: str = "", body: object = None, **headers: str
    ) -> http.client.HTTPResponse:
        """Send a request through the door; a body that is text is a form."""
        context = ssl.create_default_context(cafile=str(self.authority))
        port = self.host["mlflow_door_port"]
        with closing(
            http.client.HTTPSConnection("localhost", port, context=context, timeout=60)
        ) as used:
            sent = {"Authorization": f"Bearer {token}"} if token else {}
            text = body if body is None or isinstance(body, str) else json.dumps(body)
            kind = "x-www-form-urlencoded" if isinstance(body, str) else "json"
            used.request(
                "POST" if text else "GET",
                path,
                text,
                {"Content-Type": f"application/{kind}", **sent, **headers},
            )
            answer = used.getresponse()
            answer.text = answer.read().decode()  # type: ignore[attr-defined]
            return answer


@pytest.fixture(scope="module")
def team(
    runtime: Mapping[str, Any],
    modules: Modules,
    free_ports: Callable[[int], list[int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Team]:
    """Run two projects behind a door, and end them."""
    folder = tmp_path_factory.mktemp("team")
    (folder / "home").mkdir()
    state = folder / "s"
    state.mkdir()
    (state / "runtimes").symlink_to(Path(runtime["python"]).parents[4] / "runtimes")
    first, _second, door = free_ports(3)
    host = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "mlflow_backend": "local",
        "mlflow_state_dir": str(state),
        "mlflow_base_port": first,
        "mlflow_door": "caddy",
        "mlflow_door_host": "localhost",
        "mlflow_door_port": door,
        "mlflow_door_listen": [f"127.0.0.1:{door}"],
        "mlflow_door_redirect": [],
        "mlflow_members": [{"name": "ada"}, {"name": "ci", "kind": "service"}],
        "mlflow_projects": [
            {"name": "demo", "owner": "Ada & Co", "members": {"ada": "manage", "*": "read"}},
            {"name": "churn", "members": {"ci": "edit"}},
        ],
    }
    made = Team(folder, state, modules, host)
    made.play("deploy")
    yield made
    # It is everybody's.
    (state / "runtimes").unlink()
    given = {"state_dir": str(state), "confirm": state.name, "runtime": "process"}
    removed = modules.call("mlflow_host_removal", given)["removed"]
    # A host that is cleared has no door any more.
    assert "front door" in [one["kind"] for one in removed]
    assert not state.exists()


def test_a_second_run_changes_nothing(team: Team) -> None:
    """Neither servers nor door."""
    assert "changed=0 " in team.play("servers").output


def test_each_has_its_role(team: Team) -> None:
    """A token opens what the inventory says, from the next request after it was made until it is revoked."""
    made = team.token("ci", name="pipeline")
    token = made["token"]
    assert made["changed"] is True
    assert team.token("ci", name="pipeline")["changed"] is False
    assert token not in (team.state / "door" / "tokens.json").read_text()
    for path, body, status in (
        (f"/churn{SEARCH}", None, 200),
        (f"/churn{CREATE}", {"name": "by the door"}, 200),
        (f"/demo{SEARCH}", None, 200),
        (f"/demo{CREATE}", {"name": "by the door"}, 403),
        (f"/other{SEARCH}", None, 403),
    ):
        assert team.ask(path, token, body).status == status, path
    assert team.ask(f"/churn{SEARCH}").status == 401
    assert team.token("ci", state="absent")["changed"] is True
    assert team.ask(f"/churn{SEARCH}", token).status == 401


def test_a_token_goes_into_a_file(team: Team, tmp_path: Path) -> None:
    """For one user only; a file that is lost gets another token."""
    path = tmp_path / "token"
    for number in range(2):
        made = team.token("ci", name="file", dest=str(path))
        assert (made["changed"], made["token"]) == (True, ""), number
        assert path.stat().st_mode & 0o777 == 0o600
        assert team.ask(f"/churn{SEARCH}", path.read_text()).status == 200
        assert team.token("ci", name="file", dest=str(path))["changed"] is False
        path.unlink()
    assert len(team.token("ci", name="file", state="absent")["tokens"]) == 0


def test_people_sign_in_by_a_password(team: Team) -> None:
    """Their page has what they may see."""
    given = {"state_dir": str(team.state), "name": "ada", "password": PASSWORD}
    assert team.modules.call("mlflow_member", given)["changed"] is True
    assert team.modules.call("mlflow_member", given)["changed"] is False
    origin = f"https://localhost:{team.host['mlflow_door_port']}"
    form = urlencode({"name": "ada", "password": PASSWORD, "next": "/"})
    answer = team.ask("/-/login", body=form, Origin=origin)
    assert answer.status == 303
    cookie = str(answer.getheader("Set-Cookie")).partition(";")[0]
    page = team.ask("/", Cookie=cookie).text  # type: ignore[attr-defined]
    assert "Ada &amp; Co" in page
    assert "churn" not in page


def test_servers_answer_the_door_alone(team: Team) -> None:
    """Anyone who reaches a port is refused; the env file leads through the door."""
    url = f"http://127.0.0.1:{team.host['mlflow_base_port']}"
    for path in (SEARCH, "/version", "/"):
        status, text = ask(url, path)
        assert status == 401, path
        assert "answers its front door alone" in text
    assert ask(url, "/health")[0] == 200
    lines = (team.state / "env" / "mlflow-demo.env").read_text().splitlines()
    assert (
        f"export MLFLOW_TRACKING_URI=https://localhost:{team.host['mlflow_door_port']}/demo"
        in lines
    )
    assert f"export MLFLOW_TRACKING_SERVER_CERT_PATH={team.authority}" in lines


def test_members_change_without_a_restart(team: Team) -> None:
    """A member who left is refused, and no server is started again."""
    token = team.token("ci", name="left")["token"]
    assert team.ask(f"/churn{SEARCH}", token).status == 200
    projects = [{"name": "demo"}, {"name": "churn"}]
    done = team.play("servers", mlflow_members=[{"name": "ada"}], mlflow_projects=projects)
    assert "changed=1 " in done.output
    assert team.ask(f"/churn{SEARCH}", token).status == 401
    team.play("servers")
    assert team.ask(f"/churn{SEARCH}", token).status == 200


@pytest.mark.thorough("Unit tests read each of these every time.")
def test_bad_input_is_refused_first(team: Team) -> None:
    """One sentence, before anything is touched."""
    for changes, sentence in (
        ({"mlflow_door_host": ""}, "The door needs a name under which clients reach it"),
        ({"mlflow_members": [{"name": "Ada"}]}, "write lower-case letters, digits, dots"),
        ({"mlflow_members": []}, "is not in mlflow_members"),
        ({"mlflow_door_tls": {"kind": "files"}}, "name both files by certificate and key"),
        (
            {"mlflow_projects": [{"name": "demo", "members": {"ada": "admin"}}]},
            "the role of ada is 'admin'; choose from read, edit, manage.",
        ),
    ):
        before = (team.state / "door" / "settings.json").read_bytes()
        done = team.play("servers", check=False, **changes)
        assert done.code != 0
        assert sentence in " ".join(done.output.split())
        assert (team.state / "door" / "settings.json").read_bytes() == before


@pytest.mark.thorough(
    "Each way is that of a door that comes, and of servers that change their settings."
)
def test_the_door_goes_and_comes_back(team: Team) -> None:
    """Servers answer everybody of the host again, and tokens are kept for the next door."""
    token = team.token("ci", name="kept")["token"]
    team.play("servers", mlflow_door="none")
    url = f"http://127.0.0.1:{team.host['mlflow_base_port']}"
    assert ask(url, SEARCH)[0] == 200
    with pytest.raises(OSError, match="refused"):
        team.ask(f"/churn{SEARCH}", token)
    text = (team.state / "env" / "mlflow-demo.env").read_text()
    assert text == f"export MLFLOW_TRACKING_URI={url}\n"
    assert "changed=0 " in team.play("servers", mlflow_door="none").output
    team.play("servers")
    assert team.ask(f"/churn{SEARCH}", token).status == 200
