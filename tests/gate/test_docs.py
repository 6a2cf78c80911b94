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
    new_environment,
    run,
)

TOOLS = Path(sys.prefix) / "bin"
MINUTES = 60
# Where README.md, which Galaxy shows too, leads into the repository.
FORGE = "https://github.com/mlops-collections/mlflow_aws/blob/main/"
RAW = "https://raw.githubusercontent.com/mlops-collections/mlflow_aws/main/"
# A record's heading in docs/architecture.md, and where its keys are documented.
RECORDS = {
    "Project record": ("filter", "mlflow_project_records", "_value"),
    "Backend record": ("module", "mlflow_local_backend", "backend"),
    "Installation record": ("module", "mlflow_installation", "installation"),
    "Image record": ("module", "mlflow_image_info", "image"),
    "Schema record": ("module", "mlflow_sqlite_migration", "schemas"),
    "Server record": ("module", "mlflow_server", "servers"),
    "Verification record": ("module", "mlflow_run", "runs"),
}
# Each holds one sentence for the user.
ERRORS = {"DockerError", "EntryError", "LostConnection", "MlflowError", "Problem", "Unreachable"}
# What in a message's text is distinctive, and how much of it a page must quote.
LETTERS, QUOTED = 8, 20

pytestmark = pytest.mark.timeout(12 * MINUTES)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the checkout to change."""
    return copy_collection(tmp_path)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the documentation site from a copy, where a warning is an error; return the copy."""
    root = copy_collection(tmp_path_factory.mktemp("site"))
    docs(root)
    docs(root, program="_site.py")
    return root


def docs(root: Path, *arguments: str, check: bool = True, program: str = "_docs.py") -> Done:
    """Run a generator of a copy."""
    tools = new_environment("docs")
    home = root.parents[2] / "home"
    home.mkdir(exist_ok=True)
    command = [str(tools / "python"), str(root / "scripts" / program), *arguments]
    env = clean_environment(home, tools)
    return run(command, cwd=root, env=env, timeout=10 * MINUTES, check=check)


def test_variables_are_up_to_date(site: Path, collection_root: Path) -> None:
    """docs/variables.md is what scripts/docs makes of the roles' argument specs."""
    page = Path("docs/variables.md")
    assert (site / page).read_text() == (collection_root / page).read_text(), "run scripts/docs"


def test_site_has_every_page(site: Path) -> None:
    """The site holds our pages, and a page for every module, filter and role."""
    html = site / "docs" / "_build" / "html"
    wanted = {f"{page.stem}.html" for page in site.glob("docs/*.md") if page.stem != "README"}
    wanted |= {
        f"reference/{path.stem}_module.html" for path in site.glob("plugins/modules/mlflow_*.py")
    }
    wanted |= {f"reference/{path.stem}_filter.html" for path in site.glob("plugins/filter/*.yml")}
    wanted |= {f"reference/{path.name}_role.html" for path in site.glob("roles/*")}
    assert len(wanted) > 40
    found = {str(path.relative_to(html)) for path in html.rglob("*.html")}
    assert sorted(wanted - found) == []


def test_site_links_lead_somewhere(site: Path) -> None:
    """Each link of the site leads to a page or picture of it; those to the forge name a file of ours."""
    html = site / "docs" / "_build" / "html"
    broken, checked = [], 0
    for page in html.rglob("*.html"):
        for link in set(re.findall(r'(?:href|src)="([^"#?]+)', page.read_text())):
            target = (page.parent / link).resolve()
            if link.startswith(FORGE):
                target = site / link.removeprefix(FORGE)
            elif re.match(r"[a-z]+:", link):
                continue
            checked += 1
            if not target.exists():
                broken.append(f"{page.relative_to(html)}: {link}")
    assert checked > 500
    assert sorted(broken) == []


def test_generator_sees_a_change(copy: Path) -> None:
    """A changed description is named by --check, and then written."""
    spec = copy / "roles/mlflow_project/meta/argument_specs.yml"
    changed = re.sub(
        r"(mlflow_base_port:\n +description: ).*",
        r"\1V(ada) | O(mlflow_backend).",
        spec.read_text(),
    )
    assert changed != spec.read_text()
    spec.write_text(changed)
    done = docs(copy, "--check", check=False)
    assert done.code == 1
    assert "docs/variables.md is out of date; run scripts/docs." in done.output
    docs(copy)
    docs(copy, "--check")
    assert r"| `ada` \| `mlflow_backend`." in (copy / "docs/variables.md").read_text()


def test_generator_wants_a_section(copy: Path) -> None:
    """A variable that belongs to no section of the page is named, rather than left out."""
    spec = copy / "roles/mlflow_project/meta/argument_specs.yml"
    spec.write_text(spec.read_text().replace("mlflow_base_port:", "other_port:"))
    done = docs(copy, check=False)
    assert done.code == 1
    assert "other_port has no section" in done.output


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
    """Each link into the repository names a file of the checkout, and a heading that is there."""
    pages = markdown_files(collection_root)
    assert collection_root / "README.md" in pages
    broken = []
    for page in pages:
        for link in links(page):
            place, _hash, anchor = link.partition("#")
            target = (page.parent / place).resolve() if place else page
            if place.startswith((FORGE, RAW)):
                target = collection_root / place.removeprefix(FORGE).removeprefix(RAW)
            elif "://" in link:
                continue
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{page.relative_to(collection_root)}: {link}")
    assert broken == []


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
        for folder in ("plugins", "docker", "programs", "scripts")
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


