# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation says what the code says, and its links lead somewhere."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.mlops.mlflow_aws.tests.support import (
    Done,
    clean_environment,
    copy_collection,
    run,
)

TOOLS = Path(sys.prefix) / "bin"
MINUTES = 60
# A record's heading in docs/architecture.md, and where its keys are documented.
RECORDS = {
    "Project record": ("filter", "mlflow_project_records", "_value"),
    "Backend record": ("module", "mlflow_local_backend", "backend"),
    "Runtime record": ("module", "mlflow_runtime", "runtime"),
    "Image record": ("module", "mlflow_image_info", "image"),
    "Schema record": ("module", "mlflow_schema_migration", "schemas"),
    "Server record": ("module", "mlflow_server", "servers"),
    "Run record": ("module", "mlflow_run", "runs"),
}
# Each holds one sentence for the user.
ERRORS = {"DockerError", "EntryError", "LostConnection", "MlflowError", "Problem", "Unreachable"}
# What in a message's text is distinctive, and how much of it a page must quote.
LETTERS, QUOTED = 8, 20

pytestmark = pytest.mark.timeout(5 * MINUTES)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the checkout to change."""
    return copy_collection(tmp_path)


def docs(root: Path, *arguments: str, check: bool = True) -> Done:
    """Run the generator of a copy."""
    home = root.parents[2] / "home"
    home.mkdir(exist_ok=True)
    command = [sys.executable, str(root / "scripts" / "_docs.py"), *arguments]
    env = clean_environment(home, TOOLS)
    return run(command, cwd=root, env=env, timeout=4 * MINUTES, check=check)


def test_generated_docs_are_up_to_date(collection_root: Path) -> None:
    """The README's table and docs/reference are what scripts/docs makes of the code."""
    docs(collection_root, "--check")


def test_generator_sees_every_change(copy: Path) -> None:
    """A changed description, a page that went missing and one of no use are named, then mended."""
    spec = copy / "roles/mlflow_project/meta/argument_specs.yml"
    spec.write_text(spec.read_text().replace("Who to ask about it.", "V(ada) | O(mlflow_backend)."))
    (copy / "docs/reference/mlflow_run_module.rst").unlink()
    (copy / "docs/reference/gone_module.rst").write_text("Gone\n")
    done = docs(copy, "--check", check=False)
    assert done.code == 1
    assert re.findall(r"^(\S+) is out of date", done.output, re.MULTILINE) == [
        "docs/reference/gone_module.rst",
        "README.md",
        "docs/reference/mlflow_project_role.rst",
        "docs/reference/mlflow_run_module.rst",
    ]
    docs(copy)
    docs(copy, "--check")
    assert r"| `ada` \| `mlflow_backend`. |" in (copy / "README.md").read_text()


def test_generator_wants_its_markers(copy: Path) -> None:
    """Without the place for the table it says so, rather than write none."""
    readme = copy / "README.md"
    readme.write_text(readme.read_text().replace("<!-- End of the variables. -->", ""))
    done = docs(copy, "--check", check=False)
    assert done.code == 1
    assert "README.md lacks the line" in done.output


def markdown_files(root: Path) -> list[Path]:
    """Return the pages that people wrote, and the changelog."""
    return [path for path in root.rglob("*.md") if ".git" not in path.relative_to(root).parts]


def links(page: Path) -> Iterator[str]:
    """Give where a page's links and pictures lead, blocks of code aside."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"\]\(([^)\s]+)\)", text)
    yield from re.findall(r'<a href="([^"]+)">', text)


def anchors(page: Path) -> set[str]:
    """Return a page's anchors, as forges make them of headings, and those it names itself."""
    text = page.read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    named = re.findall(r'<a id="([^"]+)">', text)
    return {*named, *(re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in headings)}


