# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image's modules and roles against a real registry, ministack's, and a real Docker engine."""

from __future__ import annotations

import base64
import json
import re
import secrets
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.mlops.mlflow_aws.tests.parts import (
    base_images,
    buildx_program,
    docker_engine,
    emulator,
)
from ansible_collections.mlops.mlflow_aws.tests.parts.docker_engine import Engine, Problem
from ansible_collections.mlops.mlflow_aws.tests.parts.emulator import Ministack, ministack
from ansible_collections.mlops.mlflow_aws.tests.parts.host import Modules, await_
from ansible_collections.mlops.mlflow_aws.tests.parts.registry import Gauge, registry
from ansible_collections.mlops.mlflow_aws.tests.support import (
    Done,
    clean_environment,
    run,
    short_folder,
)
from ansible_collections.mlops.mlflow_aws.tests.unit.cloudformation._deployed import ACCOUNT, deploy
from botocore.exceptions import ClientError

pytestmark = pytest.mark.timeout(400)

PLAYBOOK = Path(sys.prefix) / "bin" / "ansible-playbook"
DESCRIPTION = {"version": "1.20.3", "head": "b", "revisions": ["a", "b"]}
# Needs no base image; MARK makes it an image of one test alone.
DOCKERFILE = "FROM scratch\nARG BASE_IMAGE\nCOPY mlflow.json /\nLABEL test=MARK\n"
# The password that ministack gives out, as it is and as Docker's configuration holds it.
TOKENS = ("ministack-auth-token", base64.b64encode(b"AWS:ministack-auth-token").decode())


@pytest.fixture(scope="module")
def aws(
    free_ports: Callable[[int], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ministack]:
    """Return a ministack that enforces IAM."""
    with ministack(free_ports(1)[0], tmp_path_factory.mktemp("aws"), auth=True) as server:
        yield server


@dataclass
class Place:
    """A repository's name of its own, a folder to build, hosts, and the registry."""

    modules: Modules
    aws: Ministack
    folder: Path
    name: str

    @property
    def registry(self) -> str:
        """Return the host under which Docker finds the registry."""
        return self.aws.url.rpartition("/")[2]

    @property
    def context(self) -> Path:
        """Return the folder that the image is built from."""
        return self.folder / "docker"

    def make_repository(self) -> None:
        """Make it as the role does."""
        self.aws.client("ecr").create_repository(
            repositoryName=self.name, imageTagMutability="IMMUTABLE"
        )

    def options(self, **more: Any) -> dict[str, Any]:
        """Return the options of mlflow_image_info and mlflow_image."""
        return {
            "path": str(self.context),
            "repository": self.name,
            "registry": self.registry,
            **self.aws.options(),
            **more,
        }

    def call(self, module: str, options: dict[str, Any], **how: Any) -> dict[str, Any]:
        """Run a module on the control node, which must succeed."""
        how = {"python": sys.executable, **self.aws.environment(), **how}
        return self.modules.call(module, options, **how)

    def info(self, **more: Any) -> dict[str, Any]:
        """Run mlflow_image_info, which must succeed; return the image."""
        image: dict[str, Any] = self.call("mlflow_image_info", self.options(**more))["image"]
        return image

    def images(self) -> list[dict[str, Any]]:
        """Return what the repository holds, as AWS tells it."""
        answer = self.aws.client("ecr").describe_images(repositoryName=self.name)
        return list(answer["imageDetails"])


@pytest.fixture
def place(modules: Modules, aws: Ministack, tmp_path: Path) -> Place:
    """Return a place where nothing was made yet."""
    made = Place(modules, aws, tmp_path, f"mlflow-test-{secrets.token_hex(6)}")
    made.context.mkdir()
    (made.context / "mlflow.json").write_text(json.dumps(DESCRIPTION))
    (made.context / "Dockerfile").write_text(DOCKERFILE.replace("MARK", made.name))
    return made


def test_an_image_is_looked_up_before_there_is_a_repository(place: Place) -> None:
    """The tag is known all the same, as a first check mode run needs it."""
    image = place.info()
    assert re.fullmatch(r"1\.20\.3-[0-9a-f]{12}", image["tag"])
    assert (image["exists"], image["digest"]) == (False, "")
    assert image["reference"] == f"{place.registry}/{place.name}:{image['tag']}"
    assert {key: image[key] for key in DESCRIPTION} == DESCRIPTION
    assert place.info(registry="")["registry"] == ""
    # As it comes from the command line.
    several = ["linux/amd64", "linux/arm64"]
    tags = {place.info(platforms=form)["tag"] for form in (several, ",".join(several))}
    assert len(tags - {image["tag"]}) == 1


def test_an_empty_repository_holds_no_image(place: Place) -> None:
    """Its address is ECR's own, if no other is given."""
    place.make_repository()
    image = place.info(registry="")
    assert not image["exists"]
    assert image["registry"] == "000000000000.dkr.ecr.eu-central-1.amazonaws.com"
    assert image["address"] == f"{image['registry']}/{place.name}"


def test_an_image_is_named_by_its_digest(place: Place) -> None:
    """Once it is there, under its tag."""
    place.make_repository()
    put = place.aws.client("ecr").put_image(
        repositoryName=place.name,
        imageTag=place.info()["tag"],
        imageManifest='{"schemaVersion": 2}',
    )
    digest = put["image"]["imageId"]["imageDigest"]
    image = place.info()
    assert (image["exists"], image["digest"]) == (True, digest)
    assert image["reference"] == f"{place.registry}/{place.name}@{digest}"
    (place.context / "Dockerfile").write_text("FROM scratch\n")
    assert not place.info()["exists"]


def test_a_token_is_given_for_the_registry(place: Place) -> None:
    """In check mode, too, as nothing changes."""
    for check in (True, False):
        token = place.call("mlflow_ecr_token", place.aws.options(), check=check)
        assert (token["changed"], token["username"], token["password"]) == (False, "AWS", TOKENS[0])
        assert token["registry"]
        assert datetime.fromisoformat(token["expires"]) > datetime.now(UTC)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"path": "/nowhere"}, "does not say which MLflow the image holds"),
        ({"platforms": ["amd64"]}, "write platforms like linux/amd64"),
        # The emulator knows every region.
        ({"region": "us-nowhere-9"}, "'us-nowhere-9' is not an AWS region; did you mean us-"),
        ({"endpoint_url": "http://127.0.0.1:9"}, "http://127.0.0.1:9"),
    ],
)
def test_what_cannot_be_looked_up_is_told_in_one_sentence(
    place: Place, change: dict[str, Any], sentence: str
) -> None:
    """And says what to do."""
    how: dict[str, Any] = {"python": sys.executable, **place.aws.environment()}
    for module in ("mlflow_image_info", "mlflow_image"):
        assert sentence in place.modules.refuse(module, place.options(**change), **how)