def test_execution_environment(collection_root: Path, tmp_path: Path) -> None:
    """Ansible-builder takes our definition, and finds what the collection itself needs.

    Not the build, which downloads an operating system.
    """
    import yaml

    tools = new_environment("builder")
    builder, env = str(tools / "ansible-builder"), clean_environment(tmp_path, tools)
    context = tmp_path / "context"
    command = [builder, "create", "-f", "execution-environment.yml", "-c", str(context)]
    run(command, cwd=collection_root, env=env, timeout=MINUTES)
    assert list(context.glob("*file"))
    installed = yaml.safe_load((context / "_build" / "requirements.yml").read_text())["collections"]
    called = yaml.safe_load((collection_root / "requirements.yml").read_text())["collections"]
    assert installed[1:] == called
    assert installed[0]["name"] == FORGE.removesuffix("/blob/main/")

    command = [builder, "introspect", str(collection_root.parents[2])]
    found = yaml.safe_load(run(command, cwd=tmp_path, env=env, timeout=MINUTES).output)
    packages = [line.partition("  #")[0] for line in found["python"]]
    lines = (collection_root / "requirements.txt").read_text().splitlines()
    assert packages == [line for line in lines if not line.startswith("#")]
    assert any(line.startswith("openssh-client ") for line in found["system"])


# Phrases that a native writer of Ansible's documentation does not use, and what to write instead.
PHRASES = {
    r"\banew\b": "again",
    r"\bwhoever\b": "anyone who",
    r"\b(?:is|are|was|be) told\b|\bis told as\b|\btells of\b": "is reported",
    r"\bbe it\b": "or",
    r"\bthere is to know\b": "show",
    r"\bfor want of\b": "out of, because of",
    r"\bmend(?:s|ed|ing)?\b": "fix",
    r"\bproof\b|\bprov(?:e|es|ed|en|ing)\b": "verify, verification",
    r"\b(?:is|are) no (?:image|JSON|YAML|name|text|list|place|database)\b": "is not a",
    r"\b(?:can|could) be taken on\b|\btakes? on the role\b": "be assumed",
    r"\bmakers of triggers\b": "log_bin_trust_function_creators",
    r"\b(?:broke|breaks?|broken) off\b": "failed, lost the connection",
    r"\bleft as (?:it|they) (?:is|are|was|were)\b": "not changed",
    r"\bWithout (?:it|them)\b": "If unset,",
    r"\bSeconds (?:that|in which)\b": "Timeout in seconds for",
    r"\bsets? apart\b": "separate",
    r"\bsomebody else\b": "another user or process",
    r"\bhas all (?:that )?(?:it|they) needs?\b": "is up to date",
    r"\b[Mm]ake room\b|\blive in\b": "provision, create",
    r"\b[Gg]et into\b|\blet \w+ into\b": "log in to",
}


def written(root: Path) -> Iterator[tuple[str, str]]:
    """Give what users read, by file: pages, task names, argument specs and plugins' documentation."""
    pages = [root / "README.md", root / "CONTRIBUTING.md"]
    pages += [*root.glob("docs/*.md"), *root.glob("*/README.md"), *root.glob("*/*/README.md")]
    # Generated from the argument specs below.
    pages.remove(root / "docs" / "variables.md")
    for page in pages:
        # Code may quote a message, or be a name.
        yield (
            str(page.relative_to(root)),
            re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL),
        )
    for path in [*root.glob("playbooks/*.yml"), *root.glob("roles/*/tasks/*.yml")]:
        names = re.findall(r"^ *- name: (.*)$", path.read_text(), re.MULTILINE)
        yield str(path.relative_to(root)), "\n".join(names)
    for path in [*root.glob("roles/*/meta/argument_specs.yml"), *root.glob("plugins/filter/*.yml")]:
        yield str(path.relative_to(root)), path.read_text()
    for path in [*root.glob("plugins/modules/*.py"), *root.glob("plugins/doc_fragments/*.py")]:
        found = re.findall(
            r'^ *(?:DOCUMENTATION|RETURN) = r?"""(.*?)"""',
            path.read_text(),
            re.MULTILINE | re.DOTALL,
        )
        yield str(path.relative_to(root)), "\n".join(found)


def test_language(collection_root: Path) -> None:
    """What users read uses the words of the field."""
    # A phrase may be broken across lines.
    texts = [(place, " ".join(text.split())) for place, text in written(collection_root)]
    assert len(texts) > 60
    hits = [
        f"{place}: {match[0]!r}, write: {better}"
        for place, text in texts
        for phrase, better in PHRASES.items()
        for match in re.finditer(phrase, text)
    ]
    assert hits == [], "\n".join(hits)