def test_links_lead_somewhere(collection_root: Path) -> None:
    """Each relative link names a file of the checkout, and a heading that is there."""
    pages = markdown_files(collection_root)
    assert collection_root / "README.md" in pages
    broken = []
    for page in pages:
        for link in links(page):
            if "://" in link:
                continue
            place, _hash, anchor = link.partition("#")
            target = (page.parent / place).resolve() if place else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{page.relative_to(collection_root)}: {link}")
    assert broken == []


def test_reference_links_lead_somewhere(collection_root: Path) -> None:
    """The generated pages link to each other, not to pages of a web site that nobody built."""
    folder = collection_root / "docs" / "reference"
    found = set()
    for page in folder.glob("*.rst"):
        found.update(re.findall(r"(?:href='|<)([^\s'<>]+\.(?:rst|html))(?:'|>)", page.read_text()))
    assert {link for link in found if "://" not in link} == {
        page.name for page in folder.glob("*.rst") if page.name != "index.rst"
    }


def test_every_role_has_a_readme(collection_root: Path) -> None:
    """Each role's README names every entry point that its argument spec has."""
    import yaml

    roles = sorted(path for path in (collection_root / "roles").iterdir() if path.is_dir())
    assert roles
    for role in roles:
        specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
        listed = re.findall(r"^\| `(\w+)` \|", (role / "README.md").read_text(), re.MULTILINE)
        assert sorted(listed) == sorted(specs), role.name


def documented_keys(root: Path, kind: str, name: str, value: str) -> set[str]:
    """Return the keys of a record as ansible-doc shows them."""
    home = root.parents[2] / "home"
    home.mkdir(exist_ok=True)
    env = clean_environment(home, TOOLS) | {"ANSIBLE_COLLECTIONS_PATH": str(root.parents[2])}
    command = [str(TOOLS / "ansible-doc"), "--json", "--type", kind, f"mlops.mlflow_aws.{name}"]
    output = run(command, cwd=root, env=env, timeout=MINUTES).output
    page: dict[str, Any] = json.loads(output[output.index("{") :])
    return set(next(iter(page.values()))["return"][value]["contains"])


@pytest.mark.parametrize("heading", RECORDS)
def test_records_are_documented(collection_root: Path, heading: str) -> None:
    """The architecture page names the keys of a record that its module returns, and no others."""
    text = (collection_root / "docs/architecture.md").read_text()
    section = text.partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    keys = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert set(keys) == documented_keys(collection_root, *RECORDS[heading])


def messages(path: Path) -> Iterator[str]:
    """Give the first distinctive text of each error that a file raises."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
            continue
        if node.func.id in ERRORS:
            message = node.args[0]
            pieces = message.values if isinstance(message, ast.JoinedStr) else [message]
            texts = [str(p.value) for p in pieces if isinstance(p, ast.Constant)]
            yield from [t for t in texts if len(re.findall("[A-Za-z]", t)) >= LETTERS][:1]


def test_errors_are_explained(collection_root: Path) -> None:
    """docs/troubleshooting.md quotes the beginning of each sentence that a user can meet."""
    page = " ".join((collection_root / "docs/troubleshooting.md").read_text().split())
    files = [
        path
        for folder in ("plugins", "docker", "scripts")
        for path in (collection_root / folder).rglob("*.py")
    ]
    quoted = {text.strip(" :")[:QUOTED].strip() for path in files for text in messages(path)}
    assert len(quoted) > 40
    # Nobody but its own caller sees how mlflow_entry.py is called.
    quoted.remove("Usage: mlflow_entry.")
    assert sorted(text for text in quoted if text not in page) == []


@pytest.mark.parametrize("name", ["architecture", "aws"])
def test_picture_stands_alone(collection_root: Path, name: str) -> None:
    """The drawing is well-formed, has a text for those who cannot see it, and loads nothing."""
    picture = ElementTree.parse(collection_root / f"docs/images/{name}.svg").getroot()
    names = [element.tag.rpartition("}")[2] for element in picture.iter()]
    assert names[:3] == ["svg", "title", "desc"]
    assert not {"script", "image", "use", "foreignObject"} & set(names)
    assert not [key for element in picture.iter() for key in element.attrib if "href" in key]