def test_the_classic_builder_refuses_several_platforms(place: Place) -> None:
    """Before anything is looked up or built."""
    how: dict[str, Any] = {"python": sys.executable, **place.aws.environment()}
    options = place.options(platforms=["linux/amd64", "linux/arm64"], builder="classic")
    told = place.modules.refuse("mlflow_image", options, **how)
    assert "The classic builder builds one platform" in told


def test_a_denied_action_is_named(place: Place) -> None:
    """For the look and for the token."""
    place.make_repository()
    user = place.aws.user(place.name, "ecr:DescribeRepositories")
    how: dict[str, Any] = {"python": sys.executable, **place.aws.environment(*user)}
    assert "ecr:DescribeImages" in place.modules.refuse("mlflow_image_info", place.options(), **how)
    told = place.modules.refuse("mlflow_ecr_token", place.aws.options(), **how)
    assert "ecr:GetAuthorizationToken" in told


def test_credentials_that_are_missing_are_asked_for(place: Place) -> None:
    """Before anything else is tried."""
    told = place.modules.refuse(
        "mlflow_image_info",
        place.options(),
        python=sys.executable,
        AWS_EC2_METADATA_DISABLED="true",
    )
    assert "no AWS credentials were found" in told


class Play:
    """Plays of the roles on two hosts, which are this machine."""

    def __init__(self, place: Place, engine: Engine) -> None:
        """Write the inventory."""
        self.place = place
        self.engine = engine
        home = place.folder / "home"
        home.mkdir()
        self.temporary = place.folder / "tmp"
        self.temporary.mkdir()
        self.env = clean_environment(home) | place.aws.environment()
        self.env |= {"TMPDIR": str(self.temporary), "ANSIBLE_NOCOLOR": "1"}
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "mlflow_stack_region": place.aws.options()["region"],
            "mlflow_stack_endpoint_url": place.aws.url,
            "mlflow_ecr_name": place.name,
            "mlflow_ecr_registry": place.registry,
            "mlflow_image_path": str(place.context),
            "mlflow_image_builder": "classic",
            "mlflow_image_docker_host": engine.host,
            "mlflow_server_docker_host": engine.host,
            "mlflow_image_timeout": 120,
        }
        inventory = {"all": {"hosts": {"one": {}, "two": {}}, "vars": variables}}
        (place.folder / "hosts.yml").write_text(yaml.safe_dump(inventory))

    def command(self, *roles: str, **variables: Any) -> list[str | Path]:
        """Return the command that runs roles, each `NAME` or `NAME:ENTRY`."""
        tasks = []
        for role in roles:
            name, _colon, entry = role.partition(":")
            named = {"name": f"mlops.mlflow_aws.{name}", "tasks_from": entry or "main"}
            tasks.append({"name": role, "ansible.builtin.import_role": named})
        play = {"name": "Test", "hosts": "all", "gather_facts": False, "tasks": tasks}
        path = self.place.folder / f"{'-'.join(roles).replace(':', '_')}.yml"
        path.write_text(yaml.safe_dump([play], sort_keys=False))
        extra = ["-e", json.dumps(variables)]
        return [PLAYBOOK, "-i", self.place.folder / "hosts.yml", path, *extra]

    def __call__(self, *roles: str, options: tuple[str, ...] = (), **variables: Any) -> str:
        """Run roles, which must succeed, and return the output."""
        return self.run(*roles, options=options, **variables).output

    def run(
        self, *roles: str, options: tuple[str, ...] = (), check: bool = True, **variables: Any
    ) -> Done:
        """Run roles and return how it ended; it never leaves a token behind."""
        command = [*self.command(*roles, **variables), *options]
        done = run(command, cwd=self.place.folder, env=self.env, timeout=180, check=check)
        assert list(self.temporary.rglob("mlflow_image.*")) == []
        assert not any(token in done.output for token in TOKENS)
        return done

    def refuse(self, *roles: str, **variables: Any) -> str:
        """Run roles, which must fail, and return the sentence."""
        done = self.run(*roles, check=False, **variables)
        assert done.code != 0
        sentence: str = re.findall(r'"msg": "(.*?)"[,}]', done.output)[-1]
        assert "\\n" not in sentence
        return sentence


