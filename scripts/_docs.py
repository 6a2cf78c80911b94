"""Write what the documentation takes from the code, or check that it is up to date.

Runs in the environment of requirements/test.txt; scripts/docs prepares it.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from antsibull_docs_parser import dom
from antsibull_docs_parser.parser import Context, parse

ROOT = Path(__file__).resolve().parent.parent
README = Path("README.md")
REFERENCE = Path("docs/reference")
BEGIN = "<!-- Variables: scripts/docs writes what follows. -->\n"
END = "<!-- End of the variables. -->\n"
# A role's argument spec must name it, or a faulty list would fail with another message
# than ours; a default computes it, and no inventory sets it.
COMPUTED = {"mlflow_project_records"}
# How a role tells of a variable that another one owns.
BORROWED = "As for ["
REMEDY = "run scripts/docs"
SECONDS = 300
# The pages speak of what is there: the repository, and what `ansible-galaxy collection
# build` makes of it.
ANTSIBULL_DOCS = """\
collection_url = {{
  * = "{url}"
}}
collection_install = {{
  * = "ansible-galaxy collection install {{namespace}}-{{name}}-{version}.tar.gz"
}}
"""


class DocsError(Exception):
    """One sentence for the user."""


@dataclass(frozen=True)
class Variable:
    """One row of the table; default and meaning are Markdown."""

    name: str
    type: str
    default: str
    meaning: str


def read_yaml(path: Path) -> Any:
    """Read a YAML file of the checkout."""
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def roles() -> list[str]:
    """Return the roles in the order in which the playbook deploy calls them, then the others."""
    there = sorted(path.parent.parent.name for path in ROOT.glob("roles/*/meta/argument_specs.yml"))
    called = re.findall(
        r"\.(mlflow_\w+)$", (ROOT / "playbooks/deploy.yml").read_text(), re.MULTILINE
    )
    return sorted(there, key=lambda role: called.index(role) if role in called else len(called))


def variables() -> list[Variable]:
    """Return what an inventory may set, each variable once, keys of entries below their list."""
    found: dict[str, Variable] = {}
    for role in roles():
        specs = read_yaml(Path("roles") / role / "meta/argument_specs.yml")["argument_specs"]
        for spec in specs.values():
            for row in rows(spec.get("options", {}), ""):
                # A role that borrows a variable may be called before the one that owns it.
                if row.name not in found or found[row.name].meaning.startswith(BORROWED):
                    found[row.name] = row
    return list(found.values())


def rows(options: dict[str, Any], prefix: str) -> Iterator[Variable]:
    """Give the rows of these options and of the options inside them."""
    for name, option in options.items():
        if name in COMPUTED:
            continue
        kind = option.get("type", "str")
        yield Variable(prefix + name, type_text(option), default_text(option), meaning(option))
        inner = f"{prefix}{name}{'[]' if kind == 'list' else ''}."
        yield from rows(option.get("options", {}), inner)


def type_text(option: dict[str, Any]) -> str:
    """Name the option's type, for a list with the type of its elements."""
    kind = str(option.get("type", "str"))
    return f"{kind} of {option.get('elements', 'str')}" if kind == "list" else kind


def default_text(option: dict[str, Any]) -> str:
    """Return the default as one would write it in an inventory."""
    if option.get("required"):
        return "required"
    default = option.get("default")
    if default is None:
        return "none"
    if isinstance(default, str) and default:
        return f"`{default}`"
    return f"`{json.dumps(default)}`"


def meaning(option: dict[str, Any]) -> str:
    """Return the description as one line of Markdown, with what may be chosen."""
    description = option["description"]
    text = [description] if isinstance(description, str) else description
    parsed = parse(text, Context(), errors="exception")
    sentences = ["".join(map(markdown, paragraph)).strip() for paragraph in parsed]
    choices = [f"`{choice}`" for choice in option.get("choices", [])]
    if len(choices) == 1:
        sentences.append(f"Only {choices[0]} in this release.")
    elif not all(choice in " ".join(sentences) for choice in choices):
        sentences.append(f"One of {', '.join(choices)}.")
    return " ".join(sentences)


def markdown(part: dom.AnyPart) -> str:
    """Return one piece of Ansible's markup as Markdown that is safe in a table's cell."""
    match part:
        case dom.TextPart():
            return re.sub(r"([\\`*_|<\[\]])", r"\\\1", part.text)
        case dom.CodePart():
            return f"`{part.text}`"
        case dom.EnvVariablePart():
            return f"`{part.name}`"
        case dom.OptionNamePart():
            return f"`{part.name}`" if part.value is None else f"`{part.name}: {part.value}`"
        case dom.OptionValuePart():
            return f"`{part.value}`"
        case dom.PluginPart():
            name = part.plugin.fqcn.rpartition(".")[2]
            return f"[`{name}`]({REFERENCE}/{name}_{part.plugin.type}.rst)"
    raise DocsError(f"{part.source or part} stands in an argument spec: teach it to {__file__}.")


