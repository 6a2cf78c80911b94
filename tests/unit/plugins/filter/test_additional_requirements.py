# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's packages: what a requirements file may say, and what it may not change."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.mlops.mlflow_aws.plugins.filter import (
    mlflow_additional_fault,
    mlflow_additional_requirements,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils import _requirements
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._errors import MlflowError

A, B = (hashlib.sha256(text.encode()).hexdigest() for text in "ab")
HASH, OTHER = f"--hash=sha256:{A}", f"--hash=sha256:{B}"
LOCKED = [
    f"""# A comment, \\
flask==3.1.3 \\
    {HASH}
    # via mlflow
numpy==2.4.6 ; python_full_version < '3.12' \\
    {HASH}
numpy==2.5.5 ; python_full_version >= '3.12' \\
    {HASH}
tzdata==2026.6 ; sys_platform == 'win32' \\
    {HASH}
""",
    f"supervisor==4.3.0 {HASH}\n",
]
# What is read of a file; nothing of the locked set is in it.
GOOD = {
    "plain": (f"LiteLLM==1.83.0 {HASH}\n", f"litellm==1.83.0 \\\n    {HASH}"),
    "CRLF": (f"# mine\r\na==1 \\\r\n    {HASH}\r\n\r\n", f"a==1 \\\n    {HASH}"),
    "byte order mark": (f"\ufeffa==1 {HASH}", f"a==1 \\\n    {HASH}"),
    "comments": (
        f"# one\n  # two\na==1 {HASH} # three\n    # via b\n",
        f"a==1 \\\n    {HASH}",
    ),
    "a comment ends a line that goes on": (
        f"a==1 \\\n    {HASH} \\\n# via b\nb==1 {HASH}\n",
        f"a==1 \\\n    {HASH}\nb==1 \\\n    {HASH}",
    ),
    "continued to the end of the file": (f"a==1 \\\n{HASH} \\", f"a==1 \\\n    {HASH}"),
    "several hashes, in any form": (
        f"a==1 --hash sha256:{B} --hash=sha512:{A}{B} {HASH}",
        f"a==1 \\\n    {HASH if A < B else OTHER} \\\n    {OTHER if A < B else HASH} \\\n    --hash=sha512:{A}{B}",
    ),
    "a marker": (
        f'a==1 ; python_version < "3.12" {HASH}',
        f'a==1 ; python_version < "3.12" \\\n    {HASH}',
    ),
    "a marker without spaces": (
        f"a==1;sys_platform=='linux' {HASH}",
        f'a==1 ; sys_platform == "linux" \\\n    {HASH}',
    ),
    "extras": (f"a[Y, x_z]==1 {HASH}", f"a[x-z,y]==1 \\\n    {HASH}"),
    "names and versions are normalized": (
        f"Zope.Interface_X == 01.0 {HASH}",
        f"zope-interface-x==1.0 \\\n    {HASH}",
    ),
    "in the order of names": (
        f"b==1 {HASH}\na==1 {HASH}",
        f"a==1 \\\n    {HASH}\nb==1 \\\n    {HASH}",
    ),
    "twice the same": (
        f"a==1 {HASH}\nA[x]==1 {HASH}",
        f"a[x]==1 \\\n    {HASH}",
    ),
    "one version for each Python": (
        f"a==1 ; python_version < '3.12' {HASH}\na==2 ; python_version >= '3.12' {HASH}",
        f'a==1 ; python_version < "3.12" \\\n    {HASH}\na==2 ; python_version >= "3.12" \\\n    {HASH}',
    ),
    "what the locked set has": (
        (
            f"Flask==3.1.3.0 {OTHER}\na==1 {HASH}\n"
            f"numpy==2.4.6 ; python_full_version < '3.12' {HASH}\n"
            f"numpy==2.5.5 ; python_full_version >= '3.12' {HASH}\nsupervisor==4.3.0 {HASH}"
        ),
        f"a==1 \\\n    {HASH}",
    ),
    "nothing but what the locked set has": (f"flask==3.1.3 {HASH}", ""),
    "what the locked set has for another system": (
        f"tzdata==2025.1 {HASH}",
        f"tzdata==2025.1 \\\n    {HASH}",
    ),
}
# Line, and what is said of it.
BAD = {
    "another version": (
        f"\n# one\nFlask==3.0.0 {HASH}",
        r"line 3: flask 3\.0\.0 would replace 3\.1\.3 of the locked set .*; lock it again with the lock",
    ),
    "another version for one Python": (
        f"numpy==2.4.6 {HASH}",
        r"line 1: numpy 2\.4\.6 would replace 2\.5\.5 of the locked set \(with Python 3\.12 on Linux x86_64\)",
    ),
    "another version of what processes need": (
        f"supervisor==4.2.5 {HASH}",
        r"line 1: supervisor 4\.2\.5 would replace 4\.3\.0",
    ),
    "two versions": (
        f"a==1 {HASH}\n\nA==2 ; sys_platform == 'linux' {HASH}",
        r"line 3: a is pinned to 2, and in line 1 to 1 \(with Python 3\.11 on Linux x86_64\); keep one",
    ),
    "no hash": ("a==1", r"line 1: 'a==1' has no hash; lock the file with hashes"),
    "a short hash": (
        "a==1 --hash=sha256:123",
        r"line 1: '--hash=sha256:123' is not a hash such as",
    ),
    "a weak hash": (f"a==1 --hash=md5:{A[:32]}", r"line 1: '--hash=md5:\w+' is not a hash such as"),
    "another option": (
        f"a==1 {HASH} --no-binary=:all:",
        r"line 1: '--no-binary=:all:' is not a hash",
    ),
    "no version": (f"a {HASH}", r"line 1: 'a' is not pinned to one version; write a==VERSION\."),
    "a range": (f"a>=1,<2 {HASH}", r"line 1: 'a>=1,<2' is not pinned to one version"),
    "two specifiers": (f"a==1,!=2 {HASH}", r"line 1: 'a==1,!=2' is not pinned to one version"),
    "a wildcard": (f"a==1.* {HASH}", r"line 1: 'a==1\.\*' is not pinned to one version"),
    "a text for a version": (f"a===1 {HASH}", r"line 1: 'a===1' is not pinned to one version"),
    "an index": (
        "--index-url https://pypi.example.com/simple\na==1",
        r"line 1: '--index-url' is an option; remove it: what is installed comes from the package index",
    ),
    "an index by its letter": ("-i https://x.example.com", r"line 1: '-i' is an option; remove it"),
    "files of wheels": (
        "--find-links=/tmp",
        r"line 1: '--find-links=/tmp' is an option; remove it",
    ),
    "another file": (
        "-r other.txt",
        r"line 1: '-r' is an option; put all packages into one file\.",
    ),
    "constraints": ("-c other.txt", r"line 1: '-c' is an option; put all packages into one file\."),
    "a folder to develop in": ("-e .", r"line 1: '-e' is an option; build a wheel"),
    "a URL": (
        f"a @ https://example.com/a.whl {HASH}",
        r"line 1: 'a @ https://example\.com/a\.whl' is not a package of the package index; write NAME==VERSION",
    ),
    "a bare URL": (
        f"https://example.com/a.whl {HASH}",
        r"line 1: 'https.*' is not a package of the",
    ),
    "a repository": (
        "git+https://example.com/a.git",
        r"line 1: 'git.*' is not a package of the pack",
    ),
    "a path": (
        f"./a-1-py3-none-any.whl {HASH}",
        r"line 1: '\./a-1.*' is not a package of the pack",
    ),
    "a variable": (
        f"${{NAME}}==1 {HASH}",
        r"line 1: '\$\{NAME\}==1' is not a package of the package",
    ),
    "a marker that is none": (
        f"a==1 ; python is new {HASH}",
        r"line 1: .* is not a package of the",
    ),
    "nothing": (
        "",
        r"mine\.txt lists no package; list some, or remove mlflow_image_requirements\.$",
    ),
    "comments only": ("# a==1\n\n", r"mine\.txt lists no package"),
}