@pytest.fixture
def play(place: Place, engine: Engine) -> Iterator[Play]:
    """Return what plays roles; the images that they made are removed afterwards."""
    yield Play(place, engine)
    names = engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--no-trunc")
    ours = [name for name in names.split() if place.name in name and "<none>" not in name]
    digests = engine.docker("image", "ls", "--quiet", "--filter", f"label=test={place.name}")
    for image in [*ours, *sorted(set(digests.split()))]:
        engine.docker("image", "rm", "--force", image, check=False)


def changes(output: str) -> list[int]:
    """Return the number of changes on each host."""
    return [int(number) for number in re.findall(r"changed=(\d+)", output)]


@pytest.mark.thorough("The twin builds, pushes and pulls an image, and finds it again, every time.")
def test_the_image_is_built_pushed_and_pulled_once(play: Play) -> None:
    """From an empty account to a host that has it; check mode first, and nothing the second time."""
    place, roles = play.place, ("mlflow_ecr", "mlflow_image")
    foretold = play(*roles, options=("--check",))
    assert changes(foretold) == [2, 0]
    assert "would be built by classic and pushed" in play(*roles, options=("--check", "-v"))
    with pytest.raises(ClientError, match="RepositoryNotFoundException"):
        place.images()

    assert changes(play(*roles, options=("-vvv",))) == [2, 0]
    image = place.info()
    assert image["exists"]
    assert [found["imageTags"] for found in place.images()] == [[image["tag"]]]
    assert changes(play(*roles, options=("-vvv",))) == [0, 0]
    assert changes(play(*roles, options=("--check",))) == [0, 0]

    # Another engine, that of a host, has neither image nor digest.
    name = f"{image['address']}:{image['tag']}"
    play.engine.docker("image", "rm", "--force", name)
    both = ("mlflow_image:read", "mlflow_image:pull")
    assert sum(changes(play(*both, options=("--check",)))) == 2
    pulled = changes(play(*both, options=("-vvv", "--forks", "1")))
    assert sum(pulled) == 1
    assert play.engine.docker("image", "inspect", image["reference"])
    assert changes(play(*both)) == [0, 0]


