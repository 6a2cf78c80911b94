# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a tunnel from this host's loopback to the database open; Supervisor runs it.

    python -I mlflow_tunnel.py serve SETTINGS.json    keep it open
    python -I mlflow_tunnel.py end FOLDER             end what a killed process has left behind

The settings file (JSON, mode 0600) holds:

    configuration   text, another one for each configuration
    kind            ssh or ssm
    host, port      the local end of the tunnel
    database        `host` and `port` of the database, as the tunnel's far end resolves them
    ssh             `bastion`, a destination as ssh takes it; `options`, further arguments of ssh
    ssm             `region`, `profile` and `endpoint_url` (empty for AWS's own), `group`, the relay's
                    Auto Scaling group, and `document`, the session document that allows only this
                    database

What carries the tunnel, ssh or AWS's session-manager-plugin, is restarted whenever it ends. No probe
goes through it, since that would wake up a sleeping database.

It is one file, in an environment without the server's packages. What it shares with
programs/server is held equal by tests/unit/programs.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

# A tunnel that ends after so many seconds was a good one, and is reopened at once.
STEADY_SECONDS = 30.0
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 10.0
STOP_SECONDS, PS_SECONDS = 5.0, 10.0
# An instance of the relay takes a minute or two until Systems Manager lists it.
RELAY_SECONDS, RELAY_POLL_SECONDS = 300.0, 5.0
# A connection that is silent for so long is closed, as when the bastion is gone.
ALIVE_SECONDS, ALIVE_COUNT = 5, 3
CHILD = "child.json"
# From here a plugin reads the session's token, which would stand in its arguments otherwise.
RESPONSE = "AWS_SSM_START_SESSION_RESPONSE"


class TunnelError(Exception):
    """One sentence for the log: what failed and what to do."""


class Carrier(NamedTuple):
    """A program that carries the tunnel, and its variables on top of this process's environment."""

    command: list[str]
    environment: dict[str, str]


def main(arguments: list[str]) -> int:
    """Keep the tunnel until stopped, or end one."""
    if len(arguments) != 2 or arguments[0] not in ("serve", "end"):
        say("Usage: mlflow_tunnel.py serve SETTINGS.json | end FOLDER")
        return 2
    path = Path(arguments[1])
    if arguments[0] == "end":
        _end_left_behind(path)
        return 0
    try:
        settings = read_settings(path)
    except TunnelError as error:
        say(str(error))
        return 2
    signal.signal(signal.SIGTERM, stop)
    end_with_parent(os.getppid())
    keep(settings, path.parent)
    return 0


def read_settings(path: Path) -> dict[str, Any]:
    """Read the settings file; its form is the module docstring's."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        if settings["kind"] in CARRIERS and isinstance(settings[settings["kind"]], dict):
            return dict(settings)
        reason = "its kind is unknown"
    except (OSError, ValueError, LookupError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise TunnelError(f"{path} cannot be read ({reason}); run the servers playbook.")


def keep(settings: dict[str, Any], folder: Path) -> None:
    """Reopen the tunnel whenever it ends."""
    _end_left_behind(folder)
    pause = PAUSE_SECONDS
    while True:
        began = time.monotonic()
        try:
            carrier = CARRIERS[settings["kind"]](settings)
            code = _carry(carrier, folder)
            say(f"The tunnel ended (exit code {code}).")
        except TunnelError as error:
            say(str(error))
        steady = time.monotonic() - began > STEADY_SECONDS
        pause = PAUSE_SECONDS if steady else min(pause * 2, LONGEST_PAUSE_SECONDS)
        say(f"Reopening it in {pause:.0f} seconds.")
        time.sleep(pause)


def through_bastion(settings: dict[str, Any]) -> Carrier:
    """Return the ssh that forwards a port of loopback; this user's configuration of ssh counts."""
    place, database = settings["ssh"], settings["database"]
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": "10",
        # The forwarding of a shared connection would outlive this process.
        "ControlMaster": "no",
        "ControlPath": "none",
        "ExitOnForwardFailure": "yes",
        "ServerAliveCountMax": str(ALIVE_COUNT),
        "ServerAliveInterval": str(ALIVE_SECONDS),
    }
    forward = f"{settings['host']}:{settings['port']}:{database['host']}:{database['port']}"
    command = ["ssh", "-N", "-T", "-L", forward]
    for name, text in options.items():
        command += ["-o", f"{name}={text}"]
    return Carrier([*command, *place["options"], "--", place["bastion"]], {})