def table(found: Sequence[Variable]) -> str:
    """Return the variables as a Markdown table."""
    lines = ["| Variable | Type | Default | Meaning |", "| --- | --- | --- | --- |"]
    lines += [f"| `{row.name}` | {row.type} | {row.default} | {row.meaning} |" for row in found]
    return "\n".join(lines) + "\n"


def readme() -> str:
    """Return the README with a fresh table between its markers."""
    before, begin, rest = (ROOT / README).read_text(encoding="utf-8").partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise DocsError(
            f"{README} lacks the line {BEGIN.strip()!r} or {END.strip()!r}: put it back."
        )
    return f"{before}{BEGIN}\n{table(variables())}\n{END}{after}"


def reference() -> dict[Path, str]:
    """Return the pages that antsibull-docs makes, by their place in the checkout."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run_antsibull_docs(folder)
        return {
            REFERENCE / page.name: tidy(page.read_text(encoding="utf-8"))
            for page in (folder / "pages").glob("*.rst")
        }


def run_antsibull_docs(folder: Path) -> None:
    """Let antsibull-docs write the pages into FOLDER/pages."""
    link = folder / "ansible_collections" / "mlops" / "mlflow_aws"
    link.parent.mkdir(parents=True)
    link.symlink_to(ROOT, target_is_directory=True)
    pages, settings = folder / "pages", folder / "antsibull-docs.cfg"
    pages.mkdir()
    galaxy = read_yaml(Path("galaxy.yml"))
    settings.write_text(
        ANTSIBULL_DOCS.format(url=galaxy["repository"], version=galaxy["version"]),
        encoding="utf-8",
    )
    tools = Path(sys.prefix) / "bin"
    # fmt: off
    command = [
        str(tools / "antsibull-docs"), "--config-file", str(settings), "collection",
        "--use-current", "--squash-hierarchy", "--fail-on-error",
        # Sphinx is not needed to read it: a forge shows it as it stands.
        "--output-format", "simplified-rst", "--no-add-antsibull-docs-version",
        "--dest-dir", str(pages), "mlops.mlflow_aws",
    ]
    # fmt: on
    env = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(folder),
        "HOME": str(folder),
        "PATH": os.pathsep.join([str(tools), os.environ.get("PATH", os.defpath)]),
    }
    done = subprocess.run(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise DocsError(f"antsibull-docs ended with exit code {done.returncode}:\n{done.stdout}")


def tidy(page: str) -> str:
    """Let links lead to the pages' files, and drop empty lines that templates leave behind."""
    page = re.sub(r"(\.\./){2}mlops/mlflow_aws/(\w+)\.html", r"\2.rst", page)
    page = re.sub(r"(\\(?= ))?[ \t]+$", "", page, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


def stale(wanted: dict[Path, str]) -> dict[Path, str | None]:
    """Return what is to be written, or deleted where it says None, for all to be up to date."""
    there = {path.relative_to(ROOT) for path in (ROOT / REFERENCE).glob("*")}
    changes: dict[Path, str | None] = dict.fromkeys(sorted(there - set(wanted)))
    for path, text in sorted(wanted.items()):
        file = ROOT / path
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            changes[path] = text
    return changes


def write(changes: dict[Path, str | None]) -> None:
    """Make the changes."""
    (ROOT / REFERENCE).mkdir(parents=True, exist_ok=True)
    for path, text in changes.items():
        if text is None:
            (ROOT / path).unlink()
        else:
            (ROOT / path).write_text(text, encoding="utf-8")
        print(f"{path}: {'deleted' if text is None else 'written'}")


def main() -> int:
    """Write, or check, the generated documentation."""
    parser = argparse.ArgumentParser(prog="scripts/docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail if out of date")
    check = parser.parse_args().check
    try:
        changes = stale({README: readme(), **reference()})
    except DocsError as error:
        print(error, file=sys.stderr)
        return 1
    except subprocess.TimeoutExpired:
        print(f"antsibull-docs took over {SECONDS} s: run this again.", file=sys.stderr)
        return 1
    if not check:
        write(changes)
        return 0
    for path in changes:
        print(f"{path} is out of date: {REMEDY}.", file=sys.stderr)
    return 1 if changes else 0


if __name__ == "__main__":
    sys.exit(main())
