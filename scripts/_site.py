"""Build the documentation site: our Markdown pages, and the reference by antsibull-docs, in Sphinx.

Links in our pages lead to files of the checkout, as a forge shows them. Here each leads to the
page of the site that holds the same, or else to the file at the forge. Runs in the environment of
requirements/docs.txt; scripts/docs prepares it.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import yaml

ROOT = Path(__file__).resolve().parent.parent
SITE = Path("docs/_build/html")
COLLECTION = "mlops.mlflow_aws"
SECONDS = 600
INDEX = "docs/README.md"
# Pages from elsewhere in the checkout, and what they are called in the site.
PAGES = {
    "README.md": "overview.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "cloudformation/README.md": "templates.md",
    "examples/train/README.md": "example.md",
    "benchmarks/README.md": "benchmarks.md",
}
# The site's menu, in order, with titles that are shorter than the pages' own. Other pages follow.
MENU = {
    "overview.md": "Overview",
    "projects.md": "",
    "mlflow.md": "",
    "aws.md": "",
    "hosts.md": "",
    "operations.md": "",
    "security.md": "",
    "troubleshooting.md": "",
    "upgrading.md": "",
    "variables.md": "",
    "reference/index": "Modules, filters and roles",
    "templates.md": "",
    "architecture.md": "",
    "twin.md": "",
    "example.md": "Example project",
    "benchmarks.md": "",
    "contributing.md": "",
    "changelog.md": "Changelog",
}
ANTSIBULL_DOCS = """\
collection_url = {{
  * = "{url}"
}}
collection_install = {{
  * = "ansible-galaxy collection install {{namespace}}-{{name}}-{version}.tar.gz"
}}
"""
_LINK = re.compile(r"(?<=\]\()(?P<target>[^)\s]+)(?=\))")
_FENCE = re.compile(r"^( *```.*?^ *```[ \t]*$)", re.MULTILINE | re.DOTALL)


class DocsError(Exception):
    """One sentence for the user."""


def galaxy() -> dict[str, str]:
    """Return the collection's description."""
    described: dict[str, str] = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    return described


def pages() -> dict[str, str]:
    """Return the Markdown files of the site: path in the checkout to path in the site."""
    own = {f"docs/{path.name}": path.name for path in sorted((ROOT / "docs").glob("*.md"))}
    return {**own, **PAGES, INDEX: "index.md"}


def reference_page(path: str) -> str:
    """Return the page of the reference that documents a file of the checkout, if one does."""
    name = PurePosixPath(path)
    match name.parts:
        case ("plugins", "modules") | ("plugins", "filter"):
            return "reference/index.rst"
        case ("plugins", "modules", _):
            return f"reference/{name.stem}_module.rst"
        case ("plugins", ("filter" | "lookup") as kind, _):
            return f"reference/{name.stem}_{kind}.rst"
        case ("roles", role, "README.md") | ("roles", role):
            return f"reference/{role}_role.rst"
    return ""


def site_link(target: str, page: str, known: Mapping[str, str]) -> str:
    """Return where a link of a page leads in the site."""
    forge = f"{galaxy()['repository']}/blob/main/"
    raw = forge.replace("github.com", "raw.githubusercontent.com").replace("/blob", "")
    inside = target.removeprefix(forge).removeprefix(raw)
    place, mark, anchor = inside.partition("#")
    if "://" in inside or inside.startswith("mailto:") or not place:
        return target
    folder = "" if inside != target else str(PurePosixPath(page).parent)
    path = os.path.normpath(os.path.join(folder, place))
    found = known.get(path) or reference_page(path)
    if found:
        return found + mark + anchor
    if path.startswith("docs/images/"):
        return path.removeprefix("docs/")
    return forge + path + mark + anchor


def site_text(page: str, known: Mapping[str, str]) -> str:
    """Return a page of ours with the site's links; blocks of code stay as they are."""
    parts = _FENCE.split((ROOT / page).read_text(encoding="utf-8"))
    for index in range(0, len(parts), 2):
        parts[index] = _LINK.sub(
            lambda found: site_link(found["target"], page, known), parts[index]
        )
    return "".join(parts)


def menu(known: Mapping[str, str]) -> str:
    """Return the site's table of contents."""
    lines = [f"{title} <{name}>" if title else name for name, title in MENU.items()]
    lines += [name for name in known.values() if name not in MENU and name != "index.md"]
    return "\n".join(["", "```{toctree}", ":hidden:", "", *lines, "```", ""])


def write_pages(folder: Path) -> None:
    """Write our pages, the pictures and the site's configuration into a folder."""
    known = pages()
    for page, name in known.items():
        text = site_text(page, known)
        (folder / name).write_text(text + (menu(known) if page == INDEX else ""), encoding="utf-8")
    shutil.copytree(ROOT / "docs/images", folder / "images")
    shutil.copy(ROOT / "docs/conf.py", folder)


def write_reference(folder: Path, scratch: Path) -> None:
    """Let antsibull-docs write the pages of modules, filters and roles into a folder."""
    link = scratch / "ansible_collections" / "mlops" / "mlflow_aws"
    link.parent.mkdir(parents=True)
    link.symlink_to(ROOT, target_is_directory=True)
    folder.mkdir()
    settings = scratch / "antsibull-docs.cfg"
    described = galaxy()
    settings.write_text(
        ANTSIBULL_DOCS.format(url=described["repository"], version=described["version"]),
        encoding="utf-8",
    )
    # fmt: off
    command = [
        "antsibull-docs", "--config-file", str(settings), "collection",
        "--use-current", "--squash-hierarchy", "--fail-on-error",
        "--dest-dir", str(folder), COLLECTION,
    ]
    # fmt: on
    run(command, scratch, {"ANSIBLE_COLLECTIONS_PATH": str(scratch)})


def run(command: Sequence[str], home: Path, variables: Mapping[str, str]) -> None:
    """Run one of this environment's tools; its output shows only if it fails."""
    tools = Path(sys.prefix) / "bin"
    path = os.pathsep.join([str(tools), os.environ.get("PATH", os.defpath)])
    try:
        done = subprocess.run(
            [str(tools / command[0]), *command[1:]],
            env={**os.environ, "HOME": str(home), "PATH": path, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DocsError(f"{command[0]} took over {SECONDS} seconds; run this again.") from None
    if done.returncode != 0:
        raise DocsError(f"{command[0]} ended with exit code {done.returncode}:\n{done.stdout}")


def build(target: Path | None) -> None:
    """Build the site, where a warning is an error; put it in the target folder, if one is named."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        source, html = scratch / "source", scratch / "html"
        source.mkdir()
        write_pages(source)
        write_reference(source / "reference", scratch)
        command = ["sphinx-build", "-q", "-W", "--keep-going", "-b", "html", "-j", "auto"]
        version = str(galaxy()["version"])
        run([*command, "-D", f"release={version}", str(source), str(html)], scratch, {})
        if target is not None:
            shutil.rmtree(target, ignore_errors=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(html, target)


def main() -> int:
    """Build the site, or check that it can be built."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="build, and keep nothing")
    check = parser.parse_args().check
    try:
        build(None if check else ROOT / SITE)
    except DocsError as error:
        print(error, file=sys.stderr)
        return 1
    if not check:
        print(f"{SITE}/index.html: built")
    return 0


if __name__ == "__main__":
    sys.exit(main())