def through_relay(settings: dict[str, Any]) -> Carrier:
    """Return the plugin with a session that AWS has just opened with the relay."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    place = settings["ssm"]
    try:
        aws = boto3.Session(
            profile_name=place["profile"] or None, region_name=place["region"] or None
        )
        endpoint = place["endpoint_url"] or None
        request = {
            "Target": _relay(aws, place["group"], endpoint),
            "DocumentName": place["document"],
            "Parameters": {"localPortNumber": [str(settings["port"])]},
        }
        ssm = aws.client("ssm", endpoint_url=endpoint)
        answer = ssm.start_session(**request)
        session = {key: answer[key] for key in ("SessionId", "StreamUrl", "TokenValue")}
    except (BotoCoreError, ClientError, KeyError) as error:
        raise TunnelError(
            f"AWS opens no session with the relay ({error}); check the credentials of this host, "
            "and that they have the policy RelayUserPolicyArn of the stack."
        ) from None
    command = ["session-manager-plugin", RESPONSE, aws.region_name, "StartSession"]
    command += [place["profile"], json.dumps(request), ssm.meta.endpoint_url]
    return Carrier(command, {RESPONSE: json.dumps(session)})


CARRIERS: dict[str, Callable[[dict[str, Any]], Carrier]] = {
    "ssh": through_bastion,
    "ssm": through_relay,
}


def say(text: str) -> None:
    """Write one line to the log."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _relay(aws: Any, group: str, endpoint: str | None) -> str:
    """Return the relay's instance; start one, and wait until Systems Manager lists it."""
    scaling = aws.client("autoscaling", endpoint_url=endpoint)
    ssm = aws.client("ssm", endpoint_url=endpoint)
    deadline = time.monotonic() + RELAY_SECONDS
    asked = False
    while True:
        found = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])
        if not found["AutoScalingGroups"]:
            raise TunnelError(
                f"There is no relay {group}; run the backend playbook with the stack's parameter "
                "Relay set to true."
            )
        [state] = found["AutoScalingGroups"]
        if state["DesiredCapacity"] < 1 and not asked:
            say(f"Starting the relay {group}.")
            scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=1)
            asked = True
        for instance in _in_service(state):
            if _is_online(ssm, instance):
                return instance
        if time.monotonic() > deadline:
            raise TunnelError(
                f"The relay {group} did not come up in {RELAY_SECONDS:.0f} seconds; see the "
                "activity of that Auto Scaling group."
            )
        time.sleep(RELAY_POLL_SECONDS)


def _in_service(group: dict[str, Any]) -> list[str]:
    """Return the instances of an Auto Scaling group that are in service."""
    return [
        str(one["InstanceId"]) for one in group["Instances"] if one["LifecycleState"] == "InService"
    ]


def _is_online(ssm: Any, instance: str) -> bool:
    """Return whether Systems Manager reaches an instance."""
    filters = [{"Key": "InstanceIds", "Values": [instance]}]
    known = ssm.describe_instance_information(Filters=filters)["InstanceInformationList"]
    return any(one["PingStatus"] == "Online" for one in known)


def _carry(carrier: Carrier, folder: Path) -> int:
    """Run what carries the tunnel to its end, and return its exit code."""
    try:
        process = subprocess.Popen(
            carrier.command, stdin=subprocess.DEVNULL, env=os.environ | carrier.environment
        )
    except OSError as error:
        raise TunnelError(
            f"{carrier.command[0]} cannot be run ({error.strerror}); install it on this host."
        ) from None
    try:
        _note(folder, process.pid, carrier)
        return process.wait()
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        process.kill()


def _note(folder: Path, pid: int, carrier: Carrier) -> None:
    """Record what runs, for the process that follows one that was killed."""
    path = folder / CHILD
    path.touch(mode=0o600)
    path.write_text(json.dumps({"pid": pid, "words": carrier.command[:5]}), encoding="utf-8")


def _end_left_behind(folder: Path) -> None:
    """End what a killed process has left behind, which still holds the port."""
    try:
        left = json.loads((folder / CHILD).read_text(encoding="utf-8"))
        left = {"pid": int(left["pid"]), "words": [str(word) for word in left["words"]]}
    except (OSError, ValueError, LookupError, TypeError):
        # It was cut short, so nothing identifies that process.
        return
    if not _runs(left):
        return
    say(f"Ending the tunnel that was left behind (process {left['pid']}).")
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(left["pid"], number)
        deadline = time.monotonic() + STOP_SECONDS
        while _runs(left) and time.monotonic() < deadline:
            time.sleep(0.1)


def _runs(left: dict[str, Any]) -> bool:
    """Return whether a recorded process runs, and no other has its number."""
    return " ".join(left["words"]) in _arguments(left["pid"])


def _arguments(pid: int) -> str:
    """Return the command line of a process, empty if there is none."""
    if Path("/proc/self/cmdline").exists():
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
            return words.replace("\0", " ")
        return ""
    # macOS has only ps, a slim Linux not even that.
    command = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PS_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace")


# programs/server/mlflow_aws_server/processes.py says the two below too.


def end_with_parent(parent: int) -> None:
    """Stop this process when its parent is gone, so that nothing holds the port unowned."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def stop(number: int, _frame: FrameType | None) -> None:
    """End this process by an exception, so that it cleans up."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
