# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: a client of the Docker Engine API over its Unix socket.

Standard library only, so that a host that runs servers needs no package.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import http.client
import json
import os
import re
import time
import typing as t
import urllib.parse
import uuid
from pathlib import Path

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker import container_spec
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._docker.container_spec import (
    LABEL,
    VOLUME_PATH,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host import commands, paths
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._host.unix_http import UnixConnection

DEFAULT_SOCKET = "/var/run/docker.sock"
# 20.10 brought 1.41; newer engines refuse versions that are too old, so theirs is used up to
# the newest that we know.
_OLDEST_API, _NEWEST_API = (1, 41), (1, 51)
_CALL_SECONDS = 60.0
# A pull may unpack a large layer without a word.
_PULL_IDLE_SECONDS = 300.0
# Of a job that did not end in time.
_LOG_LINES = 20
_JOB_LABEL = f"{LABEL}job"
_OWNER_LABEL = f"{LABEL}owner"
_UP = ("running", "restarting", "paused")
_REMEDIES = (
    (
        r"no space left on device",
        "free space where Docker keeps its data (docker system df tells what takes it) and run again",
    ),
    (
        r"port is already allocated|address already in use|cannot expose port",
        "end what holds the port, or give the project another 'port'",
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
    (r"is already in use by container", "another run made it meanwhile: run again"),
    (r"network .* not found", "make the network, or correct docker_network"),
    (r"bind source path does not exist", "correct aws_config_dir"),
)
_OTHER_REMEDY = "look at Docker's log and run again"


class EngineError(MlflowError):
    """The engine's refusal: the sentence, HTTP status (0 for none) and its own words."""

    def __init__(self, action: str, message: str, status: int = 0) -> None:
        self.status = status
        self.message = " ".join(message.split())[:500].rstrip(".")
        remedy = _OTHER_REMEDY
        for pattern, advice in _REMEDIES:
            if re.search(pattern, self.message, re.IGNORECASE):
                remedy = advice
                break
        super().__init__(f"Docker could not {action}: {self.message}: {remedy}.")


class Ran(t.NamedTuple):
    """What a one-shot container left: its exit code and all it printed."""

    code: int
    stdout: str
    stderr: str


class Reference(t.NamedTuple):
    """An image's name, with the tag or the digest that says which one."""

    name: str
    tag: str
    digest: str

    @property
    def registry(self) -> str:
        """Return the host of its registry."""
        first, slash, _rest = self.name.partition("/")
        is_host = slash and ("." in first or ":" in first or first == "localhost")
        return first if is_host else "docker.io"

    def __str__(self) -> str:
        """Return the reference; the digest wins, as it does for Docker."""
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"


def reference(text: str) -> Reference:
    """Read an image reference such as HOST:PORT/NAME:TAG@sha256:DIGEST."""
    match = re.fullmatch(
        r"(?P<name>(?:[\w.-]+(?::\d+)?/)?[\w.-]+(?:/[\w.-]+)*)"
        r"(?::(?P<tag>[\w.-]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
        text,
    )
    if not match:
        raise MlflowError(f"{text!r} is no image reference: write NAME@sha256:DIGEST, or NAME:TAG.")
    return Reference(
        match.group("name"), match.group("tag") or "latest", match.group("digest") or ""
    )


def default_host() -> str:
    """Return the engine that `docker` itself would speak to, by its variables and contexts.

    Without any, the socket that this user may use: the system's, a rootless engine's, or
    Docker Desktop's.
    """
    if os.environ.get("DOCKER_HOST"):
        return os.environ["DOCKER_HOST"]
    home = Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        name = os.environ.get("DOCKER_CONTEXT")
        if not name:
            configuration = json.loads((home / "config.json").read_text(encoding="utf-8"))
            name = configuration["currentContext"]
        if name != "default":
            folder = hashlib.sha256(name.encode("utf-8")).hexdigest()
            meta = home / "contexts" / "meta" / folder / "meta.json"
            return str(json.loads(meta.read_text(encoding="utf-8"))["Endpoints"]["docker"]["Host"])
    runtime = paths.environment_folder("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    places = (
        DEFAULT_SOCKET,
        f"{runtime}/docker.sock",
        os.path.expanduser("~/.docker/run/docker.sock"),
    )
    usable = [place for place in places if os.access(place, os.R_OK | os.W_OK)]
    return f"unix://{usable[0] if usable else DEFAULT_SOCKET}"


class Engine:
    """One Docker engine. Every method raises MlflowError with one sentence."""

    def __init__(self, host: str = "") -> None:
        """Take the engine's address, unix:// and a path; without one, the user's default."""
        self.host = host or default_host()
        scheme, _colon, path = self.host.partition("://")
        if scheme != "unix" or not path.startswith("/"):
            raise MlflowError(
                f"{'mlflow_server_docker_host' if host else 'DOCKER_HOST'} is {self.host}: servers run on the "
                "managed host itself, so write unix:// and the full path of its Docker socket, such as "
                "unix:///var/run/docker.sock."
            )
        self._path = path

    def ping(self) -> str:
        """Make sure that the engine answers and is new enough; return the API's version."""
        return self._api

    @property
    def is_default(self) -> bool:
        """Say whether `docker` speaks to this engine without being told."""
        return self._path in (DEFAULT_SOCKET, "/run/docker.sock")

    def version(self) -> dict[str, t.Any]:
        """Return the engine's version record."""
        version: dict[str, t.Any] = self._read("tell its version", "GET", "/version")
        return version

    @functools.cached_property
    def rootless(self) -> bool:
        """Say whether the engine runs in a user namespace of the user that owns it."""
        options = self._read("tell about itself", "GET", "/info").get("SecurityOptions") or []
        return any(option.startswith("name=rootless") for option in options)

    def containers(self, labels: t.Sequence[str] = ()) -> list[dict[str, t.Any]]:
        """Return all containers that have these labels, stopped ones too, as `docker ps` does."""
        query = {"all": "1", "filters": json.dumps({"label": list(labels)})}
        action = "list its containers"
        found: list[dict[str, t.Any]] = self._read(action, "GET", "/containers/json", query)
        return found

    def container(self, name: str) -> dict[str, t.Any] | None:
        """Return what `docker inspect` shows of a container, or None."""
        return self._find(f"inspect container {name}", f"/containers/{name}/json")

    def create(self, name: str, body: t.Mapping[str, t.Any]) -> str:
        """Make a container, without starting it, and return its id."""
        action = f"make container {name}"
        return str(self._told("Id", action, "POST", "/containers/create", {"name": name}, body))

    def start(self, name: str) -> None:
        """Start a container; one that runs is left alone."""
        self._call(f"start container {name}", "POST", f"/containers/{name}/start")

    def stop(self, name: str, seconds: int) -> None:
        """Stop a container, by force after some seconds; one that is stopped or gone is left alone."""
        with _accepting(404):
            self._call(
                f"stop container {name}",
                "POST",
                f"/containers/{name}/stop",
                {"t": str(seconds)},
                timeout=seconds + _CALL_SECONDS,
            )

    def remove(self, name: str) -> None:
        """Remove a container, running or not, with its unnamed volumes; a gone one is left alone."""
        # Docker answers 409 while another request is removing it.
        with _accepting(404, 409):
            self._call(
                f"remove container {name}",
                "DELETE",
                f"/containers/{name}",
                {"force": "1", "v": "1"},
            )

    def wait(self, name: str, timeout: float) -> int | None:
        """Wait for a container's end; return its exit code, or None when time is over first."""
        action = f"wait for container {name}"
        try:
            path = f"/containers/{name}/wait"
            code = self._told("StatusCode", action, "POST", path, timeout=timeout)
        except _Silence:
            return None
        return int(code)

    def logs(self, name: str) -> tuple[str, str]:
        """Return what a container printed on standard output and on standard error."""
        frames = self._log(name, "all")
        out, err = (b"".join(data for kind, data in frames if kind == stream) for stream in (1, 2))
        return out.decode("utf-8", "replace"), err.decode("utf-8", "replace")

    def tail(self, name: str, lines: int) -> list[str]:
        """Return the last lines that a container printed, on either stream."""
        data = b"".join(data for _kind, data in self._log(name, str(lines)))
        text = data.decode("utf-8", "replace")
        return [line for line in text.splitlines() if line.strip()][-lines:]

    def _log(self, name: str, lines: str) -> list[tuple[int, bytes]]:
        """Return the last lines of a container's log, each with the number of its stream."""
        query = {"stdout": "1", "stderr": "1", "tail": lines}
        action = f"read the log of container {name}"
        return list(_frames(self._call(action, "GET", f"/containers/{name}/logs", query)))

    def put_archive(self, name: str, path: str, archive: bytes) -> None:
        """Unpack a tar archive in a container's folder, also before its start."""
        self._call(
            f"put files into container {name}",
            "PUT",
            f"/containers/{name}/archive",
            {"path": path},
            archive,
        )

    def volumes(self, labels: t.Sequence[str] = ()) -> list[dict[str, t.Any]]:
        """Return all volumes that have these labels."""
        query = {"filters": json.dumps({"label": list(labels)})}
        return self._read("list its volumes", "GET", "/volumes", query).get("Volumes") or []

    def create_volume(self, name: str, labels: t.Mapping[str, str]) -> None:
        """Make a volume; one of the same name is left as it is."""
        body = {"Name": name, "Driver": "local", "Labels": dict(labels)}
        self._call(f"make volume {name}", "POST", "/volumes/create", body=body)

    def remove_volume(self, name: str) -> None:
        """Remove a volume; a gone one is left alone."""
        with _accepting(404):
            self._call(f"remove volume {name}", "DELETE", f"/volumes/{name}")

    def network(self, name: str) -> dict[str, t.Any] | None:
        """Return a network, or None."""
        return self._find(
            f"inspect network {name}", f"/networks/{urllib.parse.quote(name, safe='')}"
        )

    def image(self, name: str) -> dict[str, t.Any] | None:
        """Return what the engine has under an image reference or id, or None."""
        found = name if name.startswith("sha256:") else str(reference(name))
        return self._find(f"inspect image {name}", f"/images/{found}/json")

    def pull(self, name: str, username: str, password: str, timeout: float) -> None:
        """Fetch an image from its registry within timeout seconds."""
        wanted = reference(name)
        login = {"username": username, "password": password, "serveraddress": wanted.registry}
        text = json.dumps(login if password else {}).encode("utf-8")
        deadline = time.monotonic() + timeout
        action = f"pull {wanted}"
        with self._open(
            action,
            "POST",
            "/images/create",
            {"fromImage": wanted.name, "tag": wanted.digest or wanted.tag},
            headers={"X-Registry-Auth": base64.urlsafe_b64encode(text).decode("ascii")},
            timeout=min(timeout, _PULL_IDLE_SECONDS),
        ) as answer:
            for line in answer:
                _require_progress(action, line)
                if time.monotonic() > deadline:
                    raise MlflowError(
                        f"{wanted} was not pulled within {timeout:.0f} seconds: run again, which goes "
                        "on where it stopped, or raise the timeout."
                    )

    def run_once(
        self,
        image: str,
        command: t.Sequence[str],
        files: t.Mapping[str, str],
        *,
        binds: t.Mapping[str, str],
        network: str,
        user: str,
        environment: t.Mapping[str, str],
        timeout: float,
    ) -> Ran:
        """Run a command of an image to its end, in a container and a volume that are thrown away.

        files: texts by their names below /var/lib/mlflow, which only the container's user can
        read; binds: folders of the host by what they are inside, read-only; user: UID:GID, or
        empty for the image's. What a killed run left behind is removed by the next.
        """
        self._sweep()
        name = f"mlflow-job-{uuid.uuid4().hex[:12]}"
        labels = {_JOB_LABEL: "true", _OWNER_LABEL: str(os.getpid())}
        spec = container_spec.Spec(
            image=image,
            command=tuple(command),
            volume=name,
            user=user or container_spec.IMAGE_USER,
            network=network,
            binds=tuple(binds.items()),
            environment=tuple(environment.items()),
        )
        try:
            self.create_volume(name, labels)
            self.create(name, container_spec.creation(spec, labels))
            self.put_archive(name, VOLUME_PATH, container_spec.archive(files, spec.user))
            self.start(name)
            code = self.wait(name, timeout)
            if code is None:
                self.stop(name, 10)
                last = commands.reason("\n".join(self.tail(name, _LOG_LINES)))
                raise MlflowError(
                    f"{' '.join(command[:1]) or image} did not end within {timeout:.0f} seconds in its "
                    f"container: {last}: look into it, or raise the timeout."
                )
            return Ran(code, *self.logs(name))
        finally:
            self.remove(name)
            self.remove_volume(name)

    def _sweep(self) -> None:
        """Remove what killed runs left, but no job that still runs: a migration must not be cut."""
        used = set()
        for found in self.containers([_JOB_LABEL]):
            # One that is being removed has no name any more.
            name = (found["Names"] or [found["Id"]])[0].lstrip("/")
            if found["State"] in _UP or _is_alive(found["Labels"]):
                used.add(name)
            else:
                self.remove(name)
        for volume in self.volumes([_JOB_LABEL]):
            if volume["Name"] not in used and not _is_alive(volume["Labels"]):
                # Its container may have come from another run just now.
                with _accepting(409):
                    self.remove_volume(volume["Name"])

    @functools.cached_property
    def _api(self) -> str:
        """Return the version of the API to speak: the engine's, as far as we know it."""
        with self._send("answer", "GET", "/_ping", {}, _CALL_SECONDS) as answer:
            text = answer.getheader("Api-Version", "")
        match = re.fullmatch(r"(\d+)\.(\d+)", text)
        theirs = (int(match.group(1)), int(match.group(2))) if match else (0, 0)
        if theirs < _OLDEST_API:
            raise MlflowError(
                f"Docker on {self._path} speaks API {text or 'of no version'}: update it to 20.10 or newer."
            )
        major, minor = min(theirs, _NEWEST_API)
        return f"{major}.{minor}"

    def _find(self, action: str, path: str) -> dict[str, t.Any] | None:
        """Return what is at a path, or None where the engine has nothing there."""
        try:
            found: dict[str, t.Any] = self._read(action, "GET", path)
        except EngineError as error:
            if error.status != 404:
                raise
            return None
        return found

    def _read(self, *request: t.Any, **more: t.Any) -> t.Any:
        """Call the engine and return its JSON."""
        text = self._call(*request, **more)
        try:
            return json.loads(text)
        except ValueError as error:
            raise MlflowError(
                f"Docker answered with no JSON when asked to {request[0]} ({error}): make sure that "
                f"{self._path} is Docker's socket, then rerun."
            ) from error

    def _told(self, key: str, *request: t.Any, **more: t.Any) -> t.Any:
        """Call the engine and return one value of its answer."""
        answer = self._read(*request, **more)
        if not isinstance(answer, dict) or key not in answer:
            raise MlflowError(
                f"Docker did not say its {key} when asked to {request[0]}: make sure that {self._path} is "
                "Docker's socket, then rerun."
            )
        return answer[key]

    def _call(self, *request: t.Any, **more: t.Any) -> bytes:
        """Call the engine and return its whole answer; the arguments are those of _open."""
        with self._open(*request, **more) as answer:
            return answer.read()

    @contextlib.contextmanager
    def _open(
        self,
        action: str,
        method: str,
        path: str,
        query: t.Mapping[str, str] | None = None,
        body: t.Mapping[str, t.Any] | bytes | None = None,
        *,
        headers: t.Mapping[str, str] | None = None,
        timeout: float = _CALL_SECONDS,
    ) -> t.Iterator[http.client.HTTPResponse]:
        """Send a request and give the answer; action says in an error what was tried."""
        url = f"/v{self._api}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        sent = dict(headers or {})
        data = None
        if body is not None:
            is_raw = isinstance(body, bytes)
            sent["Content-Type"] = "application/x-tar" if is_raw else "application/json"
            data = body if isinstance(body, bytes) else json.dumps(body).encode("utf-8")
        with self._send(action, method, url, sent, timeout, data) as answer:
            if answer.status >= 400:
                raise EngineError(action, _message(answer), answer.status)
            yield answer

    @contextlib.contextmanager
    def _send(
        self,
        action: str,
        method: str,
        url: str,
        headers: t.Mapping[str, str],
        timeout: float,
        data: bytes | None = None,
    ) -> t.Iterator[http.client.HTTPResponse]:
        """Give the answer to one request; what fails on the socket becomes one sentence."""
        connection = UnixConnection(self._path, timeout)
        try:
            connection.request(method, url, data, dict(headers))
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(self._path, action, timeout, error) from error
        finally:
            connection.close()


class _Silence(MlflowError):
    """The engine did not answer in time."""


def _unreachable(path: str, action: str, timeout: float, error: Exception) -> MlflowError:
    """Return the sentence for a socket that does not work."""
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return _Silence(
            f"Docker did not {action} within {timeout:.0f} seconds: look at its log, or restart it."
        )
    if isinstance(error, FileNotFoundError):
        return MlflowError(
            f"Docker does not run on this host: there is no socket {path}: install and start it, or "
            "set docker_host."
        )
    if isinstance(error, PermissionError):
        return MlflowError(
            f"This user may not use Docker's socket {path}: add it to the socket's group, which "
            "amounts to root's rights, or run a rootless Docker."
        )
    if isinstance(error, ConnectionRefusedError):
        return MlflowError(f"Docker does not answer on {path}: start it, or set docker_host.")
    return MlflowError(
        f"Docker broke off when asked to {action} ({str(error) or type(error).__name__}): see whether it "
        "still runs, then run again."
    )


@contextlib.contextmanager
def _accepting(*statuses: int) -> t.Iterator[None]:
    """Let pass the refusals that mean that there is nothing to do."""
    try:
        yield
    except EngineError as error:
        if error.status not in statuses:
            raise


def _message(answer: http.client.HTTPResponse) -> str:
    """Return the engine's own words about a refusal."""
    text = answer.read().decode("utf-8", "replace")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = str(json.loads(text)["message"])
    return text.strip() or f"HTTP {answer.status}"


def _require_progress(action: str, line: bytes) -> None:
    """Refuse a line of a pull's progress that is an error."""
    with contextlib.suppress(ValueError):
        event = json.loads(line)
        if isinstance(event, dict) and event.get("error"):
            raise EngineError(action, str(event["error"]))


def _frames(data: bytes) -> t.Iterator[tuple[int, bytes]]:
    """Take apart what Docker sends of a container's streams: frames of number, length and bytes."""
    start = 0
    while start + 8 <= len(data):
        end = start + 8 + int.from_bytes(data[start + 4 : start + 8], "big")
        yield data[start], data[start + 8 : end]
        start = end


def _is_alive(labels: t.Mapping[str, str]) -> bool:
    """Say whether the process that made a job still exists."""
    owner = labels.get(_OWNER_LABEL, "")
    if not re.fullmatch(r"[1-9]\d*", owner):
        return False
    try:
        os.kill(int(owner), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