@pytest.fixture
def packages(place: Place) -> Path:
    """Return a list of packages that the folder's image takes in, into its last layer, as a file."""
    path = place.folder / "packages.txt"
    path.write_text(f"# Ours\nown-tool==1.5 --hash=sha256:{'1' * 64}\n")
    stage = "FROM scratch AS additional\nCOPY mlflow.json additional-requirements.tx[t] /added/\n"
    dockerfile = DOCKERFILE.replace("MARK", place.name)
    last = "COPY --from=additional /added /added\n"
    (place.context / "Dockerfile").write_text(stage + dockerfile + last)
    (place.context / "requirements.txt").write_text(f"flask==3.1.3 --hash=sha256:{'2' * 64}\n")
    return path


def test_a_users_packages_are_part_of_the_tag(place: Place, packages: Path) -> None:
    """As they are installed: not the file's comments; and without them the tag is what it was."""
    plain = place.info()["tag"]
    assert place.info(requirements="")["tag"] == plain
    tags = [plain, place.info(requirements=str(packages))["tag"]]
    text = packages.read_text()
    packages.write_bytes(text.replace("# Ours", "# Mine").replace("\n", "\r\n").encode())
    assert place.info(requirements=str(packages))["tag"] == tags[1]
    packages.write_text(text.replace("1.5", "1.6"))
    tags.append(place.info(requirements=str(packages))["tag"])
    assert len(set(tags)) == 3
    # Nothing but what is locked: the same image.
    packages.write_text((place.context / "requirements.txt").read_text())
    assert place.info(requirements=str(packages))["tag"] == plain


def test_packages_that_cannot_be_installed_are_refused(place: Place, packages: Path) -> None:
    """Before AWS is asked or anything is built, in check mode, too."""
    how: dict[str, Any] = {"python": sys.executable, **place.aws.environment()}
    options = place.options(requirements=str(packages), endpoint_url="http://127.0.0.1:9")
    for text, sentence in (
        (f"flask==3.0.0 --hash=sha256:{'1' * 64}", "flask 3.0.0 would replace 3.1.3 of the locked set"),
        ("own-tool==1.5", "'own-tool==1.5' has no hash"),
    ):  # fmt: skip
        packages.write_text(text)
        for module, check in (("mlflow_image_info", False), ("mlflow_image", True)):
            assert sentence in place.modules.refuse(module, options, check=check, **how)
    packages.write_text(f"own-tool==1.5 --hash=sha256:{'1' * 64}")
    (place.context / "Dockerfile").write_text("FROM scratch\nCOPY requirements.txt /\n")
    told = place.modules.refuse("mlflow_image", options, **how)
    assert "Dockerfile does not install additional-requirements.txt; let it, as" in told


def test_what_a_users_packages_take_is_shown(play: Play, packages: Path) -> None:
    """Once, after the build, in one line; refused packages leave the account as it was."""
    place = play.place
    wanted: dict[str, Any] = {"mlflow_image_requirements": str(packages)}
    roles = ("mlflow_image:preflight", "mlflow_ecr", "mlflow_image")
    text = packages.read_text()
    packages.write_text("own-tool==1.5")
    assert (
        "'own-tool==1.5' has no hash; lock the file"
        in play.run(*roles, check=False, **wanted).output
    )
    with pytest.raises(ClientError, match="RepositoryNotFoundException"):
        place.images()
    packages.write_text(text)
    line = re.compile(
        r"The image takes ([\d.]+) B[a-z]* in the registry with the packages of mlflow_image_requirements, and "
        r"([\d.]+) B[a-z]* without them \(compressed, as hosts pull it\)\."
    )
    assert not line.search(play(*roles, options=("--check",), **wanted))
    [(with_packages, without)] = line.findall(play(*roles, **wanted))
    assert float(with_packages) > float(without) > 0
    assert not line.search(play(*roles, **wanted))


@pytest.fixture(scope="module")
def buildx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return Docker's buildx plugin."""
    try:
        return buildx_program.provide(tmp_path_factory.mktemp("buildx"))
    except Problem as problem:
        pytest.fail(str(problem), pytrace=False)