def read(folder: Path, text: str) -> str:
    """Read a file with a text."""
    path = folder / "mine.txt"
    path.write_bytes(text.encode())
    return _requirements.read(str(path), LOCKED)


@pytest.mark.parametrize("name", GOOD)
def test_what_a_file_may_say(name: str, tmp_path: Path) -> None:
    """What is read is a lock of what the locked set lacks, and read again it is the same."""
    text, found = GOOD[name]
    assert read(tmp_path, text) == found
    if found:
        assert read(tmp_path, found) == found


@pytest.mark.parametrize("name", BAD)
def test_what_a_file_may_not_say(name: str, tmp_path: Path) -> None:
    """One sentence with the line, and what to do."""
    text, sentence = BAD[name]
    with pytest.raises(MlflowError, match=sentence) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (Path.mkdir, r"^mlflow_image_requirements is the folder .*; set it to the path of"),
        (lambda _path: None, r" cannot be read \(No such file or directory\); correct mlflow_image_requ"),
        (lambda path: path.symlink_to(path.name), r" cannot be read \(Too many levels of symbolic links\)"),
        (lambda path: path.write_bytes("a==1".encode("utf-16")), r" is not UTF-8 text; save it as UTF-8"),
    ],
)  # fmt: skip
def test_what_cannot_be_read(make: object, sentence: str, tmp_path: Path) -> None:
    """Both filters say it, too."""
    path = tmp_path / "mine.txt"
    assert callable(make)
    make(path)
    with pytest.raises(MlflowError, match=sentence):
        _requirements.read(str(path), LOCKED)
    with pytest.raises(AnsibleFilterError, match=sentence) as caught:
        mlflow_additional_requirements.mlflow_additional_requirements(str(path), LOCKED)
    assert mlflow_additional_fault.mlflow_additional_fault(str(path), LOCKED) == str(caught.value)