def test_buildx_builds_and_pushes_too(play: Play, buildx: Path) -> None:
    """As a plugin of the user's own, which `auto` finds; the image is pushed in one step."""
    plugins = Path(play.env["HOME"]) / ".docker" / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / buildx.name).symlink_to(buildx)
    how: dict[str, Any] = {"mlflow_image_builder": "auto"}
    play.place.make_repository()
    assert changes(play("mlflow_image", options=("-vvv",), **how)) == [1, 0]
    image = play.place.info()
    assert image["exists"]
    assert changes(play("mlflow_image", **how)) == [0, 0]
    pull = ("mlflow_image:read", "mlflow_image:pull")
    play.engine.docker("image", "rm", "--force", f"{image['address']}:{image['tag']}", check=False)
    assert sum(changes(play(*pull, options=("--forks", "1"), **how))) <= 1
    labels = play.engine.docker(
        "image", "inspect", "--format", "{{json .Config.Labels}}", image["reference"]
    )
    assert json.loads(labels) == {"test": play.place.name}
    # Its engine makes images for one platform; the sentence says what to do.
    several = ["linux/amd64", "linux/arm64"]
    told = play.refuse("mlflow_image", mlflow_image_platforms=several, **how)
    assert "create a builder for several platforms (docker buildx create --use)" in told


def test_the_repository_is_brought_to_its_wanted_state(play: Play) -> None:
    """Also one that somebody made by hand; what they encrypted stays so."""
    ecr, name = play.place.aws.client("ecr"), play.place.name
    ecr.create_repository(
        repositoryName=name,
        imageTagMutability="MUTABLE",
        encryptionConfiguration={"encryptionType": "KMS", "kmsKey": "arn:aws:kms:::key/own"},
    )
    foretold = play("mlflow_ecr", options=("--check", "-v"))
    assert changes(foretold) == [1, 0]
    assert f"The ECR repository {name} would be changed." in foretold
    assert changes(play("mlflow_ecr")) == [1, 0]
    (found,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    assert found["imageTagMutability"] == "IMMUTABLE"
    assert found["imageScanningConfiguration"] == {"scanOnPush": True}
    assert found["encryptionConfiguration"]["encryptionType"] == "KMS"
    policy = json.loads(ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"])
    assert [rule["selection"]["tagStatus"] for rule in policy["rules"]] == ["untagged"]
    assert changes(play("mlflow_ecr")) == [0, 0]
    assert changes(play("mlflow_ecr", mlflow_ecr_untagged_days=3)) == [1, 0]


@pytest.mark.thorough("A repository is brought to its wanted state every time.")
def test_a_new_repository_is_encrypted_by_the_key_given(play: Play) -> None:
    """And the second run does not try to change it."""
    key = "arn:aws:kms:eu-central-1:000000000000:key/11111111-2222-3333-4444-555555555555"
    assert changes(play("mlflow_ecr", mlflow_ecr_kms_key=key)) == [1, 0]
    (found,) = play.place.aws.client("ecr").describe_repositories(
        repositoryNames=[play.place.name]
    )["repositories"]
    assert found["encryptionConfiguration"] == {"encryptionType": "KMS", "kmsKey": key}
    assert changes(play("mlflow_ecr", mlflow_ecr_kms_key=key)) == [0, 0]


@pytest.mark.thorough("Two operators at one stack and at one key run every time.")
def test_two_operators_at_once_get_one_image(play: Play) -> None:
    """Whoever is second finds that it is there."""
    play.place.make_repository()
    command = play.command("mlflow_image")
    both = [
        subprocess.Popen(
            command,
            cwd=play.place.folder,
            env=play.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _number in range(2)
    ]
    for process in both:
        output, _errors = process.communicate(timeout=180)
        assert process.returncode == 0, output
    assert len(play.place.images()) == 1
    assert changes(play("mlflow_image")) == [0, 0]


@pytest.mark.parametrize(
    ("variables", "sentences"),
    [
        (
            {"mlflow_image_docker_host": "unix:///nowhere/docker.sock"},
            ["start Docker on the control node, or name its socket"],
        ),
        ({"mlflow_ecr_registry": "127.0.0.1:9"}, ["check that the registry answers"]),
        ({"mlflow_ecr_name": "mlflow-test-other"}, ["run the role mlflow_ecr first"]),
    ],
)
def test_what_cannot_be_pushed_is_told_in_one_sentence(
    play: Play, variables: dict[str, str], sentences: list[str]
) -> None:
    """The image's name, what came back, and what to do."""
    play.place.make_repository()
    told = play.refuse("mlflow_image", **variables)
    assert "could not be built and pushed by classic" in told
    for sentence in sentences:
        assert sentence in told


def test_a_build_that_fails_shows_its_last_lines(play: Play) -> None:
    """And the next run goes on from there."""
    play.place.make_repository()
    path = play.place.context / "Dockerfile"
    good = path.read_text()
    path.write_text(good + "COPY missing-file /\n")
    told = play.refuse("mlflow_image")
    assert "missing-file" in told
    assert "fix what the builder reports" in told
    path.write_text(good)
    assert changes(play("mlflow_image")) == [1, 0]


@pytest.mark.thorough("A build that fails runs every time.")
def test_a_build_that_loses_docker_is_told(play: Play) -> None:
    """The next run can go on from there."""
    play.place.make_repository()
    with short_folder() as folder:
        own = docker_engine.launch(folder)
        try:
            base = base_images.provide(own, base_images.base())
            (play.place.context / "Dockerfile").write_text(f"FROM {base}\nRUN sleep 300\n")
            with ThreadPoolExecutor(1) as pool:
                told = pool.submit(play.refuse, "mlflow_image", mlflow_image_docker_host=own.host)
                await_(lambda: bool(own.docker("ps", "--quiet").strip()), "nothing is built", 90)
                docker_engine.cut_off(own)
                sentence = told.result(120)
        finally:
            docker_engine.stop(own)
    assert (
        "could not be built and pushed by classic (the connection to Docker was lost: " in sentence
    )
    assert sentence.endswith("check that Docker runs and see its log, then rerun.")


@pytest.mark.thorough("Three pushes that fail run every time.")
def test_a_push_to_another_registry_is_told(
    play: Play, free_ports: Callable[[int], list[int]], tmp_path: Path
) -> None:
    """Docker pushed without an error, and the registry that is looked into has no such image."""
    play.place.make_repository()
    with ministack(free_ports(1)[0], tmp_path) as other:
        other.client("ecr").create_repository(repositoryName=play.place.name)
        registry = other.url.rpartition("/")[2]
        sentence = play.refuse("mlflow_image", mlflow_ecr_registry=registry)
    assert "by classic (no error was reported)" in sentence
    assert sentence.endswith(
        f"check that Docker and this machine reach the same registry {registry}, then rerun."
    )


def test_a_token_that_aws_denies_is_told(play: Play) -> None:
    """By the login before a push, and by the pull, whose tasks are not logged."""
    place = play.place
    place.make_repository()
    user = place.aws.user(place.name, "ecr:DescribeRepositories", "ecr:DescribeImages")
    before, play.env = play.env, play.env | place.aws.environment(*user)
    assert "ecr:GetAuthorizationToken" in play.refuse("mlflow_image")
    play.env = before
    play("mlflow_image")
    image = place.info()
    play.engine.docker("image", "rm", "--force", f"{image['address']}:{image['tag']}")
    play.env = before | place.aws.environment(*user)
    assert "ecr:GetAuthorizationToken" in play.refuse("mlflow_image:read", "mlflow_image:pull")


def make_pull_role(place: Place) -> str:
    """Make the role of the backend's template for this repository, and return its ARN."""
    role = deploy("backend", ImageRepository=place.name).properties("PullRole")
    (policy,) = role["Policies"]
    # The template is evaluated for another account.
    own = json.dumps(policy["PolicyDocument"]).replace(ACCOUNT, emulator.ACCOUNT)
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": emulator.ACCOUNT}}
    iam, name = place.aws.client("iam"), f"pull-{place.name}"
    made = iam.create_role(
        RoleName=name,
        Path="/mlflow/team/",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
    iam.put_role_policy(RoleName=name, PolicyName="pull", PolicyDocument=own)
    return str(made["Role"]["Arn"])


def test_hosts_get_a_token_of_the_role_that_may_pull(play: Play) -> None:
    """By one call for all hosts; who runs the playbook need not be able to get a token."""
    place = play.place
    place.make_repository()
    play("mlflow_image")
    image, role = place.info(), make_pull_role(place)
    play.engine.docker("image", "rm", "--force", f"{image['address']}:{image['tag']}")
    actions = ("ecr:DescribeRepositories", "ecr:DescribeImages", "sts:AssumeRole")
    user = place.aws.user(place.name, *actions)
    play.env |= place.aws.environment(*user)
    both = ("mlflow_image:read", "mlflow_image:pull")
    outputs = {"mlflow_stack_outputs": {"PullRoleArn": role}}
    done = play(*both, options=("-vvv", "--forks", "1"), **outputs)
    assert sum(changes(done)) == 1
    assert "identity, which is valid for twelve hours" not in done
    # One AssumeRole, for two hosts.
    assert len(re.findall(r"Using module file \S+/mlflow_ecr_token.py", done)) == 1
    assert not re.search("ASIA|SecretAccessKey|aws_session_token", done)
    # As of a stack that an older release deployed.
    play.engine.docker("image", "rm", "--force", image["reference"], check=False)
    play.env |= place.aws.environment()
    done = play(*both, mlflow_stack_outputs={"DataApi": "true"})
    assert "hosts get a token of the operator's identity" in done


def test_the_role_may_pull_and_no_more(place: Place) -> None:
    """AWS says so, for what the module's token is made with."""
    place.make_repository()
    other = f"{place.name}-other"
    place.aws.client("ecr").create_repository(repositoryName=other)
    made = place.aws.client("sts").assume_role(
        RoleArn=make_pull_role(place), RoleSessionName="test"
    )["Credentials"]
    keys = (made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    ecr = place.aws.client("ecr", *keys)
    assert ecr.get_authorization_token()["authorizationData"]
    layers = [{"imageTag": "none"}]
    assert ecr.batch_get_image(repositoryName=place.name, imageIds=layers)["failures"]
    refused: tuple[Callable[[], object], ...] = (
        lambda: ecr.batch_get_image(repositoryName=other, imageIds=layers),
        lambda: ecr.put_image(repositoryName=place.name, imageManifest="{}"),
        lambda: ecr.initiate_layer_upload(repositoryName=place.name),
        lambda: ecr.batch_delete_image(repositoryName=place.name, imageIds=layers),
        lambda: ecr.create_repository(repositoryName=f"{place.name}-new"),
        lambda: ecr.describe_images(repositoryName=place.name),
        lambda: place.aws.client("s3", *keys).list_buckets(),
        lambda: place.aws.client("iam", *keys).list_roles(),
    )
    for call in refused:
        with pytest.raises(ClientError, match="not authorized to perform"):
            call()


def test_a_role_that_cannot_be_assumed_is_told(place: Place) -> None:
    """With its name; one that was just made gets some seconds."""
    user = place.aws.user(place.name, "ecr:GetAuthorizationToken")
    how: dict[str, Any] = {"python": sys.executable, **place.aws.environment(*user)}
    role = make_pull_role(place)
    options = {**place.aws.options(), "role_arn": role}
    told = place.modules.refuse("mlflow_ecr_token", options, **how)
    assert told.startswith(f"Cannot assume the role {role}: ")
    assert "sts:AssumeRole" in told


@pytest.mark.thorough("One host pulls every time.")
def test_hosts_pull_a_few_at_a_time(play: Play) -> None:
    """Hosts of one network do not storm the registry, however many are to be served."""
    place, gauge = play.place, Gauge()
    place.make_repository()
    with ExitStack() as stack:
        hosts = {}
        for number in range(5):
            # One engine would load an image for all of them only once.
            server = stack.enter_context(registry(TOKENS[0], uuid.uuid4().hex))
            server.gauge, server.delay = gauge, 1.5
            hosts[f"host{number}"] = {"mlflow_image_reference": server.image}
            stack.callback(play.engine.docker, "rmi", "--force", server.image, check=False)
        path = place.folder / "hosts.yml"
        inventory = yaml.safe_load(path.read_text())
        inventory["all"]["hosts"] = hosts
        path.write_text(yaml.safe_dump(inventory))
        more = {"mlflow_image_pull_throttle": 2}
        done = play("mlflow_image:pull", options=("--forks", "5"), **more)
    assert changes(done) == [1] * 5
    # The layer and the configuration of an image are loaded at once.
    assert 2 <= gauge.most <= 2 * more["mlflow_image_pull_throttle"]


def test_an_image_that_nobody_pushed_is_told(play: Play) -> None:
    """With what to run first."""
    told = play.refuse("mlflow_image:read")
    assert "is not in the registry; run the image playbook first" in told