def test_without_a_file_there_is_nothing() -> None:
    """No path is none, nor is a variable without a value."""
    assert mlflow_additional_fault.mlflow_additional_fault(None, LOCKED) == ""
    assert mlflow_additional_requirements.mlflow_additional_requirements("", LOCKED) == ""
    assert mlflow_additional_fault.mlflow_additional_fault("", LOCKED) == ""


def test_a_path_in_the_home_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell has it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.txt").write_text(f"a==1 {HASH}")
    assert _requirements.read("~/mine.txt", LOCKED).startswith("a==1 ")


def test_a_path_in_the_home_of_nobody() -> None:
    """It is a sentence, in filters too, and no traceback."""
    path = "~nobody-of-this-name/mine.txt"
    with pytest.raises(MlflowError) as caught:
        _requirements.read(path, LOCKED)
    assert str(caught.value) == (
        f"{path} is in the home of a user that does not exist; correct mlflow_image_requirements."
    )
    assert mlflow_additional_fault.mlflow_additional_fault(path, LOCKED) == str(caught.value)


@pytest.mark.parametrize("path", [["mine.txt"], {"path": "mine.txt"}, True])
def test_what_is_no_path(path: object) -> None:
    """It is a sentence, too."""
    assert mlflow_additional_fault.mlflow_additional_fault(path, LOCKED) == (
        "mlflow_image_requirements is not a string; set it to the path of a file."
    )


# What pip's own parser reads of files: for each the requirements and their hashes.
PARSE = """
import json, sys
from pip._internal.network.session import PipSession
from pip._internal.req.req_file import parse_requirements
print(json.dumps([
    sorted([one.requirement, one.options.get("hashes", {})] for one in parse_requirements(path, PipSession()))
    for path in sys.argv[1:]
]))
"""


def test_pip_reads_the_same(tmp_path: Path) -> None:
    """In what was written as much as in what was given; only names and versions are spelled alike."""
    ours: list[Path] = []
    given: list[Path] = []
    for number, (text, found) in enumerate(GOOD.values()):
        for paths, kind, content in ((given, "given", text), (ours, "ours", found)):
            paths.append(tmp_path / f"{kind}-{number}.txt")
            paths[-1].write_bytes(content.encode())
    command = [sys.executable, "-I", "-c", PARSE, *map(str, [*given, *ours])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    read = json.loads(done.stdout)
    for name, before, after in zip(GOOD, read[: len(given)], read[len(given) :], strict=True):
        hashes = [
            {kind: sorted(digests) for kind, digests in found.items()} for _text, found in before
        ]
        # Repetitions are merged, and what the locked set has is dropped.
        assert len(after) <= len(before), name
        for _text, found in after:
            assert {kind: sorted(digests) for kind, digests in found.items()} in hashes, name
